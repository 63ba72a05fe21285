"""Where the paths of a configuration lie on this machine: in a container, elsewhere than where run.yaml says."""

import json
import os

# JSON: path in the configuration -> path on this machine.
VARIABLE = "FER_PATHS"


def moved() -> dict[str, str]:
    """The paths that lie elsewhere on this machine."""
    return dict(json.loads(os.environ.get(VARIABLE, "{}")))


def here(path: str) -> str:
    """The place of a path of the configuration on this machine; mostly that path itself."""
    return moved().get(path, path)

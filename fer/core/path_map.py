"""Where the paths of a configuration lie on this machine: in a container, elsewhere than where run.yaml says."""

import json
import os

# JSON: path in the configuration -> path on this machine.
PATHS_ENV = "FER_PATHS"


def read_path_map() -> dict[str, str]:
    """The paths that lie elsewhere on this machine."""
    return dict(json.loads(os.environ.get(PATHS_ENV, "{}")))


def map_path(path: str) -> str:
    """The place of a path of the configuration on this machine; mostly that path itself."""
    return read_path_map().get(path, path)

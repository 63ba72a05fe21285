"""Paths of a configuration that lie elsewhere on this machine: a container has other ones than run.yaml says."""

import json
import os

# JSON: path in the configuration -> path on this machine.
PATHS_ENV = "FER_PATHS"


def read_path_map() -> dict[str, str]:
    """Read the paths that lie elsewhere on this machine: path in the configuration to path on this machine."""
    return dict(json.loads(os.environ.get(PATHS_ENV, "{}")))


def map_path(path: str) -> str:
    """Return where a path of the configuration lies on this machine; mostly that path itself."""
    return read_path_map().get(path, path)

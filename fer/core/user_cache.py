"""The directory in which a user's programs keep what can be made again, where it has no place of its own."""

import os
from pathlib import Path

CACHE_ENV = "FER_CACHE_DIR"


def get_user_cache_dir() -> Path | None:
    """Return the directory, which need not exist: $FER_CACHE_DIR, or `fer-experiments` in that of the desktop.

    None where the user has no home directory, as in some containers.
    """
    if named := os.environ.get(CACHE_ENV):
        return Path(named).absolute()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "fer-experiments"
    except RuntimeError:
        return None

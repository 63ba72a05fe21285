"""What a user may write in a path, as in a shell: `~` for the home directory, `$NAME` for an environment variable."""

import os
import re
from pathlib import Path

_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def exists(path: str) -> bool:
    """Whether there is a file or directory of this name; none has one that no file system takes."""
    try:
        return bool(path) and Path(path).exists()
    except (OSError, ValueError):
        return False


def names_place(path: str) -> bool:
    """Whether a path exists as it is written, or would lie below what does with nothing but plain names."""
    while path and not exists(path):
        path, _, name = path.rpartition("/")
        if re.fullmatch(r"[\w.+-]*", name) is None:
            return False
    return bool(path)


def expand_path(path: str) -> str:
    """Replace `~` and `$NAME` in a path; one that exists as it is written is taken so.

    A variable that is not set is part of a name (`pay$day.mp4`), unless the path begins with it.

    Raises:
        ValueError: The path begins with a variable that is not set.
    """
    if names_place(path):
        return path
    expanded = _VARIABLE.sub(lambda match: os.environ.get(match.group(1), match.group()), path)
    if re.fullmatch(rf"{_VARIABLE.pattern}(/.*)?", expanded, re.DOTALL) and expanded == path:
        raise ValueError(
            f"there is no environment variable {_VARIABLE.findall(path)[0]}; set it, or write the path out"
        )
    return os.path.expanduser(expanded)

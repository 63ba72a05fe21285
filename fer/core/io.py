"""Files: written so that a reader never sees half of one, read within bounds, and their checksums."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def read_at_most(path: Path, max_bytes: int) -> bytes | None:
    """Return what a file holds; None where that is more than ``max_bytes``, of which no more are read."""
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    return content if len(content) <= max_bytes else None


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` on success and is deleted on error.

    It lies in the same directory, which is made where it is missing.

    Args:
        path: The file to write.

    Examples:
        >>> with atomic_write(path) as tmp_path:
        ...     table.to_parquet(tmp_path)
    """
    # Thousands of small files are written so: what is not needed is not asked of the disk.
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # Some libraries do not say which file had no room.
        if isinstance(error, OSError) and error.errno and not error.filename:
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to a file, completely or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def compute_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

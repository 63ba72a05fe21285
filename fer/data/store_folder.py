"""A directory of the cache that is built once, by one process, and gets its name only when it is complete."""

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


def build_folder_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Build a directory, or wait for another process that builds it at this moment.

    Args:
        folder: The directory; one that is there is left as it is.
        build: Fills the directory that it is given, which is then renamed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("Waiting for another process that decodes the same images")
        lock.acquire()
    try:
        if not folder.is_dir():
            _build_folder(folder, build)
    finally:
        # Whoever waits for the lock checks again whether the store exists.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _build_folder(folder: Path, build: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        build(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)

"""Snapshots of a running training in a directory that SageMaker copies to S3 file by file, whenever it wants to.

What comes back from S3 may mix several moments and be truncated. So two snapshots are written by turns, each with the
checksums of its files last, and only one that matches its checksums is restored.
"""

import logging
import os
import shutil
import zipfile
from pathlib import Path, PurePosixPath

from fer.core.archive import CHECKSUMS
from fer.core.documents import read_bounded_text
from fer.core.io import compute_sha256, write_text
from fer.core.run_layout import CHECKPOINTS_DIR, LAST_CKPT

NUMBER = "number"
MAX_LIST_BYTES = 16 << 20
log = logging.getLogger(__name__)


class SnapshotManager:
    """Snapshots of a run, each of the end of an epoch.

    Args:
        folder: Directory of the snapshots.
        run: Directory of the run.

    Attributes:
        number: Number of the latest snapshot, 0 where there is none.
    """

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder, self.run = folder, run
        self.number = 0
        self._saved_stats = self._stat_checkpoints()

    def restore(self) -> bool:
        """Restore the run from the newest intact snapshot; whether there is one."""
        slots = {number: slot for slot in self.folder.glob("*") if (number := _read_snapshot_number(slot)) is not None}
        if not slots:
            return False
        self.number = max(slots)
        for name in _read_checksums(slots[self.number]):
            if name != NUMBER:
                _copy_atomically(slots[self.number] / name, self.run / name)
        self._saved_stats = self._stat_checkpoints()
        return True

    def save(self) -> bool:
        """Take a snapshot if an epoch has ended since the last one and its checkpoints are complete; whether it did."""
        before = self._stat_checkpoints()
        if before == self._saved_stats or not zipfile.is_zipfile(self.run / CHECKPOINTS_DIR / LAST_CKPT):
            return False
        slot = self.folder / str((self.number + 1) % 2)
        (slot / CHECKSUMS).unlink(missing_ok=True)
        names = [path.relative_to(self.run).as_posix() for path in self.run.rglob("*") if path.is_file()]
        names = [name for name in names if not Path(name).name.startswith(".")]
        try:
            for name in names:
                _copy_atomically(self.run / name, slot / name)
        except FileNotFoundError:
            # The training has just replaced it.
            return False
        if self._stat_checkpoints() != before:
            return False
        write_text(slot / NUMBER, str(self.number + 1))
        lines = [f"{compute_sha256(slot / name)}  {name}\n" for name in [*names, NUMBER]]
        write_text(slot / CHECKSUMS, "".join(lines))
        self.number, self._saved_stats = self.number + 1, before
        return True

    def _stat_checkpoints(self) -> dict[str, tuple[int, int, int]]:
        """Return inode, size and time of change of each checkpoint, by which a new one is noticed."""
        stats = {}
        for path in sorted((self.run / CHECKPOINTS_DIR).glob("*.ckpt")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            stats[path.name] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return stats


def _read_snapshot_number(slot: Path) -> int | None:
    """Return the number of an intact snapshot, None for any other."""
    try:
        checksums = _read_checksums(slot)
        if NUMBER in checksums and all(compute_sha256(slot / name) == digest for name, digest in checksums.items()):
            return int((slot / NUMBER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pass
    return None


def _read_checksums(slot: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a snapshot, by name. Raises OSError and ValueError."""
    lines = read_bounded_text(slot / CHECKSUMS, MAX_LIST_BYTES).splitlines()
    checksums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    # They come back from a bucket: none may lead out of the run.
    if any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in checksums):
        raise ValueError("a name leads out of the snapshot")
    return checksums


def _copy_atomically(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all, even if the program is killed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, partial)
    os.replace(partial, target)

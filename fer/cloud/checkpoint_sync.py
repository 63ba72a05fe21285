"""Snapshots of a running training in a directory that SageMaker copies to S3 file by file, at moments of its own.

What comes back from S3 may be of several moments and cut off; so there are two snapshots by turns, each with the sums
of its files written last, and only one that fits its sums is taken.
"""

import logging
import os
import shutil
import zipfile
from pathlib import Path

from fer.core.io import compute_sha256, write_text

SUMS, NUMBER = "SHA256SUMS", "number"
CHECKPOINTS, LAST = "checkpoints", "last.ckpt"
log = logging.getLogger(__name__)


class SnapshotManager:
    """Snapshots below ``folder`` of the run in ``run``; each is of the end of an epoch."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder, self.run = folder, run
        self.number = 0
        self.saved_stats = self.stat_checkpoints()

    def restore(self) -> bool:
        """Bring the run to the newest sound snapshot; whether there is one."""
        slots = {number: slot for slot in self.folder.glob("*") if (number := _read_snapshot_number(slot)) is not None}
        if not slots:
            return False
        self.number = max(slots)
        for name in _read_sums(slots[self.number]):
            if name != NUMBER:
                _copy_atomically(slots[self.number] / name, self.run / name)
        self.saved_stats = self.stat_checkpoints()
        return True

    def save(self) -> bool:
        """Take a snapshot where an epoch was finished since the last one and its checkpoints are whole."""
        before = self.stat_checkpoints()
        if before == self.saved_stats or not zipfile.is_zipfile(self.run / CHECKPOINTS / LAST):
            return False
        slot = self.folder / str((self.number + 1) % 2)
        (slot / SUMS).unlink(missing_ok=True)
        names = [path.relative_to(self.run).as_posix() for path in self.run.rglob("*") if path.is_file()]
        names = [name for name in names if not Path(name).name.startswith(".")]
        try:
            for name in names:
                _copy_atomically(self.run / name, slot / name)
        except FileNotFoundError:
            # Replaced by the training just now.
            return False
        if self.stat_checkpoints() != before:
            return False
        write_text(slot / NUMBER, str(self.number + 1))
        lines = [f"{compute_sha256(slot / name)}  {name}\n" for name in [*names, NUMBER]]
        write_text(slot / SUMS, "".join(lines))
        self.number, self.saved_stats = self.number + 1, before
        return True

    def stat_checkpoints(self) -> dict[str, tuple[int, int, int]]:
        """What tells that a checkpoint was written."""
        stats = {}
        for path in sorted((self.run / CHECKPOINTS).glob("*.ckpt")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            stats[path.name] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return stats


def _read_snapshot_number(slot: Path) -> int | None:
    """The number of a snapshot that is whole, None for another one."""
    try:
        sums = _read_sums(slot)
        if NUMBER in sums and all(compute_sha256(slot / name) == digest for name, digest in sums.items()):
            return int((slot / NUMBER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pass
    return None


def _read_sums(slot: Path) -> dict[str, str]:
    """SHA-256 of each file of a snapshot, by name."""
    lines = (slot / SUMS).read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _copy_atomically(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all: the program may be killed, too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, partial)
    os.replace(partial, target)

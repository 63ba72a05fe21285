"""Snapshots of a training that S3 gives back in part: only a whole one is taken, the newest of them."""

import random
import shutil
import zipfile
from pathlib import Path

import pytest

from fer.cloud.checkpoint_sync import SnapshotManager
from fer.core.archive import CHECKSUMS


class Training:
    """A run whose checkpoints a test writes."""

    def __init__(self, folder: Path) -> None:
        self.run, self.kept = folder / "run", folder / "kept"
        self.snapshots = SnapshotManager(self.kept, self.run)

    def epoch(self, number: int) -> None:
        for name in ("best.ckpt", "last.ckpt"):
            (self.run / "checkpoints").mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(self.run / "checkpoints" / name, "w") as archive:
                archive.writestr("epoch", f"{number}")
        (self.run / "history.csv").write_text(f"{number}")

    def restored(self, folder: Path) -> str | None:
        """The epoch that a new machine goes on from, all its files being of it."""
        shutil.rmtree(folder, ignore_errors=True)
        if not SnapshotManager(self.kept, folder).restore():
            return None
        epochs = set()
        for name in ("best.ckpt", "last.ckpt"):
            with zipfile.ZipFile(folder / "checkpoints" / name) as archive:
                epochs.add(archive.read("epoch").decode())
        epochs.add((folder / "history.csv").read_text())
        assert len(epochs) == 1
        return epochs.pop()


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path)


def test_the_newest_snapshot_is_taken_and_a_damaged_one_is_not(training: Training, tmp_path: Path) -> None:
    assert training.restored(tmp_path / "new") is None
    for number in range(1, 4):
        training.epoch(number)
        assert training.snapshots.save() and not training.snapshots.save()
        assert training.restored(tmp_path / "new") == f"{number}"
    assert len(list(training.kept.iterdir())) == 2
    newest = training.kept / "1"
    whole = (newest / "checkpoints" / "last.ckpt").read_bytes()
    for damaged in (whole[:-1], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        (newest / "checkpoints" / "last.ckpt").write_bytes(damaged)
        assert training.restored(tmp_path / "new") == "2"
    (newest / CHECKSUMS).unlink()
    (training.kept / "0" / "history.csv").unlink()
    assert training.restored(tmp_path / "new") is None


def test_a_checkpoint_that_is_being_written_is_left_for_later(training: Training) -> None:
    training.epoch(1)
    last = training.run / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    assert not training.snapshots.save()
    last.write_bytes(whole)
    assert training.snapshots.save()


def test_whatever_s3_has_of_two_moments_is_one_of_them(training: Training, tmp_path: Path) -> None:
    """Files are copied one by one in any order, and the machine is taken away in between."""
    chance = random.Random(0)
    remote = tmp_path / "remote"
    found = []
    for number in range(1, 40):
        training.epoch(number)
        training.snapshots.save()
        files = [path for path in training.kept.rglob("*") if path.is_file()]
        chance.shuffle(files)
        for path in files[: chance.randint(0, len(files))]:
            target = remote / path.relative_to(training.kept)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        back = Training(tmp_path)
        back.kept = remote
        found.append(int(back.restored(tmp_path / "new") or 0))
    # Progress is never lost by what is copied later, unless both snapshots are torn.
    assert len(set(found)) > 8 and all(one <= number for number, one in enumerate(found, 1))

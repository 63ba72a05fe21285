"""Files are written whole or not at all."""

import hashlib
import os
from pathlib import Path

import pytest

from fer.core.io import atomic_write, compute_sha256, write_text


def test_the_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with atomic_write(path) as beside:
        # In the same directory, so that the last step is a rename, which is whole or nothing.
        assert beside.parent == path.parent
        beside.write_bytes(b"half")
        assert not path.exists()
        beside.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_content_and_no_other_file(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_write(path) as beside:
            beside.write_text("ne")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_before_anything_was_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "x"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "x"):
        pass
    assert (tmp_path / "x").read_text() == "old"


def test_text_is_utf_8_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    write_text(path, "a long first version")
    before = os.stat(path).st_ino
    write_text(path, "48×48 – ok\n")
    assert path.read_bytes() == b"48\xc3\x9748 \xe2\x80\x93 ok\n"
    # A reader that has the old file open still reads the old one to its end.
    assert os.stat(path).st_ino != before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (2 << 20) + 17])
def test_sha256_is_that_of_all_bytes(size: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "x").write_bytes(content)
    assert compute_sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_the_digest_of_three_letters(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert compute_sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

"""Files of visitors: names that are never paths, limits, and sentences."""

import errno
import io
from pathlib import Path

import pytest

from fer.app.uploads import Upload, shorten_name, store_upload
from fer.errors import DataError
from tests.helpers.programs import face, png

LIMIT = 1 << 20


def store(folder: Path, name: str, content: bytes, stored: list[Upload] | None = None) -> Upload:
    return store_upload(io.BytesIO(content), name, len(content), folder, stored or [], LIMIT)


@pytest.mark.parametrize(
    ("name", "stored", "shown"),
    [
        ("holiday.MP4", "upload-1.mp4", "holiday.MP4"),
        ("../../etc/passwd.jpg", "upload-1.jpg", "passwd.jpg"),
        ("C:\\films\\a b.mov", "upload-1.mov", "a b.mov"),
        ("a\x1b[2J\n.png", "upload-1.png", "a\\x1b[2J\n.png"),
        ("x" * 300 + ".webm", "upload-1.webm", f"{'x' * 40}…{'x' * 35}.webm"),
        ("half \ud800.gif", "upload-1.gif", "half \\ud800.gif"),
        # The name of a suffix that nobody knows is not kept.
        ("clip.$(reboot)", "upload-1", "clip.$(reboot)"),
    ],
)
def test_a_file_lies_under_a_name_of_ours(tmp_path: Path, name: str, stored: str, shown: str) -> None:
    upload = store(tmp_path, name, b"\0content")
    assert (upload.path, upload.name, upload.size) == (tmp_path / stored, shown, 8)
    assert upload.path.read_bytes() == b"\0content"
    assert [path.name for path in tmp_path.iterdir()] == [stored]


def test_numbers_go_on(tmp_path: Path) -> None:
    first = store(tmp_path, "a.mp4", b"a")
    second = store(tmp_path, "a.mp4", b"b", [first])
    assert [first.path.name, second.path.name] == ["upload-1.mp4", "upload-2.mp4"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("notes.txt", b"nothing to see", "notes.txt: is no video and no picture; choose a file such as MP4"),
        ("empty.mp4", b"", "empty.mp4: is empty; choose another file"),
        ("long.mp4", bytes(LIMIT + 1), "long.mp4: all files together may have 1 MB here"),
    ],
)
def test_what_cannot_be_analysed_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        store(tmp_path, name, content)
    assert not list(tmp_path.iterdir())


def test_files_together_have_a_limit_and_a_number(tmp_path: Path) -> None:
    stored = [store(tmp_path, "a.mp4", bytes(LIMIT // 2))]
    stored.append(store(tmp_path, "b.mp4", bytes(LIMIT // 2), stored))
    with pytest.raises(DataError, match="together may have 1 MB"):
        store(tmp_path, "c.mp4", b"c", stored)
    many = [Upload("a", tmp_path / f"upload-{number}", 1) for number in range(100)]
    with pytest.raises(DataError, match="more than 100 files"):
        store(tmp_path, "c.mp4", b"c", many)


def test_a_picture_without_a_name_is_taken(tmp_path: Path) -> None:
    assert store(tmp_path, "picture", png(face(0))).path.name == "upload-1"


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="a.mp4: there is no room for it on the server"):
        store_upload(Full(b"a"), "a.mp4", 1, tmp_path, [], LIMIT)
    assert not list(tmp_path.iterdir())


def test_a_short_name_stays_as_it_is() -> None:
    assert shorten_name("Ünï code.mp4") == "Ünï code.mp4"

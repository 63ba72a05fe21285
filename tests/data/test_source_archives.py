"""Directories and archives: what can be wrong with them, and what is said then."""

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from fer.data.sources import read_source
from fer.data.sources.archive import DatasetFiles
from fer.errors import DataError
from tests.helpers.image_data import Laid, encoded

READERS = [("ferplus", {"votes": "auto"}), ("rafdb", {}), ("fer2013", {}), ("folder", {"class_map": {}})]


@pytest.mark.parametrize(("kind", "options"), READERS)
def test_a_missing_root_is_named(kind: str, options: dict[str, object], tmp_path: Path) -> None:
    root = str(tmp_path / "nowhere")
    with pytest.raises(DataError) as caught:
        read_source("faces", kind, root=root, **options)
    assert str(caught.value) == f"{root}: no such file or directory"


@pytest.mark.parametrize(
    ("kind", "options", "name", "accepted"),
    [
        (
            *("ferplus", {"votes": "auto"}, "FERPlus"),
            "FER2013Train|FER2013Valid|FER2013Test/*.png with a label.csv in each or with fer2013new.csv or "
            "fer2013.csv with fer2013new.csv",
        ),
        (
            *("rafdb", {}, "RAF-DB"),
            "train|test/<1-7>/*.jpg (Kaggle) or Image/aligned/*_aligned.jpg with EmoLabel/list_patition_label.txt "
            "(official)",
        ),
        ("fer2013", {}, "FER2013", "train|test/<angry disgust fear happy neutral sad surprise>/ or fer2013.csv"),
        ("folder", {"class_map": {}}, "class folders", "<class>/*.png|jpg or train|val|test/<class>/*.png|jpg"),
    ],
)
def test_another_layout_says_what_is_accepted_and_what_was_found(
    kind: str, options: dict[str, object], name: str, accepted: str, lay_any: Laid
) -> None:
    root = lay_any({})
    with pytest.raises(DataError) as caught:
        read_source("faces", kind, root=root, **options)
    assert str(caught.value) == f"{root}: not laid out as {name}; accepted are {accepted}; found nothing"

    root = lay_any({"pictures/2020/may/a.png": encoded(1), "pictures/b.png": encoded(2), "notes.txt": "x"})
    found = "notes.txt, pictures/ (2 files)" if not lay_any.top else "download/ (3 files)"
    with pytest.raises(DataError) as caught:
        read_source("faces", kind, root=root, **options)
    assert str(caught.value) == f"{root}: not laid out as {name}; accepted are {accepted}; found {found}"


def test_a_long_list_of_what_was_found_is_cut(lay: Laid) -> None:
    root = lay({f"{number:02d}.txt": "" for number in range(20)})
    with pytest.raises(DataError, match=r"; found 00\.txt, 01\.txt, .*, 07\.txt, …$"):
        read_source("faces", "fer2013", root=root)


def whole_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4):
            archive.writestr(
                f"happy/{number}.png", encoded(number), [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED][number % 2]
            )
    return path.read_bytes()


def test_a_truncated_zip_or_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    whole = whole_zip(path)
    for content in (whole[: len(whole) // 2], b"", b"emotion,pixels,Usage\n"):
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            DatasetFiles(str(path))
        assert str(caught.value) == (
            f"{path}: cannot be read as a .zip (File is not a zip file); give a directory or a whole .zip "
            "(download it again)"
        )


def test_an_encrypted_zip_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    content = bytearray(whole_zip(path))
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1  # the flag "encrypted" of the first entry in the central directory
    path.write_bytes(bytes(content))
    with pytest.raises(DataError) as caught:
        DatasetFiles(str(path))
    assert str(caught.value) == f"{path}: the .zip is password-protected; unpack it and give the directory"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_is_named_and_the_others_are_read(tmp_path: Path, method: int) -> None:
    path = tmp_path / "faces.zip"
    compressible = np.random.default_rng(0).integers(0, 4, 20_000, dtype=np.uint8).tobytes()
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("happy/0.png", compressible)
        archive.writestr("happy/1.png", encoded(1))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        first = archive.getinfo("happy/0.png")
    start = first.header_offset + 30 + len(first.filename)
    for place in range(start + first.compress_size // 4, start + first.compress_size, 37):
        content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    files = DatasetFiles(str(path))
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: happy/0\.png cannot be read \("):
        files.read("happy/0.png")
    assert files.read("happy/1.png") == encoded(1)


def test_no_damage_of_an_archive_is_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    whole = whole_zip(path)
    directory = whole.index(b"PK\x01\x02")
    rng = np.random.default_rng(0)
    refused = named = 0
    for attempt in range(400):
        content = bytearray(whole)
        # Half of the attempts hit the table of contents, where a .zip is most sensitive.
        for place in rng.integers(directory if attempt % 2 else 0, len(content), 3):
            content[place] = rng.integers(256)
        path.write_bytes(bytes(content))
        try:
            files = DatasetFiles(str(path))
            for name in files.names:
                files.read(name)
        except DataError as error:
            refused += 1
            named += str(path) in str(error)
    assert named == refused > 100


def test_a_member_larger_than_the_bound_is_refused(tmp_path: Path, lay: Laid) -> None:
    path = tmp_path / "big.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("happy/bomb.png", bytes(3 << 20))
    assert path.stat().st_size < 10_000
    files = DatasetFiles(str(path))
    with pytest.raises(DataError) as caught:
        files.read("happy/bomb.png", limit=2 << 20)
    assert str(caught.value) == f"{path}: happy/bomb.png is larger than 2 MiB"
    assert len(files.read("happy/bomb.png", limit=3 << 20)) == 3 << 20

    root = lay({"happy/big.png": bytes(3 << 20)})
    with pytest.raises(DataError) as caught:
        DatasetFiles(root).read("happy/big.png", limit=2 << 20)
    assert str(caught.value) == f"{root}/happy/big.png: larger than 2 MiB"


def test_a_member_is_read_no_further_than_the_size_it_claims(tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("happy/bomb.png", bytes(3 << 20))
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 16 : entry + 20] = zlib.crc32(bytes(1000)).to_bytes(4, "little")
    content[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")  # the size when unpacked
    path.write_bytes(bytes(content))
    assert DatasetFiles(str(path)).read("happy/bomb.png", limit=1 << 20) == bytes(1000)


def test_a_table_that_is_not_utf8_or_not_comma_separated_is_refused(lay: Laid) -> None:
    row = '0.png,"(0, 0, 48, 48)",10,0,0,0,0,0,0,0,0,0\n'
    content = {"FER2013Train/0.png": encoded(0), "FER2013Train/label.csv": row.encode("utf-16")}
    root = lay(content)
    with pytest.raises(DataError) as caught:
        read_source("faces", "ferplus", root=root, votes="auto")
    assert str(caught.value) == f"{root}: FER2013Train/label.csv is not a UTF-8 text file"

    root = lay({"fer2013.csv": b"emotion,pixels,Usage\n0,\xff\xfe,Training\n"})
    with pytest.raises(DataError, match="fer2013.csv is not a UTF-8 text file"):
        read_source("faces", "fer2013", root=root)
    root = lay({"EmoLabel/list_patition_label.txt": b"train_1.jpg \xe9\n", "Image/aligned/train_1_aligned.jpg": b""})
    with pytest.raises(DataError, match="list_patition_label.txt is not a UTF-8 text file"):
        read_source("faces", "rafdb", root=root)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_the_byte_order_mark_do_not_matter(line_end: str, mark: bytes, lay: Laid) -> None:
    rows = [f'{number}.png,"(0, 0, 48, 48)",{number},5,0,0,0,0,0,0,0,0' for number in range(2)]
    table = mark + "".join(row + line_end for row in rows).encode()
    content = {f"FER2013Train/{number}.png": encoded(number) for number in range(2)}
    source = read_source("faces", "ferplus", root=lay({**content, "FER2013Train/label.csv": table}), votes="auto")
    assert source.table["path"].tolist() == ["FER2013Train/0.png", "FER2013Train/1.png"]
    assert source.table["votes_neutral"].tolist() == [0, 1] and source.problems == ()


def test_a_missing_file_is_an_error_that_names_it(lay_any: Laid) -> None:
    root = lay_any({"a.txt": "x"})
    with pytest.raises(DataError, match=rf"^{re.escape(root)}: gone\.png cannot be read \("):
        DatasetFiles(root).read("gone.png")

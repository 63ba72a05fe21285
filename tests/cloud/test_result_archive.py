"""What extraction leaves of a video goes through one file, and nothing else comes out of it."""

import json
import zipfile
from pathlib import Path

import pytest

from fer.cloud.result_archive import pack_result, unpack_result
from fer.errors import DataError

LEFT = {
    "parts/{}/000000.parquet": b"rows",
    "parts/{}/video.json": json.dumps({"video": "a/clip.mp4"}).encode(),
    "crops/{}/00000000-0.png": b"face",
    "frames/{}/00000000.jpg": b"frame",
}


def files(run: Path) -> dict[str, bytes]:
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    for name, content in LEFT.items():
        for number in ("00004", "00005"):
            path = tmp_path / "there" / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    pack_result(tmp_path / "there", 4, tmp_path / "video.zip")
    # It is moved: a machine has not room for everything twice.
    assert files(tmp_path / "there") == {name.format("00005"): content for name, content in LEFT.items()}
    return tmp_path / "video.zip"


def test_video_gets_the_number_that_it_has_here(packed: Path, tmp_path: Path) -> None:
    unpack_result(packed, tmp_path / "here", 12, "a/clip.mp4")
    assert files(tmp_path / "here") == {name.format("00012"): content for name, content in LEFT.items()}


def test_every_damage_is_found_and_no_video_is_marked_as_finished(packed: Path, tmp_path: Path) -> None:
    sound = packed.read_bytes()
    for place in range(0, len(sound), 7):
        packed.write_bytes(sound[:place] + bytes([sound[place] ^ 0xFF]) + sound[place + 1 :])
        run = tmp_path / f"run{place}"
        try:
            unpack_result(packed, run, 0, "a/clip.mp4")
        except DataError:
            assert not (run / "parts" / "00000" / "video.json").exists()
        else:
            # Times and rights of members mean nothing.
            assert files(run) == {name.format("00000"): content for name, content in LEFT.items()}
    packed.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(DataError, match="is damaged"):
        unpack_result(packed, tmp_path / "run", 0, "a/clip.mp4")


@pytest.mark.parametrize("name", ["../x", "parts/../../x.png", "/x.png", "crops/a/b.png", "models/x.png", "crops/.png"])
def test_foreign_names_write_nothing(packed: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, b"x")
        archive.writestr("parts/video.json", LEFT["parts/{}/video.json"])
    with pytest.raises(DataError, match="does not hold what a video leaves"):
        unpack_result(packed, tmp_path / "deep" / "run", 0, "a/clip.mp4")
    assert not (tmp_path / "deep").exists()


def test_result_of_another_video_is_refused(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"it does not hold b/clip\.mp4"):
        unpack_result(packed, tmp_path / "run", 4, "b/clip.mp4")
    assert not (tmp_path / "run").exists()

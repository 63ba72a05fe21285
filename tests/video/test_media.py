"""From inputs to a list of videos and images with distinct names."""

import io
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer.errors import DataError
from fer.video.media import Media, find_media
from tests.helpers.clips import write_clip


def lay(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names_of(*inputs: object) -> list[str]:
    return [media.name for media in find_media([str(given) for given in inputs])]


def test_a_directory_gives_videos_and_images_below_it_sorted_by_name(tmp_path: Path) -> None:
    lay(tmp_path, "b.MP4", "a.mov", "notes.txt", "deep/er/c.webm", "deep/d.JPG", ".hidden.mp4", "._a.mov", ".x/e.mp4")
    assert find_media([str(tmp_path)]) == [
        Media(tmp_path / "a.mov", "a.mov", "video"),
        Media(tmp_path / "b.MP4", "b.MP4", "video"),
        Media(tmp_path / "deep" / "d.JPG", "d.JPG", "image"),
        Media(tmp_path / "deep" / "er" / "c.webm", "c.webm", "video"),
    ]


def test_inputs_keep_their_order_and_a_file_named_twice_is_taken_once(tmp_path: Path) -> None:
    lay(tmp_path, "b.mp4", "a.mp4", "sub/c.mp4")
    assert names_of(tmp_path / "sub", tmp_path / "b.mp4", tmp_path, tmp_path / "sub" / ".." / "a.mp4") == [
        "c.mp4",
        "b.mp4",
        "a.mp4",
    ]


def test_globs(tmp_path: Path) -> None:
    lay(tmp_path, "s1/a.mp4", "s2/b.mp4", "s2/b.txt", "s2/deep/c.mp4", "other/d.mp4")
    assert names_of(tmp_path / "s?" / "*.mp4") == ["a.mp4", "b.mp4"]
    assert names_of(tmp_path / "s*") == ["a.mp4", "b.mp4", "c.mp4"]
    assert names_of(tmp_path / "s2" / "**" / "*") == ["b.mp4", "c.mp4"]


def test_a_name_that_exists_is_no_glob(tmp_path: Path) -> None:
    lay(tmp_path, "take [1].mp4", "take 1.mp4", "one*/a.mp4")
    assert names_of(tmp_path / "take [1].mp4") == ["take [1].mp4"]
    assert names_of(tmp_path / "one*") == ["a.mp4"]


def test_a_file_named_outright_is_kept_whatever_its_suffix(tmp_path: Path) -> None:
    lay(tmp_path, "recording", "clip.dat")
    assert names_of(tmp_path / "recording", tmp_path / "clip.dat") == ["recording", "clip.dat"]
    with pytest.raises(DataError, match="no video or image there"):
        find_media([str(tmp_path)])


def test_relative_inputs_and_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "clips/a.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = [Media(tmp_path / "clips" / "a.mp4", "a.mp4", "video")]
    assert find_media(["clips"]) == find_media(["~/clips/a.mp4"]) == find_media(["~/cl*/*"]) == expected


def test_equal_file_names_get_the_shortest_ending_that_tells_them_apart(tmp_path: Path) -> None:
    lay(tmp_path, "p1/day1/a.mp4", "p1/day2/a.mp4", "p2/day1/a.mp4", "p2/b.mp4")
    assert names_of(tmp_path) == ["p1/day1/a.mp4", "day2/a.mp4", "b.mp4", "p2/day1/a.mp4"]


def test_odd_names(tmp_path: Path) -> None:
    lay(tmp_path, "two words.mp4", "Grüße 日本.mp4")
    assert names_of(tmp_path) == ["Grüße 日本.mp4", "two words.mp4"]
    latin = os.path.join(os.fsencode(tmp_path), b"caf\xe9.mp4")
    Path(os.fsdecode(latin)).write_bytes(b"x")
    assert r"caf\udce9.mp4" in names_of(tmp_path)


def test_an_input_that_gives_nothing_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    lay(tmp_path, "a.mp4", "empty/notes.txt")
    for given, message in {
        tmp_path / "empty": r"empty: no video or image there, by suffix or by content \(other files: 1\)$",
        tmp_path / "*.mov": r"\*\.mov: no video or image there",
        tmp_path / "a.mpg": r"a\.mpg: there is no such file or directory",
    }.items():
        with pytest.raises(DataError, match=message):
            find_media([str(tmp_path / "a.mp4"), str(given)])
    with pytest.raises(DataError, match="no input is given"):
        find_media([])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_without_permission_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "locked/a.mp4")
    (tmp_path / "locked").chmod(0)
    with pytest.raises(DataError, match=r"locked: this directory cannot be read \(Permission denied\)"):
        find_media([str(tmp_path)])
    (tmp_path / "locked").chmod(0o755)


def test_content_decides_where_the_name_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("photo.jpg", "photo", "photo.x1", "photo.gif"):
        with (tmp_path / name).open("wb") as file:
            Image.new("RGB", (40, 40)).save(file, "GIF" if name.endswith("gif") else "JPEG")
    clip = write_clip(tmp_path / "clip.mp4", range(5)).read_bytes()
    (tmp_path / "take").write_bytes(clip)
    (tmp_path / "take.rec").write_bytes(clip)
    others = {"notes.md": b"# Notes\n", "data.npy": np.arange(99.0).tobytes(), "Thumbs.db": b"\0", "a.zip": b"PK\3\4\0"}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = {item.name: item.kind for item in find_media([str(tmp_path)])}
    assert found == {
        **dict.fromkeys(("photo", "photo.gif", "photo.jpg", "photo.x1"), "image"),
        **dict.fromkeys(("clip.mp4", "take", "take.rec"), "video"),
    }
    assert caplog.messages == [f"{tmp_path}: 3 files are no video or image: not used: a.zip, data.npy, notes.md"]


def test_links_to_folders_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    lay(tmp_path, "clips/day/a.mp4", "elsewhere/b.mp4")
    (tmp_path / "clips" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "clips" / "day" / "up").symlink_to(tmp_path / "clips")
    assert names_of(tmp_path / "clips") == ["a.mp4", "b.mp4"]
    assert names_of(tmp_path / "clips" / "**" / "*.mp4") == ["a.mp4", "b.mp4"]


def test_a_moving_webp_is_a_video(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((40, 40, 3), level, np.uint8)) for level in (0, 200)]
    content = io.BytesIO()
    frames[0].save(content, "WEBP", save_all=True, append_images=frames[1:])
    (tmp_path / "moving.webp").write_bytes(content.getvalue())
    frames[0].save(tmp_path / "still.webp")
    assert [item.kind for item in find_media([str(tmp_path)])] == ["video", "image"]

"""From inputs to a list of videos and images with distinct names."""

import os
from pathlib import Path

import pytest

from fer.errors import DataError
from fer.video.media import Media, find_media


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
        tmp_path / "empty": r"empty: no video or image there \(looked for the suffixes 3gp asf avi avif .* webp wmv\)",
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

"""Annotated copies have names of their own, and the plain ones where no other recording's copy would have it."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer.infer.table import build_table
from fer.video.annotate import annotate
from fer.video.annotated_copies import AnnotatedCopies
from fer.video.media import Media


def list_items(*names: str) -> list[Media]:
    return [Media(Path("/v") / name, name, "image" if name.endswith(".png") else "video") for name in names]


def write_copy(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(path.name.encode())
    return path


def test_names_that_do_not_meet_are_plain(tmp_path: Path) -> None:
    names = {"a.mp4": "a.mp4", "x/b.mov": "x-b.mov.mp4", "x/a.mp4": "x-a.mp4", "c": "c.mp4", "c.png": "c.png.mp4"}
    del names["c.png"]
    items = list_items(*names)
    assert [AnnotatedCopies(tmp_path, items).build_path(item, ".mp4").name for item in items] == list(names.values())


@pytest.mark.parametrize(
    "names", [("x/a.mp4", "x-a.mp4"), ("a.mov", "a.mov.mp4"), ("a/b/c.avi", "a-b/c.avi", "a/b-c.avi"), ("s", "s.png")]
)
def test_no_two_recordings_share_a_copy(tmp_path: Path, names: tuple[str, ...]) -> None:
    items = list_items(*names, "other.mp4")
    copies = AnnotatedCopies(tmp_path, items)
    # One that an earlier version wrote for both is nobody's.
    earlier = [write_copy(AnnotatedCopies(tmp_path, [item]).build_path(item, ".mp4")) for item in items[:-1]]
    assert [copies.find(item) for item in items] == [None] * len(items)
    written = {
        item.name: write_copy(copies.build_path(item, item.kind == "video" and ".mp4" or ".png")) for item in items
    }
    assert len(set(written.values())) == len(items) and not set(written.values()) & set(earlier)
    assert {item.name: copies.find(item) for item in items} == written
    assert written["other.mp4"].name == "other.mp4"
    for one, other in combinations(items, 2):
        assert written[one.name] not in copies.list_all(other) and written[other.name] not in copies.list_all(one)
        # The one who is left keeps theirs.
        assert AnnotatedCopies(tmp_path, [other]).find(other) == written[other.name]


def test_a_copy_of_an_earlier_name_is_removed_when_it_is_drawn_anew(tmp_path: Path) -> None:
    path = tmp_path / "x" / "a.png"
    path.parent.mkdir()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    items = [Media(path, "x/a.png", "image"), *list_items("x-a.png")]
    folder = tmp_path / "annotated"
    for media in (items, items[:1], items):
        copy = annotate(items[0], build_table([]), AnnotatedCopies(folder, media))
        assert list(folder.iterdir()) == [copy]

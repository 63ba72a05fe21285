"""Reading in parts where a file is damaged, odd or wrong about itself: what decoding everything gives."""

import math
from pathlib import Path

import pytest

from fer.video import sparse
from fer.video.keyframes import Role
from fer.video.sampling import EveryNSampler
from tests.helpers.encoding import encode
from tests.helpers.partial_reading import (
    COUNT,
    GOP,
    SAMPLERS,
    ChosenSampler,
    ClipShelf,
    Reading,
    assert_equal,
    damage,
    draw_pictures,
)


@pytest.mark.parametrize("damaged", [None, 50, 85])
def test_a_sampler_is_asked_once_about_every_frame_in_order(
    clips: ClipShelf, tmp_path: Path, reading: Reading, damaged: int | None
) -> None:
    path = clips.get("long.mov") if damaged is None else damage(clips.get("long.mov"), tmp_path / "a.mov", [damaged])
    sampler, other = ChosenSampler({0, 30, 61}), ChosenSampler({0, 30, 61})
    reading.read(path, other, math.inf)
    reading.read(path, sampler, 0)
    assert reading.was_whole == (damaged is not None)
    assert sampler.asked == other.asked and len(other.asked) >= COUNT - 1


@pytest.mark.parametrize("part", [1.0, 0.5])
@pytest.mark.parametrize("number", [0, 36, 37, 60, 85, 89])
def test_damage_gives_what_decoding_everything_gives(
    clips: ClipShelf, tmp_path: Path, reading: Reading, number: int, part: float
) -> None:
    path = damage(clips.get("long.mov"), tmp_path / "a.mov", [number], part)
    for make in SAMPLERS.values():
        reading.assert_same(path, make)
        assert reading.was_whole or part < 1


def test_a_file_that_ends_early_says_so(clips: ClipShelf, tmp_path: Path, reading: Reading) -> None:
    path = tmp_path / "cut.mkv"
    content = clips.get("usual.mkv").read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    frames = reading.assert_same(path, SAMPLERS["rare"])
    assert frames[-1].problem is not None and not reading.was_whole


def test_clocks_and_sizes_that_change(clips: ClipShelf, tmp_path: Path, reading: Reading) -> None:
    usual = clips.get("usual.ts").read_bytes()
    small = encode(tmp_path / "small.ts", draw_pictures(40, (64, 48)), options=GOP).read_bytes()
    for name, content in {"twice.ts": usual * 2, "smaller.ts": usual + small}.items():
        (tmp_path / name).write_bytes(content)
        for make in SAMPLERS.values():
            reading.assert_same(tmp_path / name, make)
            assert reading.was_whole
    # A recording that begins between two keyframes, and a hole.
    (tmp_path / "late.ts").write_bytes(usual[len(usual) // 3 // 188 * 188 :])
    (tmp_path / "hole.ts").write_bytes(usual[: len(usual) // 2] + usual[len(usual) // 2 + 2000 :])
    for name in ("late.ts", "hole.ts"):
        reading.assert_same(tmp_path / name, SAMPLERS["often"])


@pytest.mark.parametrize("name", ["vp9.webm", "usual.mp4"])
def test_a_keyframe_that_is_none_is_noticed(
    clips: ClipShelf, reading: Reading, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sparse, "build_role_reader", lambda _: lambda _: Role.CLOSED)
    for make in SAMPLERS.values():
        reading.assert_same(clips.get(name), make)
        assert reading.was_whole


@pytest.mark.parametrize("damaged", [None, 31, 50])
def test_a_resumed_reading_decodes_what_the_first_one_did(
    clips: ClipShelf, tmp_path: Path, reading: Reading, damaged: int | None
) -> None:
    path = clips.get("usual.mp4") if damaged is None else damage(clips.get("usual.mp4"), tmp_path / "a.mp4", [damaged])
    frames = reading.read(path, EveryNSampler(10), 0)
    first = (reading.packets, reading.was_whole)
    resumed = reading.read(path, EveryNSampler(10), 0, after=25)
    assert_equal(resumed, [frame for frame in frames if frame.index > 25])
    assert len(resumed) < len(frames) and (reading.packets, reading.was_whole) == first

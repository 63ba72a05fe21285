"""Frames, their indices, their times and their pixels, against PyAV; threads, images, names."""

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import fer.video.reader
from fer.video.reader import Frame, VideoError, iter_frames, open_video
from fer.video.sampling import AllFramesSampler, EveryNSampler, IntervalSampler
from fer.video.upright import FrameConverter
from tests.helpers.clips import HEIGHT, WIDTH, Truth, decoded, number_in, numbered, write_clip
from tests.helpers.paths import SHARED

pytestmark = pytest.mark.slow

VIDEOS = SHARED / "data" / "videos"
NTSC = Fraction(1001, 30000)
UNEVEN = np.cumsum([0, *np.random.default_rng(7).integers(900, 30_000, 79)]).tolist()  # of 1/90,000 s
LAYOUTS: dict[str, dict[str, Any]] = {
    "constant.mp4": {},
    "b_frames.mp4": {"options": {"bf": "3", "preset": "medium"}},
    "ntsc.mp4": {"time_base": NTSC},
    "uneven.mp4": {"pts": UNEVEN, "time_base": Fraction(1, 90_000), "options": {"bf": "2"}},
    "odd_base.mp4": {"pts": range(0, 80 * 7, 7), "time_base": Fraction(1, 173)},
    "late.mp4": {"pts": range(15, 95), "sound_s": 4.0},
    "sound.mkv": {"sound_s": 3.2},
    "uneven.mkv": {"pts": UNEVEN, "time_base": Fraction(1, 90_000)},
    "offset.ts": {"options": {"bf": "2"}, "sound_s": 3.2},
    "far.ts": {"pts": range(500, 580)},
    "old.avi": {"codec": "mpeg4"},
    "old.flv": {"codec": "flv1"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "auto-alt-ref": "1"}},
    "hevc.mov": {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "log-level=none"}},
}


def laid_out(folder: Path, name: str) -> Path:
    return write_clip(folder / name, **{"pts": range(80), **LAYOUTS[name]})


def read(path: Path) -> Truth:
    frames = list(iter_frames(path, AllFramesSampler()))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [frame.problem for frame in frames] == [None] * len(frames)
    return Truth([frame.time_s for frame in frames], [number_in(frame.bgr) for frame in frames])


@pytest.mark.parametrize("name", LAYOUTS)
def test_index_time_and_pixels_are_those_of_the_source(tmp_path: Path, name: str) -> None:
    path = laid_out(tmp_path, name)
    truth, seen = decoded(path), read(path)
    assert truth.numbers == list(range(80)) == seen.numbers
    assert seen.times == pytest.approx(truth.times, abs=2e-6)
    info = open_video(path)
    assert (info.width, info.height, info.rotation) == (WIDTH, HEIGHT, 0)
    assert info.start_s == seen.times[0] == (0.6 if name == "late.mp4" else pytest.approx(0.0, abs=0.05))
    assert info.duration_s == pytest.approx(truth.times[-1] - truth.times[0], abs=0.7)


@pytest.mark.parametrize("name", ["ntsc.mp4", "uneven.mp4", "late.mp4", "uneven.mkv", "offset.ts"])
@pytest.mark.parametrize("fps", [0.7, 1.0, 4.0, 12.5])
def test_an_interval_takes_the_first_frame_at_or_after_each_step(tmp_path: Path, name: str, fps: float) -> None:
    path = laid_out(tmp_path, name)
    times = decoded(path).times
    steps = np.arange(int(times[-1] * fps) + 1) / fps
    expected = sorted({int(np.argmax(np.array(times) >= step - 1e-6)) for step in steps})
    assert [frame.index for frame in iter_frames(path, IntervalSampler(fps))] == expected


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_phone_held_sideways_gives_upright_pictures(tmp_path: Path, turned: int) -> None:
    path = write_clip(tmp_path / "phone.mp4", range(30), turned=turned)
    assert read(path).numbers == list(range(30))
    info = open_video(path)
    assert (info.width, info.height, info.rotation) == (WIDTH, HEIGHT, turned)


def test_what_a_video_declares(tmp_path: Path) -> None:
    info = open_video(write_clip(tmp_path / "clip.mp4", range(50)))
    assert (info.fps, info.frames, info.duration_s, info.codec) == (25.0, 50, 2.0, "h264")
    assert info.path == tmp_path / "clip.mp4"
    info = open_video(write_clip(tmp_path / "clip.mkv", range(50)))
    assert (info.fps, info.frames, info.codec) == (25.0, 50, "h264") and info.duration_s == pytest.approx(2.0, abs=0.05)


class Watched:
    """How many frames were decoded and how many converted to colour."""

    decoded = converted = 0


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[Watched]:
    iter_timed_frames, convert = fer.video.reader.iter_timed_frames, FrameConverter.convert

    def count_decoded(*arguments: Any) -> Iterator[Any]:
        for item in iter_timed_frames(*arguments):
            Watched.decoded += 1
            yield item

    def count_converted(*arguments: Any) -> np.ndarray:
        Watched.converted += 1
        return convert(*arguments)

    monkeypatch.setattr(fer.video.reader, "iter_timed_frames", count_decoded)
    monkeypatch.setattr(FrameConverter, "convert", count_converted)
    Watched.decoded = Watched.converted = 0
    return Watched


def test_frames_that_are_not_sampled_are_not_converted(tmp_path: Path, watched: type[Watched]) -> None:
    path = write_clip(tmp_path / "clip.mp4", range(80))
    frames = list(iter_frames(path, EveryNSampler(25)))
    assert [(frame.index, number_in(frame.bgr)) for frame in frames] == [(0, 0), (25, 25), (50, 50), (75, 75)]
    assert watched.converted == 4 and watched.decoded == 80


def settled(count: type[Watched]) -> int:
    """How many frames were converted once the thread has nothing more to do."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 0.5:
        if count.converted != last:
            last, since = count.converted, time.monotonic()
        time.sleep(0.01)
    return last


@pytest.mark.parametrize(("ahead", "size", "waiting"), [(3, 10**9, 3), (8, 2 * WIDTH * HEIGHT * 3, 2), (8, 1, 1)])
def test_decoding_runs_ahead_within_bounds_of_number_and_size(
    tmp_path: Path, watched: type[Watched], monkeypatch: pytest.MonkeyPatch, ahead: int, size: int, waiting: int
) -> None:
    monkeypatch.setattr(fer.video.reader, "AHEAD_BYTES", size)
    frames = iter_frames(write_clip(tmp_path / "clip.mp4", range(80)), AllFramesSampler(), ahead)
    next(frames)
    # One handed over, those that wait, and one in the thread's hands that finds no place.
    assert settled(watched) == 1 + waiting + 1
    assert [frame.index for frame in frames] == list(range(1, 80))


def test_an_error_of_the_sampling_reaches_the_caller(tmp_path: Path) -> None:
    class Broken:
        def should_sample(self, index: int, time_s: float) -> bool:
            raise RuntimeError("asked too much")

    with pytest.raises(RuntimeError, match="asked too much"):
        next(iter_frames(write_clip(tmp_path / "clip.mp4", range(5)), Broken()))


def test_a_last_frame_that_stands_for_long_is_no_truncation(tmp_path: Path) -> None:
    assert read(write_clip(tmp_path / "a.mp4", [*range(40), 240], options={"bf": "0"})).numbers[-1] == 40
    assert read(write_clip(tmp_path / "b.mkv", range(20), sound_s=9.0)).numbers[-1] == 19


def test_a_stream_without_timestamps_counts_frames_at_its_rate(tmp_path: Path) -> None:
    seen = read(write_clip(tmp_path / "bare.h264", range(20)))
    assert seen.numbers == list(range(20)) and seen.times == pytest.approx([index / 25 for index in range(20)])


def test_an_animated_gif_is_a_video(tmp_path: Path) -> None:
    first, *others = [Image.fromarray(np.full((40, 60, 3), level, np.uint8)) for level in (0, 80, 160)]
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=200)
    frames = list(iter_frames(tmp_path / "a.gif", AllFramesSampler()))
    assert [(frame.time_s, round(frame.bgr.mean())) for frame in frames] == [(0.0, 0), (0.2, 80), (0.4, 160)]


def image_file(path: Path, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.rot90(numbered(77), {1: 0, 6: 1}[orientation])
    Image.fromarray(np.ascontiguousarray(stored[..., ::-1])).save(path, exif=exif)
    return path


@pytest.mark.parametrize("name", ["a.jpg", "b.png", "two words ü 日本.webp", "c.tiff", "d.bmp"])
def test_an_image_is_a_video_of_one_frame(tmp_path: Path, name: str) -> None:
    path = image_file(tmp_path / name)
    (frame,) = iter_frames(path, IntervalSampler(1.0))
    assert (frame.index, frame.time_s, frame.problem, number_in(frame.bgr)) == (0, 0.0, None, 77)
    assert list(iter_frames(path, IntervalSampler(1.0), after=0)) == []
    info = open_video(path)
    assert (info.width, info.height, info.frames, info.duration_s) == (WIDTH, HEIGHT, 1, 0.0)


def test_an_image_is_turned_upright_and_known_by_its_content(tmp_path: Path) -> None:
    path = image_file(tmp_path / "phone.jpg", orientation=6).rename(tmp_path / "phone")
    (frame,) = iter_frames(path, AllFramesSampler())
    assert number_in(frame.bgr) == 77
    assert (open_video(path).width, open_video(path).height) == (WIDTH, HEIGHT)


def test_a_damaged_image_is_a_frame_with_a_problem(tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png")
    content = path.read_bytes()
    start = content.index(b"IDAT") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))
    assert list(iter_frames(path, AllFramesSampler())) == [Frame(0, 0.0, None, "the image is damaged")]


def test_images_beyond_any_camera_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(VideoError, match=r"bomb\.png: more than 128,000,000 pixels are too many"):
        open_video(tmp_path / "bomb.png")


def sound_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44100
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    return path


def test_why_a_file_cannot_be_read_is_said_in_one_sentence(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", range(50)).read_bytes()
    content = {
        "text.png": (b"Dear diary, this is no picture at all.\n", "this is no image, whatever its name says"),
        "empty.mp4": (b"", r"this file is empty \(0 bytes\)"),
        "zeros.mp4": (bytes(5000), "this file begins with nothing but zeros"),
        "archive.mp4": (b"PK\x03\x04" + bytes(500), "this is a ZIP archive, not a video: unpack it first"),
        "seven.mp4": (b"7z\xbc\xaf\x27\x1c" + bytes(500), "this is a 7z archive"),
        "text.mp4": (b"Dear diary, this is no video at all.\n" * 40, "this is no video, or it is damaged"),
        "notes.txt": (b"Dear diary, this is no video at all.\n" * 40, r"this is a text or a playlist \(tty\)"),
        "noise.mp4": (np.random.default_rng(1).bytes(20_000), "this is no video, or it is damaged"),
        "no_index.mp4": (clip[: len(clip) // 2], r"this MP4 or MOV has no index \(moov\)"),
    }
    for name, (data, message) in content.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(VideoError, match=rf"{name}: {message}") as caught:
            open_video(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {caught.value.reason}"
    for path, message in {
        sound_only(tmp_path / "sound.m4a"): "there is sound but no video in this file",
        tmp_path / "missing.mp4": "there is no such file",
        tmp_path: "this is a directory",
    }.items():
        with pytest.raises(VideoError, match=message):
            next(iter_frames(path, AllFramesSampler()))


def test_a_video_without_one_whole_frame_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", range(50), container_options={"movflags": "faststart"})
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4 + 20])
    with pytest.raises(VideoError, match=r"clip\.mp4: no frame of this video can be decoded"):
        open_video(path)


def test_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "clip.mp4", range(5))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(VideoError, match=r"clip\.mp4: there is no permission to read this file"):
        open_video(path)


@pytest.mark.parametrize("name", ["12:30 talk.mp4", "Grüße 日本 🎬.mp4", "100%03d [x] *.mp4", "-i.mp4", "http:a.mp4"])
def test_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_clip(tmp_path / "clip.mp4", range(5)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read(Path(name)).numbers == list(range(5))


@pytest.mark.skipif(not VIDEOS.is_dir(), reason=f"{VIDEOS} is not on this machine")
@pytest.mark.parametrize("name", ["WolfgangLanger_Pexels.mp4", "face_noface.mov", "no_face.mp4", "single_face.mp4"])
def test_real_clips_have_the_indices_and_times_that_pyav_gives(name: str) -> None:
    with av.open(str(VIDEOS / name)) as container:
        zero = (container.start_time or 0) / av.time_base
        truth = [float(frame.pts * frame.time_base) - zero for frame in container.decode(video=0)]
    frames = [(frame.index, frame.time_s) for frame in iter_frames(VIDEOS / name, EveryNSampler(7))]
    assert [index for index, _ in frames] == list(range(0, len(truth), 7))
    assert [time_s for _, time_s in frames] == pytest.approx(truth[::7], abs=2e-6)

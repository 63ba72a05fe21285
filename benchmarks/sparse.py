"""`python -m benchmarks.sparse`: a frame every so many seconds of a long video, against decoding all of it.

A clip is drawn, encoded as H.264 with a keyframe every so many frames, and repeated to the length that is asked for.
Reading what the frames need and reading everything take turns; the first round compares the frames and is not counted.
Ratios are taken within a round. Processor seconds, which other programs disturb less, stand beside those of the clock.
"""

import argparse
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import av
import cv2
import numpy as np

import fer.video.reader
from benchmarks.video import repeat_clip
from fer.video.keyframes import UnplannedError
from fer.video.reader import iter_frames
from fer.video.sampling import IntervalSampler
from fer.video.sparse import iter_sparse_frames
from fer.video.streams import open_container, select_video_stream

RATE = 30


def write_clip(path: Path, frames: int, gop: int, width: int, height: int) -> Path:
    """A camera that wanders over a soft pattern, with its noise: H.264 with a keyframe every ``gop`` frames."""
    rng = np.random.default_rng(7)
    wide = cv2.GaussianBlur(rng.integers(0, 256, (height + 80, width + 120, 3), np.uint8), (0, 0), 6)
    pattern = cv2.normalize(wide, np.empty_like(wide), 0, 240, cv2.NORM_MINMAX)
    options = {"preset": "medium", "crf": "23", "g": str(gop), "keyint_min": str(gop), "sc_threshold": "0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            x, y = round(60 + 59 * math.sin(number / 40)), round(40 + 39 * math.cos(number / 30))
            picture = cv2.add(pattern[y : y + height, x : x + width], rng.integers(0, 6, (height, width, 3), np.uint8))
            frame = av.VideoFrame.from_ndarray(np.asarray(picture, np.uint8), format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def compare_frames(path: Path, every_s: float) -> None:
    """Raise an error where the two ways differ in an index, a time or a pixel."""
    whole = iter_frames(path, IntervalSampler(1 / every_s))
    with patch.object(fer.video.reader, "LONG_FRAMES", math.inf):
        # Which way is taken is settled by the first frame.
        first = next(whole)
    parts = iter_frames(path, IntervalSampler(1 / every_s))
    for one, other in zip(parts, chain([first], whole), strict=True):
        if (one.index, one.time_s, one.problem) != (other.index, other.time_s, other.problem):
            raise AssertionError(f"{path.name}: frame {other.index} became {one.index}")
        if one.bgr is None or other.bgr is None or not np.array_equal(one.bgr, other.bgr):
            raise AssertionError(f"{path.name}: frame {other.index} has other pixels")


def measure(path: Path, every_s: float, long_frames: float) -> tuple[float, float]:
    """(seconds, processor seconds) of reading; videos of fewer than ``long_frames`` frames are decoded as a whole."""
    start, start_cpu = time.perf_counter(), time.process_time()
    with patch.object(fer.video.reader, "LONG_FRAMES", long_frames):
        for _ in iter_frames(path, IntervalSampler(1 / every_s)):
            pass
    return time.perf_counter() - start, time.process_time() - start_cpu


def measure_share(path: Path, every_s: float) -> float:
    """Which share of the frames is decoded; 1 where everything is."""
    with open_container(path) as container:
        stream = select_video_stream(container)
        assert stream is not None
        decoded, last = 0, 0
        try:
            for index, *_ in iter_sparse_frames(container, stream, IntervalSampler(1 / every_s), threading.Event()):
                decoded, last = decoded + 1, index
        except UnplannedError:
            return 1.0
        return decoded / (last + 1)


def describe(values: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sparse", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="length of the video")
    parser.add_argument(
        "--gop", type=int, nargs="+", default=[10, 30, 60, 250], help="frames from keyframe to keyframe"
    )
    parser.add_argument("--every", type=float, nargs="+", default=[1, 10], help="seconds from sampled frame to frame")
    parser.add_argument("--size", type=int, nargs=2, default=[1280, 720], help="width and height")
    parser.add_argument("--rounds", type=int, default=3, help="how often the two ways take turns")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for gop in args.gop:
            # Whole parts of about ten seconds, so that the repetitions fit together.
            frames = gop * max(round(10 * RATE / gop), 1)
            clip = write_clip(Path(temporary) / f"{gop}.mp4", frames, gop, *args.size)
            folder = Path(temporary) / "long"
            folder.mkdir(exist_ok=True)
            path = repeat_clip(clip, max(round(args.minutes * 60 * RATE / frames), 1), folder)
            for every_s in args.every:
                compare_frames(path, every_s)
                # Endless: no video is long enough to be read in parts.
                rounds = [[measure(path, every_s, long) for long in (500, math.inf)] for _ in range(args.rounds)]
                clock, cpu = ([whole[k] / parts[k] for parts, whole in rounds] for k in (0, 1))
                print(
                    f"a keyframe every {gop} frames, a frame every {every_s:g} s: {measure_share(path, every_s):.1%} "
                    f"decoded, {describe(cpu)} times less processor time, {describe(clock)} times as fast; "
                    f"{describe([parts[1] for parts, _ in rounds])} processor seconds",
                    flush=True,
                )
            path.unlink()


if __name__ == "__main__":
    main()

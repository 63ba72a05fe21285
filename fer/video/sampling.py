"""Samplers: which frames of a video are taken.

To add one: write a class after ``fer.video.reader.FrameSampler``, in a file of its own, enter it in SAMPLING, and add
its name to ``Extraction.sampling`` in ``fer/config/extraction.py``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
from typing_extensions import override

from fer.video.reader import FrameSampler, VideoInfo, iter_frames, open_video

# Frames a second where none are chosen.
DEFAULT_FPS = 1.0
# Width in pixels at which frames are compared: PySceneDetect's own default.
SCENE_WIDTH = 256


class IntervalSampler(FrameSampler):
    """``fps`` frames a second: the first frame at or after k/fps for k = 0, 1, 2…, and no frame twice."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.due = 0

    @override
    def should_sample(self, index: int, time_s: float) -> bool:
        # Matroska and FLV round timestamps to milliseconds: there, 0.033 s is the frame at 1/30 s. Timestamps of
        # finer clocks hit whole milliseconds only where they mean them; a microsecond covers floating-point noise.
        milliseconds = time_s * 1000
        slack_s = 0.0005 if abs(milliseconds - round(milliseconds)) < 0.001 else 0.000001
        if time_s + slack_s < self.due / self.fps:
            return False
        self.due = max(self.due, math.floor((time_s + slack_s) * self.fps)) + 1
        return True


class EveryNSampler(FrameSampler):
    """Every ``n``-th frame, the first included."""

    def __init__(self, n: int) -> None:
        self.n = n

    @override
    def should_sample(self, index: int, time_s: float) -> bool:
        return index % self.n == 0


class AllFramesSampler(FrameSampler):
    """Every frame."""

    @override
    def should_sample(self, index: int, time_s: float) -> bool:
        return True


def find_cuts(
    source: Path | VideoInfo, threshold: float = 27.0, shortest_s: float = 0.6
) -> tuple[list[int], dict[int, float]]:
    """Find where scenes begin, as PySceneDetect's content detector sees them; the video is read once.

    Args:
        source: The video.
        threshold: Mean change of hue, saturation and brightness (0 to 255) that makes a cut.
        shortest_s: The shortest scene, seconds.

    Returns:
        The index of the first frame of each scene, 0 first; and the time of each frame that can be decoded, seconds.

    Raises:
        VideoError: The video cannot be read.
    """
    # Slow to import, and few runs sample scenes.
    from scenedetect import ContentDetector, FrameTimecode

    info = source if isinstance(source, VideoInfo) else open_video(source)
    detector = ContentDetector(threshold, shortest_s)
    rate = info.fps or 25.0
    shrink = min(1.0, SCENE_WIDTH / info.width)
    starts, times = [0], dict[int, float]()
    for frame in iter_frames(info, AllFramesSampler()):
        if frame.bgr is None:
            continue
        small = cv2.resize(frame.bgr, None, fx=shrink, fy=shrink)
        cuts = detector.process_frame(FrameTimecode(frame.index, rate), small)
        starts += [cut.frame_num for cut in cuts]
        times[frame.index] = frame.time_s
    return starts, times


class SceneSampler(FrameSampler):
    """The middle frame of each scene: from cut to cut as PySceneDetect's content detector sees them.

    The video is read once for this when the object is made.

    Args:
        source: The video.
        threshold: Mean change of hue, saturation and brightness (0 to 255) that makes a cut.
        shortest_s: The shortest scene, seconds.

    Raises:
        VideoError: The video cannot be read.
    """

    def __init__(self, source: Path | VideoInfo, threshold: float = 27.0, shortest_s: float = 0.6) -> None:
        starts, times = find_cuts(source, threshold, shortest_s)
        end = max(times, default=-1) + 1
        self.middles = {(start + stop - 1) // 2 for start, stop in zip(starts, [*starts[1:], end], strict=True)}

    @override
    def should_sample(self, index: int, time_s: float) -> bool:
        return index in self.middles


class SamplingOptions(Protocol):
    """What samplers are made with. See ``fer.config.Extraction``."""

    @property
    def fps(self) -> float | None:
        """Frames a second that interval takes; None is DEFAULT_FPS."""
        ...

    @property
    def every_n(self) -> int:
        """Of so many frames every_n takes one."""
        ...


def _estimate_interval(fps: float, info: VideoInfo) -> float:
    return max(info.duration_s * min(fps, info.fps or fps), 1)


@dataclass(frozen=True)
class Sampling:
    """One kind of sampling: its sampler for a video, and about how many frames that will take."""

    make: Callable[[SamplingOptions, Path | VideoInfo], FrameSampler]
    estimate: Callable[[SamplingOptions, VideoInfo], float]


SAMPLING: dict[str, Sampling] = {
    "interval": Sampling(
        make=lambda options, _: IntervalSampler(options.fps or DEFAULT_FPS),
        estimate=lambda options, info: _estimate_interval(options.fps or DEFAULT_FPS, info),
    ),
    "every_n": Sampling(
        make=lambda options, _: EveryNSampler(options.every_n),
        estimate=lambda options, info: max(info.frames / options.every_n, 1),
    ),
    "all": Sampling(make=lambda *_: AllFramesSampler(), estimate=lambda _, info: info.frames),
    # How many scenes there are shows only when the video is read.
    "scene": Sampling(make=lambda _, source: SceneSampler(source), estimate=lambda _, info: info.frames),
}

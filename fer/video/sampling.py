"""Which frames of a video are taken."""

import math
from pathlib import Path

import cv2
from scenedetect import ContentDetector, FrameTimecode

from fer.video.reader import VideoInfo, iter_frames, open_video

# Width in pixels at which frames are compared: PySceneDetect's own default.
SCENE_WIDTH = 256


class IntervalSampler:
    """``fps`` frames a second: the first frame at or after k/fps for k = 0, 1, 2…, and no frame twice."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.due = 0

    def should_sample(self, index: int, time_s: float) -> bool:
        # Matroska and FLV round timestamps to milliseconds: there, 0.033 s is the frame at 1/30 s. Timestamps of
        # finer clocks hit whole milliseconds only where they mean them; a microsecond covers floating-point noise.
        milliseconds = time_s * 1000
        slack_s = 0.0005 if abs(milliseconds - round(milliseconds)) < 0.001 else 0.000001
        if time_s + slack_s < self.due / self.fps:
            return False
        self.due = max(self.due, math.floor((time_s + slack_s) * self.fps)) + 1
        return True


class EveryNSampler:
    """Every ``n``-th frame, the first included."""

    def __init__(self, n: int) -> None:
        self.n = n

    def should_sample(self, index: int, time_s: float) -> bool:
        return index % self.n == 0


class AllFramesSampler:
    """Every frame."""

    def should_sample(self, index: int, time_s: float) -> bool:
        return True


class SceneSampler:
    """The middle frame of each scene: from cut to cut as PySceneDetect's content detector sees them.

    The video is read once for this when the object is made; ``threshold`` is the mean change of hue, saturation and
    brightness (0 to 255) that makes a cut, and ``shortest_s`` the shortest scene. Raises VideoError.
    """

    def __init__(self, source: Path | VideoInfo, threshold: float = 27.0, shortest_s: float = 0.6) -> None:
        info = source if isinstance(source, VideoInfo) else open_video(source)
        detector = ContentDetector(threshold, shortest_s)
        rate = info.fps or 25.0
        shrink = min(1.0, SCENE_WIDTH / info.width)
        starts, end = [0], 0
        for frame in iter_frames(info, AllFramesSampler()):
            if frame.bgr is None:
                continue
            small = cv2.resize(frame.bgr, None, fx=shrink, fy=shrink)
            cuts = detector.process_frame(FrameTimecode(frame.index, rate), small)
            starts += [cut.frame_num for cut in cuts]
            end = frame.index + 1
        self.middles = {(start + stop - 1) // 2 for start, stop in zip(starts, [*starts[1:], end], strict=True)}

    def should_sample(self, index: int, time_s: float) -> bool:
        return index in self.middles

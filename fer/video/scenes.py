"""One frame a scene."""

from pathlib import Path

import cv2
from scenedetect import ContentDetector, FrameTimecode

from fer.video.decode import VideoInfo, open_video, sampled_frames
from fer.video.sampling import All

# Width in pixels at which frames are compared: PySceneDetect's own default.
SCENE_WIDTH = 256


class Scene:
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
        for frame in sampled_frames(info, All()):
            if frame.bgr is None:
                continue
            small = cv2.resize(frame.bgr, None, fx=shrink, fy=shrink)
            cuts = detector.process_frame(FrameTimecode(frame.index, rate), small)
            starts += [cut.frame_num for cut in cuts]
            end = frame.index + 1
        self.middles = {(start + stop - 1) // 2 for start, stop in zip(starts, [*starts[1:], end], strict=True)}

    def wanted(self, index: int, time_s: float) -> bool:
        return index in self.middles

"""Drawn clips, labelled by what the face was made to do."""

import hashlib
from functools import lru_cache

import cv2
import numpy as np
import pandas as pd

from fer.data.clips.media import DrawnClips
from fer.data.sources.base import ImageInfo, Source, build_labelled_table
from fer.synthetic.clips import CLIP_GENERATOR_VERSION, ClipSeries

# Of every five people three are for training, one for validation, one for test.
_PARTS = ("train", "train", "train", "val", "test")


def read_synthetic_clips(
    name: str, count: int, size: int, subjects: int, fps: float, seconds: float, motion: str, seed: int
) -> Source:
    """Return ``count`` clips of ``size``×``size`` pixels, each drawn when it is read; equal for equal arguments.

    Of every five people three are for training, one for validation, one for test. ``motion`` is plain or direction, see
    ``fer.synthetic.clips.ClipSeries``, which has the other arguments too.
    """
    series = ClipSeries(seed, subjects, fps, seconds, motion)
    clips = [series.draw_clip(index) for index in range(count)]
    paths = [f"clip-{index:06d}" for index in range(count)]
    numbers = dict(zip(paths, range(count), strict=True))

    # With motion=direction two clips have the same frames.
    @lru_cache(maxsize=2)
    def draw_pair(pair: int) -> np.ndarray:
        return clips[2 * pair].draw_frames(size)

    def draw(path: str) -> tuple[np.ndarray, np.ndarray]:
        number = numbers[path]
        if motion == "direction":
            frames = draw_pair(number // 2)
            return (frames[::-1] if number % 2 else frames), series.times
        return clips[number].draw_frames(size), series.times

    table = build_labelled_table(
        paths, [_PARTS[clip.subject % len(_PARTS)] for clip in clips], [clip.emotion for clip in clips]
    )
    identity = f"clips/{CLIP_GENERATOR_VERSION}/{cv2.__version__}/{series}/{size}"
    return Source(
        name,
        table,
        lambda path: draw(path)[0][len(series.times) // 2],
        get_info=lambda path: ImageInfo(hashlib.sha256(f"{identity}/{path}".encode()).hexdigest(), size, colour=True),
        notes=(f"drawn by generator {CLIP_GENERATOR_VERSION} of clips, motion {motion}",),
        groups=pd.DataFrame({"subject": [f"person-{clip.subject:03d}" for clip in clips]}, dtype=object),
        clips=DrawnClips(draw),
    )

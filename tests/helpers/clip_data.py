"""Clips in memory, and how clips are extracted in tests."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from fer.data.clips.extraction import ClipOptions
from fer.data.clips.media import DrawnClips
from fer.data.sources.base import ImageInfo, Source, build_labelled_table
from fer.video.detectors import HaarDetector
from tests.helpers.image_data import noise

OPTIONS = ClipOptions(
    fps=10,
    min_frames=3,
    max_side=224,
    max_missed=2,
    detector="haar",
    make_detector=lambda: HaarDetector(min_size=30),
    margin=None,
    align=False,
    threads=2,
)


def noise_clip(seed: int, frames: int = 4, side: int = 16) -> np.ndarray:
    """(frames, side, side, 3) uint8 random pixels."""
    return np.stack([noise(100 * seed + number, side, True) for number in range(frames)])


def clip_source(
    clips: Sequence[np.ndarray],
    parts: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    subjects: Sequence[str | None] | None = None,
    name: str = "drawn",
    watch: Callable[[str], None] = lambda _: None,
) -> Source:
    """A source of clips in memory, ten frames a second; ``watch`` is told of each that is read."""
    paths = [f"clip-{number:03d}" for number in range(len(clips))]
    by_path = dict(zip(paths, clips, strict=True))

    def draw(path: str) -> tuple[np.ndarray, np.ndarray]:
        watch(path)
        return by_path[path], np.arange(len(by_path[path])) / 10

    table = build_labelled_table(paths, parts or ["train"] * len(clips), labels or ["fear"] * len(clips))
    source = Source(
        name,
        table,
        lambda path: by_path[path][0],
        get_info=lambda path: ImageInfo(str(hash(by_path[path].tobytes())), by_path[path].shape[1], True),
        clips=DrawnClips(draw),
    )
    return (
        source if subjects is None else replace(source, groups=pd.DataFrame({"subject": list(subjects)}, dtype=object))
    )

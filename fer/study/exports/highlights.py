"""The strongest moments of a stimulus, cut out of its video one after the other, with caption and curve."""

import itertools
import logging
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from typing_extensions import override

from fer.core.io import atomic_write
from fer.study.exports.moments import list_moments, name_moment
from fer.study.exports.prepared import PreparedStudy
from fer.video.encoding import encode_video
from fer.video.probe import VideoError, is_image
from fer.video.reader import FrameSampler, iter_frames

logger = logging.getLogger(__name__)

MAX_CLIPS, MAX_CLIP_S, _MARGIN_S = 6, 6.0, 0.5
# What is shown around is for a presentation, not for an archive.
_MAX_SIDE = 1280
_LIGHT, _DARK, _ACCENT = (245, 245, 245), (30, 30, 30), (60, 170, 250)  # BGR
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class _Clip:
    """A moment's part of the video, and what is drawn into it."""

    start_s: float
    end_s: float
    moment: tuple[float, float]
    caption: str
    seconds: np.ndarray
    means: np.ndarray


class _ClipSampler(FrameSampler):
    """The frames of some clips."""

    def __init__(self, clips: list[_Clip]) -> None:
        self.clips = clips

    @override
    def should_sample(self, index: int, time_s: float) -> bool:
        return any(clip.start_s <= time_s < clip.end_s for clip in self.clips)


def write_highlights(study: PreparedStudy, directory: Path) -> list[Path]:
    """Write `highlights_STIMULUS.mp4` for each stimulus that has a video here and moments.

    Args:
        study: The study.
        directory: Where to.
    """
    paths = []
    for stimulus, label in study.labels.items():
        video, clips = study.media.get(stimulus), _choose_clips(study, stimulus)
        path = directory / f"highlights_{label}.mp4"
        try:
            # A page that was shown has no frames to cut.
            if video is not None and clips and not is_image(video) and _write_clips(video, clips, path):
                paths.append(path)
        except VideoError as error:
            logger.warning("no highlights of stimulus %s: %s", stimulus, error)
    return paths


def _choose_clips(study: PreparedStudy, stimulus: str) -> list[_Clip]:
    """The strongest moments that do not overlap, as the stimulus has them."""
    clips: list[_Clip] = []
    for _, row in list_moments(study.data, stimulus).iterrows():
        start_s, end_s = max(row["start_s"] - _MARGIN_S, 0.0), row["end_s"] + _MARGIN_S
        if end_s - start_s > MAX_CLIP_S:
            peak_s = (row["start_s"] + row["end_s"]) / 2 if pd.isna(row["peak_s"]) else row["peak_s"]
            start_s = min(max(peak_s - MAX_CLIP_S / 2, start_s), end_s - MAX_CLIP_S)
            end_s = start_s + MAX_CLIP_S
        if len(clips) < MAX_CLIPS and all(end_s <= clip.start_s or start_s >= clip.end_s for clip in clips):
            clips.append(
                _Clip(start_s, end_s, (row["start_s"], row["end_s"]), name_moment(row), *_find_curve(study, row))
            )
    return sorted(clips, key=lambda clip: clip.start_s)


def _find_curve(study: PreparedStudy, moment: "pd.Series[Any]") -> tuple[np.ndarray, np.ndarray]:
    """Seconds and means of the whole panel's curve that a moment belongs to."""
    curves = study.data.curves
    curve = curves[
        (curves["group_column"] == "")
        & (curves["stimulus"] == moment["stimulus"])
        & (curves["condition"] == moment["condition"])
        & (curves["measure"] == moment["measure"])
    ].sort_values("second")
    curve = curve.dropna(subset=["second", "mean"])
    return curve["second"].to_numpy(dtype=float), curve["mean"].to_numpy(dtype=float)


def _write_clips(video: Path, clips: list[_Clip], path: Path) -> bool:
    """Write the clips one after the other; False where the video has no frame in any."""
    frames = _iter_drawn_frames(video, clips)
    first = next(frames, None)
    if first is None:
        return False
    with atomic_write(path) as temporary:
        encode_video(itertools.chain([first], frames), temporary)
    return True


def _iter_drawn_frames(video: Path, clips: list[_Clip]) -> Iterator[tuple[np.ndarray, float]]:
    """The frames of the clips with what is drawn in, and their times in the new video."""
    lengths = [clip.end_s - clip.start_s for clip in clips]
    shifts = [0.0, *itertools.accumulate(lengths)]
    size: tuple[int, int] | None = None
    for frame in iter_frames(video, _ClipSampler(clips)):
        if frame.bgr is None:
            continue
        number = next(number for number, clip in enumerate(clips) if clip.start_s <= frame.time_s < clip.end_s)
        clip = clips[number]
        # A frame's size may change within a video.
        size = size or _fit_size(frame.bgr)
        bgr = np.ascontiguousarray(cv2.resize(frame.bgr, size, interpolation=cv2.INTER_AREA))
        _draw_curve(bgr, clip, frame.time_s)
        _draw_caption(bgr, clip.caption, frame.time_s)
        yield bgr, shifts[number] + frame.time_s - clip.start_s


def _fit_size(bgr: np.ndarray) -> tuple[int, int]:
    height, width = bgr.shape[:2]
    scale = min(1.0, _MAX_SIDE / max(height, width))
    # H.264 in 4:2:0 needs even sides.
    return max(round(width * scale) // 2 * 2, 2), max(round(height * scale) // 2 * 2, 2)


def _draw_caption(bgr: np.ndarray, caption: str, time_s: float) -> None:
    """A line at the top, as large as fits: the time in the stimulus and the moment in words."""
    minutes, seconds = divmod(int(time_s), 60)
    # OpenCV's letters are those of ASCII.
    plain = unicodedata.normalize("NFKD", caption).encode("ascii", "ignore").decode()
    text = f"{minutes}:{seconds:02d}  {''.join(letter for letter in plain if letter.isprintable())}"
    height, width = bgr.shape[:2]
    (length, tall), base = cv2.getTextSize(text, _FONT, 1.0, 1)
    scale = min(0.9 * width / length, 0.05 * height / tall)
    bar = int(scale * (tall + base)) + 8
    bgr[:bar] = bgr[:bar] // 4
    cv2.putText(bgr, text, (width // 50, int(scale * tall) + 4), _FONT, scale, _LIGHT, 1, cv2.LINE_AA)


def _draw_curve(bgr: np.ndarray, clip: _Clip, time_s: float) -> None:
    """A strip at the bottom: the panel's curve over the whole stimulus, the moment in it, and where the video is."""
    height, width = bgr.shape[:2]
    top = height - max(height // 6, 8)
    bgr[top:] = bgr[top:] // 4
    if len(clip.seconds) < 2 or clip.seconds[-1] <= clip.seconds[0]:
        return
    first, last = clip.seconds[0], max(clip.seconds[-1], clip.end_s)
    low, high = clip.means.min(), clip.means.max()
    x = (clip.seconds - first) / (last - first) * (width - 1)
    y = height - 3 - (clip.means - low) / max(high - low, 1e-9) * (height - top - 6)
    left, right, now = ((np.array([*clip.moment, time_s]) - first) / (last - first) * (width - 1)).astype(int)
    bgr[top:, max(left, 0) : max(right, 0) + 1] += np.array(_DARK, dtype=np.uint8)
    points = np.stack([x, y], axis=1).round().astype(np.int32)
    cv2.polylines(bgr, [points], False, _ACCENT, max(height // 300, 1), cv2.LINE_AA)
    cv2.line(bgr, (int(now), top), (int(now), height - 1), _LIGHT, 1)

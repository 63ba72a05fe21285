"""A made-up inference run: the clip shows grey squares, and the probabilities were drawn, not measured."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd

from fer.reports.videos import EmotionFigures, GroupPage, Peak, PersonFigures, VideoPage, VideoReport

Write = Callable[[VideoReport], str]
CLASSES = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
SECONDS = 20
FPS = 10


def make_clip(path: Path, codec: str = "libvpx", seconds: int = SECONDS) -> Path:
    """A clip of 128 x 96 pixels that brightens from black to white."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(seconds * FPS):
            picture = np.full((96, 128, 3), 255 * number // (seconds * FPS), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def row(name: str, second: float, track: int | None, status: str, leading: str | None = None) -> dict[str, Any]:
    """A row of the emotion table; ``leading`` has 0.7 (smoothed 0.6), every other class an equal part of the rest."""
    known: dict[str, Any] = {"video": name, "frame": round(second * FPS), "time_s": second, "track_id": track}
    known |= {"status": status, "emotion": leading, "uncertain": None}
    for emotion in CLASSES:
        known[f"p_{emotion}"] = None if leading is None else 0.7 if emotion == leading else 0.05
        known[f"s_{emotion}"] = None if leading is None else 0.6 if emotion == leading else 0.4 / 6
    return known


def emotion_rows(name: str, extra: Sequence[dict[str, Any]] = ()) -> pd.DataFrame:
    """A frame a second: track 0 sad, then happy from second 10 on; nobody in 6 and 7; track 1 in seconds 12 to 15."""
    rows = []
    for second in range(SECONDS):
        if second in (6, 7):
            rows.append(row(name, second, None, "no_face"))
            continue
        rows.append(row(name, second, 0, "ok", "sadness" if second < 10 else "happiness"))
        if 12 <= second <= 15:
            rows.append(row(name, second, 1, "ok", "surprise"))
    table = pd.DataFrame([*rows, *extra])
    return table.assign(track_id=table["track_id"].astype("Int64"), uncertain=pd.array([pd.NA] * len(table), "boolean"))


def per_emotion(classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    names = list(classes)
    shares = [0.0] * len(names)
    shares[3:6] = [0.4545, 0.0, 0.3636]
    return pd.DataFrame({"emotion": names, "mean": 0.1417, "max": 0.7, "min": 0.05, "share": shares})


def person(
    track: int | None = None, smoothed_peaks: Sequence[Peak] | None = None, classes: Sequence[str] = CLASSES
) -> PersonFigures:
    """Smoothed figures 0.6 where raw ones are 0.7; the second moment has no picture of its own."""
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    peaks = smoothed_peaks
    if peaks is None:
        peaks = [Peak("sadness", 3.0, 0.6, 0, picture, 3.0), Peak("surprise", 13.0, 0.6, 1, picture, 14.0)]
    raw = [Peak("sadness", 3.0, 0.7, 0, picture, 3.0), Peak("surprise", 14.0, 0.7, 1, picture, 14.0)]
    smoothed = per_emotion(classes).assign(max=0.6, min=0.1)
    return PersonFigures(track, 22, EmotionFigures(smoothed, list(peaks)), EmotionFigures(per_emotion(classes), raw))


def video_page(source: Path, name: str | None = None, **fields: Any) -> VideoPage:
    name = name or source.name
    complete: dict[str, Any] = {
        "name": name,
        "source": str(source),
        "codec": "vp8",
        "duration_s": float(SECONDS),
        "fps": float(FPS),
        "sampled": SECONDS,
        "usable_share": 0.9,
        "rows": emotion_rows(name),
        "exclusions": [("no face was found", 2)],
        "persons": [person()],
        "tracks": 2,
        "leading": "happiness",
    }
    return VideoPage(**{**complete, **fields})


def broken_page(source: Path) -> VideoPage:
    return video_page(
        source,
        codec="",
        duration_s=None,
        fps=None,
        sampled=0,
        usable_share=None,
        rows=emotion_rows(source.name).iloc[:0],
        exclusions=[("moov atom not found", 1)],
        persons=[],
        tracks=0,
        leading=None,
    )


def group_page(groups: Sequence[str] = ("A", "B"), seconds: int = 12, baseline_seconds: float = 0.0) -> GroupPage:
    """Curves of one stimulus: happiness rises to 0.8 in the first group and 0.4 in the others, the rest is flat."""
    rows = []
    for place, group in enumerate(groups):
        for emotion in CLASSES:
            for second in range(seconds):
                top = 0.8 if place == 0 else 0.4
                mean = top * second / (seconds - 1) if emotion == "happiness" else 0.1
                known = {"stimulus": "spot", "group": group, "emotion": emotion, "second": float(second)}
                known |= {"respondents": 10 - place, "mean": mean, "low": mean - 0.05, "high": mean + 0.05}
                rows.append({**known, "share": min(1.0, mean + 0.1), "max": mean + 0.1, "min": mean - 0.1})
    comparison = pd.DataFrame(
        {
            "stimulus": "spot",
            "emotion": CLASSES,
            "group_a": groups[0],
            "group_b": groups[-1],
            "respondents_a": 10,
            "respondents_b": 9,
            "mean_a": [0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1],
            "mean_b": [0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1213],
            "difference": [0.0, 0.0, 0.0, 0.2, 0.0, 0.0, -0.0213],
            "p": [1.0, 1.0, 1.0, 0.0004, 1.0, np.nan, 0.31],
            "p_corrected": [1.0, 1.0, 1.0, 0.0072, 1.0, np.nan, 0.93],
            "difference_low": [-0.1, -0.1, -0.1, 0.05, -0.1, np.nan, -0.0513],
            "difference_high": [0.1, 0.1, 0.1, 0.35, 0.1, np.nan, 0.0087],
            "effect": [0.0, 0.0, 0.0, 1.2345, 0.0, np.nan, -0.4],
            "p_smallest": 0.0002,
        }
    )
    return GroupPage(pd.DataFrame(rows), comparison, baseline_seconds)


def video_report(videos: Sequence[VideoPage], **fields: Any) -> VideoReport:
    complete: dict[str, Any] = {
        "title": "clips",
        "command": "python infer.py extraction.input=clips/",
        "created": "2026-11-21 12:00 UTC",
        "notes": ["One note."],
        "videos": list(videos),
        "classes": CLASSES,
        "groups": None,
        "model": {"Model": "outputs/train/run"},
        "environment": {"python": "3.11.2"},
        "config_yaml": "seed: 3\nname: clips\n",
        "smoothing": "exponential, 1 s",
    }
    return VideoReport(**{**complete, **fields})

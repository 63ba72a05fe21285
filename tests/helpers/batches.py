"""Emotion tables of made-up batches, whose distributions the tests know."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fer.emotions import EMOTIONS
from tests.helpers.emotion_table import excluded, table_of, usable

FPS = 10


@dataclass(frozen=True)
class Limits:
    min_faces: int = 100
    max_psi: float | None = None
    max_failures: float | None = None
    min_accuracy: float | None = None
    min_macro_f1: float | None = None


def batch(videos: int = 10, faces: int = 60, seed: int = 0, darker: float = 0.0, **fixed: Any) -> pd.DataFrame:
    """Ten faces a second of one person a video, all independent; ``fixed`` replaces columns."""
    random = np.random.default_rng(seed)
    parts = [
        usable(f"{number}.mp4", np.arange(faces) / FPS, random.dirichlet(np.ones(len(EMOTIONS)), faces))
        for number in range(videos)
    ]
    table = table_of(*parts)
    table["brightness"] = random.normal(0.5 - darker, 0.1, len(table))
    table["sharpness"] = random.gamma(3, 100, len(table))
    table["face_w"] = table["face_h"] = random.uniform(50, 150, len(table))
    return table.assign(**fixed)


def videos_of(table: pd.DataFrame, problems: dict[str, str] | None = None) -> pd.DataFrame:
    names = [*table["video"].unique(), *(problems or {})]
    return pd.DataFrame({"video": names, "problem": [(problems or {}).get(name, "") for name in names]})


def with_empty_frames(table: pd.DataFrame, video: str, count: int) -> pd.DataFrame:
    """Behind the video's rows, frames without a face."""
    start = table.loc[table["video"] == video, "time_s"].max() + 1
    return table_of(table, excluded(video, start + np.arange(count) / FPS))

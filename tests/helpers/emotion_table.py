"""Emotion tables for tests."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer.emotions import EMOTIONS

P = [f"p_{name}" for name in EMOTIONS]
S = [f"s_{name}" for name in EMOTIONS]


def table_of(*parts: pd.DataFrame) -> pd.DataFrame:
    """Parts of an emotion table below each other."""
    return pd.concat(parts, ignore_index=True)


def usable(
    video: str, times: Sequence[float], probabilities: np.ndarray, track: int = 0, side: float = 50.0
) -> pd.DataFrame:
    """Rows of usable faces of one track; ``probabilities`` (N, 7)."""
    rows = excluded(video, times, "ok", "").assign(track_id=track, face_w=side, face_h=side, det_score=1.0, faces=1)
    rows[P] = probabilities
    leading = probabilities.argmax(axis=1)
    rows["emotion"] = [EMOTIONS[place] for place in leading]
    rows["confidence"] = probabilities.max(axis=1)
    return rows.astype({"track_id": "Int64", "faces": "Int64", "uncertain": "boolean"})


def excluded(
    video: str, times: Sequence[float], status: str = "no_face", reason: str = "no face was found"
) -> pd.DataFrame:
    """Rows without probabilities; 30 frames a second."""
    seconds = np.asarray(times, float)
    known = {"video": video, "frame": np.round(seconds * 30).astype(int), "time_s": seconds}
    rows = pd.DataFrame({**known, "track_id": None, "status": status, "reason": reason})
    rows[["face_x", "face_y", "face_w", "face_h", "det_score", "sharpness", "brightness", "yaw", "pitch", "roll"]] = (
        np.nan
    )
    rows["faces"] = None if status == "decode_error" else 0
    rows[P] = np.nan
    return rows.assign(emotion=None, confidence=np.nan, uncertain=pd.NA).astype(
        {"track_id": "Int64", "faces": "Int64", "uncertain": "boolean"}
    )


def only(**certain: float) -> np.ndarray:
    """Probabilities (7,) of some emotions; the rest is neutral."""
    found = np.array([certain.get(name, 0.0) for name in EMOTIONS])
    found[EMOTIONS.index("neutral")] += 1 - found.sum()
    return found


def random_faces(count: int, seed: int = 0) -> np.ndarray:
    """Probabilities (count, 7)."""
    return np.random.default_rng(seed).dirichlet(np.full(len(EMOTIONS), 0.4), count)


def happy(values: Sequence[float]) -> np.ndarray:
    """Probabilities (N, 7), happiness as given and neutral for the rest."""
    return np.array([only(happiness=value) for value in values])

"""Emotion tables of recordings and studies for tests."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tests.helpers.emotion_table import P, S, excluded, happy, usable


def watched(
    video: str,
    times: Sequence[float],
    happiness: Sequence[float],
    track: int = 0,
    middle: tuple[float, float] = (200.0, 150.0),
    side: float = 60.0,
) -> pd.DataFrame:
    """Rows of a person who faces the camera, happy as given and neutral for the rest; smoothed as they are."""
    rows = usable(video, times, happy(happiness), track, side)
    rows[S] = rows[P].to_numpy()
    place = {"face_x": middle[0] - side / 2, "face_y": middle[1] - side / 2}
    pose = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "brightness": 0.5}
    return rows.assign(smoothed_emotion=rows["emotion"], **place, **pose)


def empty(video: str, times: Sequence[float], status: str = "no_face") -> pd.DataFrame:
    """Rows without a face, or of frames that could not be decoded."""
    rows = excluded(video, times, status, "why")
    rows[S] = np.nan
    return rows.assign(smoothed_emotion=None)


def in_order(*parts: pd.DataFrame) -> pd.DataFrame:
    """Parts of an emotion table as infer.py writes it, with the number of faces in each frame."""
    table = pd.concat(parts, ignore_index=True).sort_values(["video", "frame"], kind="stable", ignore_index=True)
    faces = table["face_w"].notna().groupby([table["video"], table["frame"]]).transform("sum")
    return table.assign(faces=faces.astype("Int64").where(table["status"] != "decode_error"))

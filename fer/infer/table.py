"""The emotion table: its columns, and how rows become a table."""

from typing import Any

import pandas as pd

ROW_COLUMNS = (
    *("video", "frame", "time_s", "track_id", "status", "reason", "face_x", "face_y", "face_w", "face_h"),
    *("det_score", "sharpness", "brightness", "yaw", "pitch", "roll", "faces"),
)


def build_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows, or none, as a table with the columns and types that every chunk has."""
    table = pd.DataFrame(rows, columns=list(ROW_COLUMNS))
    texts, numbers = ("video", "status", "reason"), ("time_s", *ROW_COLUMNS[6:-1])
    types = {**dict.fromkeys(texts, "str"), **dict.fromkeys(numbers, "float64")}
    return table.astype({**types, "track_id": "Int64", "faces": "Int64", "frame": "int64"})

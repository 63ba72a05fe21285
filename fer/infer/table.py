"""The emotion table: its columns, how rows become a table, and how tables are written."""

from pathlib import Path
from typing import Any

import pandas as pd

from fer.core.csv import write_csv
from fer.core.io import atomic_write

ROW_COLUMNS = (
    *("video", "frame", "time_s", "track_id", "status", "reason", "face_x", "face_y", "face_w", "face_h"),
    *("det_score", "sharpness", "brightness", "yaw", "pitch", "roll", "faces"),
)
# What counts seconds from a beginning: six significant digits would lose 50 ms after three hours.
TIME_COLUMNS = ("time_s", "second", "duration_s", "start_s", "first_s", "last_s")


def build_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows, or none, as a table with the columns and types that every chunk has."""
    table = pd.DataFrame(rows, columns=list(ROW_COLUMNS))
    texts, numbers = ("video", "status", "reason"), ("time_s", *ROW_COLUMNS[6:-1])
    types = {**dict.fromkeys(texts, "str"), **dict.fromkeys(numbers, "float64")}
    return table.astype({**types, "track_id": "Int64", "faces": "Int64", "frame": "int64"})


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write the same rows as .parquet and as .csv, for people: microseconds, and otherwise six significant digits.

    Args:
        table: The table.
        path: The files' path, whose suffix does not matter.
    """
    with atomic_write(path.with_suffix(".parquet")) as temporary:
        table.to_parquet(temporary, index=False)
    # A missing time stays empty.
    times = {
        name: table[name].map("{:.6f}".format, na_action="ignore") for name in TIME_COLUMNS if name in table.columns
    }
    write_csv(table.assign(**times), path.with_suffix(".csv"), float_format="%.6g", lineterminator="\n")

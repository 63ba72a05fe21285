"""The emotion table: its columns, and how rows become a table."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa

ROW_COLUMNS = (
    *("video", "frame", "time_s", "track_id", "status", "reason", "face_x", "face_y", "face_w", "face_h"),
    *("det_score", "sharpness", "brightness", "yaw", "pitch", "roll", "faces"),
)


def build_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows, or none, as a table with the columns and types that every chunk has."""
    texts, whole = ("video", "status", "reason"), ("track_id", "faces")
    types: dict[str, Any] = {**dict.fromkeys(texts, "str"), **dict.fromkeys(whole, "Int64"), "frame": "int64"}
    # Column by column: converting a whole table takes three times as long, and many pictures have one each.
    return pd.DataFrame(
        {name: pd.array([row.get(name) for row in rows], types.get(name, "float64")) for name in ROW_COLUMNS}
    )


def build_arrow_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """The same for a file of Parquet, to the byte: by way of pandas, one for each picture takes three times as long."""
    schema = _build_schema()
    columns = [pa.array([row.get(field.name) for row in rows], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


@cache
def _build_schema() -> pa.Schema:
    return pa.Schema.from_pandas(build_table([]), preserve_index=False)

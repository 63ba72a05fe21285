"""The emotion table: its columns, and how rows become a table."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fer.emotions import AFFECT

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


def build_arrow_table(rows: Sequence[dict[str, Any]], schema: pa.Schema | None = None) -> pa.Table:
    """The same for a file of Parquet, to the byte: by way of pandas, one for each picture takes three times as long."""
    schema = schema or _build_schema()
    columns = [pa.array([row.get(field.name) for row in rows], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


@cache
def build_answer_schema(columns: Sequence[str], classified: bool, pictured: bool) -> pa.Schema:
    """The columns of a chunk whose faces are classified, as pandas would write them.

    Args:
        columns: What is answered: the classes, and behind them valence and arousal where the model has them.
        classified: Whether any of its rows has an emotion; pandas tells no type of a column without values.
        pictured: Whether any of its rows has a picture.
    """
    classes, affect = [name for name in columns if name not in AFFECT], [name for name in columns if name in AFFECT]
    row = build_table([{"frame": 0}]).assign(
        **{f"p_{name}": np.nan for name in classes},
        emotion=pd.Series([classes[0] if classified else None], dtype=object),
        confidence=np.nan,
        **dict.fromkeys(affect, np.nan),
        picture=pd.Series([b"" if pictured else None], dtype=object),
    )
    return pa.Schema.from_pandas(row, preserve_index=False)


@cache
def _build_schema() -> pa.Schema:
    return pa.Schema.from_pandas(build_table([]), preserve_index=False)

"""Finished frames that windows of later ones reach back to, for a run that goes on where it was killed."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fer.errors import DataError
from fer.infer.chunk_store import ChunkStore

_COLUMNS = ["frame", "time_s", "status", "track_id"]


def read_context(store: ChunkStore, seconds: float, before: int | None = None) -> pd.DataFrame:
    """The rows of a video's last frames, from the first one with a usable face on.

    Args:
        store: The video's chunks.
        seconds: How far back from the last frame; 0 finds nothing.
        before: Only frames before this one, of those that are extracted; None takes all.

    Returns:
        ``frame``, ``time_s``, ``status`` and ``track_id`` of each row; empty where there is no usable face.

    Raises:
        DataError: A chunk is damaged.
    """
    rows = store.read(_COLUMNS) if seconds else pd.DataFrame()
    if rows.empty:
        return pd.DataFrame(columns=_COLUMNS)
    if before is not None:
        rows = rows[rows["frame"] < before]
    usable = rows[(rows["status"] == "ok") & (rows["time_s"] >= rows["time_s"].max() - seconds)]
    return rows[rows["frame"] >= usable["frame"].min()] if len(usable) else rows[:0]


def list_track_ids(context: pd.DataFrame) -> dict[int, list[int]]:
    """The track ids of the usable faces of each frame of a context, by frame."""
    usable = context[context["status"] == "ok"]
    ids: dict[int, list[int]] = {frame: [] for frame in context["frame"].astype(int).tolist()}
    for frame, track_id in usable[["frame", "track_id"]].astype(int).itertuples(index=False):
        ids[frame].append(track_id)
    return ids


def set_track_ids(rows: Sequence[dict[str, Any]], track_ids: Sequence[int]) -> None:
    """Give the usable faces of a frame that is looked at again the ids that they had. Raises DataError."""
    usable = [row for row in rows if row["status"] == "ok"]
    if len(usable) != len(track_ids):
        raise DataError(
            f"{rows[0]['video']}: frame {rows[0]['frame']} now has {len(usable)} usable faces instead of "
            f"{len(track_ids)}: the video or the detector has changed since; start a new run"
        )
    for row, track_id in zip(usable, track_ids, strict=True):
        row["track_id"] = track_id

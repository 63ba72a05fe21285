"""extraction.save=dataset: the crops of a run as a data set, with a row a face and a list of what is no face of it."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fer.core.csv import write_csv
from fer.core.io import atomic_write, compute_sha256, write_text
from fer.core.run_layout import CROPS_DIR, DATASET_JSON, FACES_PARQUET, LEFT_OUT_CSV
from fer.errors import DataError
from fer.infer.extract import build_crop_path
from fer.infer.video_stores import open_video_stores

_BOX = ("face_x", "face_y", "face_w", "face_h", "det_score")
_QUALITY = ("sharpness", "brightness", "yaw", "pitch", "roll")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("path", "picture", "source")),
        *((name, pa.int64()) for name in ("frame", "face", "width", "height")),
        *((name, pa.float64()) for name in (*_BOX, *_QUALITY)),
        *((name, pa.string()) for name in ("sha256", "source_sha256")),
    ]
)
# What is read of each row, and what is known of its picture.
_ROW = pa.schema(
    [("frame", pa.int64()), *((name, pa.string()) for name in ("status", "reason"))]
    + [(name, pa.float64()) for name in (*_BOX, *_QUALITY)]
)
_FACTS = {
    "number": "int64",
    "picture": "str",
    "source": "str",
    "source_sha256": "str",
    "width": "Int64",
    "height": "Int64",
}
_LEFT_OUT = ["picture", "source", "frame", "face", "status", "reason", *_BOX, "source_sha256"]
# What cannot be opened has no rows.
UNREADABLE = "unreadable"
# Rows that are in memory at a time, and those of one picture or video more.
BLOCK_ROWS = 1024
log = logging.getLogger(__name__)


def write_face_dataset(run_directory: Path, count: int) -> int:
    """Write faces.parquet, left_out.csv and dataset.json beside the crops of a finished extraction.

    Only the faces of some pictures are in memory at a time, however many there are.

    Args:
        run_directory: The run.
        count: How many pictures or videos it looks at.

    Returns:
        How many faces there are.

    Raises:
        DataError: A chunk or a crop is damaged, or gone.
    """
    folder = run_directory / CROPS_DIR
    folder.mkdir(exist_ok=True)
    # What a killed run was writing.
    for leftover in folder.glob("*/.*.part"):
        leftover.unlink()
    faces, most = 0, 0
    left_out: list[pd.DataFrame] = []
    with atomic_write(folder / FACES_PARQUET) as temporary, pq.ParquetWriter(temporary, _SCHEMA) as writer:
        for rows in _iter_blocks(run_directory, count):
            is_face = rows["status"] == "ok"
            left_out.append(rows.loc[~is_face, _LEFT_OUT])
            kept = rows[is_face]
            places = kept[["number", "frame", "face"]].itertuples(index=False, name=None)
            paths = [build_crop_path(run_directory, *place) for place in places]
            kept = kept.assign(
                path=[path.relative_to(folder).as_posix() for path in paths],
                sha256=[_hash_crop(path) for path in paths],
            )
            writer.write_table(pa.Table.from_pandas(kept[_SCHEMA.names], _SCHEMA, preserve_index=False))
            faces += len(kept)
            most = max([most, *kept["number"].value_counts()])
    listed = pd.concat(left_out)
    write_csv(listed, folder / LEFT_OUT_CSV)
    statuses = {str(name): int(number) for name, number in listed["status"].value_counts().sort_index().items()}
    content = {"pictures": count, "faces": faces, "most_faces_of_a_picture": most, "left_out": statuses}
    write_text(folder / DATASET_JSON, json.dumps(content, indent=2) + "\n")
    told = ", ".join(f"{number} {status}" for status, number in statuses.items())
    log.info("Data set: %d faces of %d pictures%s: %s", faces, count, told and f" ({told})", folder)
    return faces


def _iter_blocks(run_directory: Path, count: int) -> Iterator[pd.DataFrame]:
    """The rows of all pictures, some at a time, with what is known of each; one row says why a picture has none."""
    tables: list[pa.Table] = []
    facts: list[dict[str, Any]] = []
    for number, store in open_video_stores(run_directory, range(count)).items():
        record = store.completion_record() or {}
        table = store.read_as_arrow(_ROW)
        if not len(table):
            reason = record["problem"] or "no frame in it"
            table = pa.Table.from_pylist([{"status": UNREADABLE, "reason": reason}], _ROW)
        tables.append(table)
        known = {"number": number, "picture": record["video"], "source": record["path"]}
        known |= {
            "source_sha256": record.get("sha256", ""),
            "width": record.get("width"),
            "height": record.get("height"),
        }
        facts += [known] * len(table)
        if len(facts) >= BLOCK_ROWS or number == count - 1:
            yield _join(tables, facts)
            tables, facts = [], []


def _join(tables: list[pa.Table], facts: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows beside what is known of the picture of each, and ``face``, the place among those of a frame."""
    rows = pa.concat_tables(tables).combine_chunks().to_pandas().astype({"frame": "Int64"})
    rows = pd.concat([rows, pd.DataFrame(facts).astype(_FACTS)], axis=1)
    # What is no face has no place.
    places = rows.groupby(["number", "frame"]).cumcount()
    return rows.assign(face=places.astype("Int64").where(rows["det_score"].notna()))


def _hash_crop(path: Path) -> str:
    """SHA-256 of a crop. Raises DataError."""
    try:
        return compute_sha256(path)
    except OSError as error:
        raise DataError(
            f"{path}: this crop cannot be read ({error.strerror}); remove the run, and extract anew"
        ) from None

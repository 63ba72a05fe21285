"""extraction.save=dataset: the crops of a run as a data set, with a row a face and a list of what is no face of it."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fer.core.csv import write_csv
from fer.core.io import atomic_write, compute_sha256, write_text
from fer.core.run_layout import CROPS_DIR, DATASET_JSON, FACES_PARQUET, LEFT_OUT_CSV
from fer.errors import DataError
from fer.infer.chunk_store import ChunkStore
from fer.infer.extract import build_crop_path

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
_LEFT_OUT = ["picture", "source", "frame", "face", "status", "reason", *_BOX, "source_sha256"]
# What cannot be opened has no rows.
UNREADABLE = "unreadable"
# Faces that stay in memory before they are written.
BLOCK_FACES = 4096
log = logging.getLogger(__name__)


@dataclass
class _Findings:
    """What the pictures of a data set hold: how many faces each, and rows of what is left out."""

    pictures: int = 0
    faces: int = 0
    most_faces: int = 0
    left_out: list[dict[str, Any]] = field(default_factory=list)


def write_face_dataset(run_directory: Path, count: int) -> None:
    """Write faces.parquet, left_out.csv and dataset.json beside the crops of a finished extraction.

    Only some faces are in memory at a time, however many pictures there are.

    Args:
        run_directory: The run.
        count: How many pictures or videos it looks at.

    Raises:
        DataError: A chunk or a crop is damaged, or gone.
    """
    folder = run_directory / CROPS_DIR
    folder.mkdir(exist_ok=True)
    # What a killed run was writing.
    for leftover in folder.glob("*/.*.part"):
        leftover.unlink()
    found = _Findings()
    with atomic_write(folder / FACES_PARQUET) as temporary, pq.ParquetWriter(temporary, _SCHEMA) as writer:
        block: list[dict[str, Any]] = []
        for face in _iter_faces(run_directory, count, found):
            block.append(face)
            if len(block) == BLOCK_FACES:
                writer.write_table(pa.Table.from_pylist(block, _SCHEMA))
                block.clear()
        writer.write_table(pa.Table.from_pylist(block, _SCHEMA))
    left_out = pd.DataFrame(found.left_out, columns=_LEFT_OUT).astype({"frame": "Int64", "face": "Int64"})
    write_csv(left_out, folder / LEFT_OUT_CSV)
    reasons = Counter(row["status"] for row in found.left_out)
    content = {
        "pictures": found.pictures,
        "faces": found.faces,
        "most_faces_of_a_picture": found.most_faces,
        "left_out": dict(sorted(reasons.items())),
    }
    write_text(folder / DATASET_JSON, json.dumps(content, indent=2) + "\n")
    listed = ", ".join(f"{number} {status}" for status, number in sorted(reasons.items()))
    log.info("Data set: %d faces of %d pictures%s: %s", found.faces, count, listed and f" ({listed})", folder)


def _iter_faces(run_directory: Path, count: int, found: _Findings) -> Iterator[dict[str, Any]]:
    """A row for each face that is kept; what is left out goes to ``found``."""
    for number in range(count):
        store = ChunkStore.for_video(run_directory, number)
        record = store.completion_record() or {}
        facts = {
            "picture": record["video"],
            "source": record["path"],
            "source_sha256": record.get("sha256", ""),
            **{key: record.get(key) for key in ("width", "height")},
        }
        found.pictures += 1
        faces = 0
        rows = store.read(["frame", "status", "reason", *_BOX, *_QUALITY]) if store.list_chunks() else pd.DataFrame()
        if rows.empty:
            found.left_out.append({**facts, "status": UNREADABLE, "reason": record["problem"] or "no frame in it"})
            continue
        rows["face"] = rows.groupby("frame").cumcount()
        listed = cast("list[dict[str, Any]]", rows.astype(object).where(rows.notna(), None).to_dict("records"))
        for row in listed:
            if row["status"] != "ok":
                found.left_out.append({**facts, **row, "face": row["face"] if row["det_score"] is not None else None})
                continue
            path = build_crop_path(run_directory, number, row["frame"], row["face"])
            yield {**facts, **row, "path": path.relative_to(run_directory / CROPS_DIR).as_posix(), **_hash_crop(path)}
            faces += 1
        found.faces += faces
        found.most_faces = max(found.most_faces, faces)


def _hash_crop(path: Path) -> dict[str, str]:
    try:
        return {"sha256": compute_sha256(path)}
    except OSError as error:
        raise DataError(
            f"{path}: this crop cannot be read ({error.strerror}); remove the run, and extract anew"
        ) from None

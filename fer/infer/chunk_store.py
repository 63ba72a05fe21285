"""What a running infer.py has finished so far, in chunks that survive a kill: `parts/` of the run directory."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fer.core.documents import read_json_object
from fer.core.io import atomic_write, write_text
from fer.core.parquet import read_arrow_table
from fer.core.run_layout import PARTS_DIR
from fer.errors import DataError, shorten_error

COMPLETION_FILE = "video.json"
# Of the facts about a video; texts are those that no run lacks.
_TEXTS = ("video", "problem")
_NUMBERS = {"width", "height", "fps", "frames", "duration_s", "rotation", "start_s"}


def join_chunks(chunks: Iterable[pa.Table]) -> pd.DataFrame:
    """Chunks as one table, empty where there are none.

    Those of one form are converted together: thousands of pictures have one row each.
    """
    alike = groupby(chunks, key=lambda chunk: (chunk.schema, chunk.schema.metadata))
    tables = [pa.concat_tables(group).to_pandas() for _, group in alike]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def check_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return the facts about a video as they are. Raises ValueError where one is not of its kind."""
    for name, value in record.items():
        if not isinstance(value, int | float if name in _NUMBERS else str | int | float | None):
            raise ValueError(f"{name} is not a {'number' if name in _NUMBERS else 'text'}")
    if foreign := [name for name in _TEXTS if not isinstance(record.get(name), str)]:
        raise ValueError(f"{foreign[0]} is missing, or is not a text")
    return record


def check_rows(table: pa.Table) -> pa.Table:
    """Return rows of an emotion table as they are. Raises ValueError where they are not."""
    if missing := {"video", "frame", "time_s", "status", "reason"} - {*table.column_names}:
        raise ValueError(f"it has no column {min(missing)}")
    status = table.schema.field("status").type
    if len(table) and not (pa.types.is_string(status) or pa.types.is_large_string(status)):
        raise ValueError("its column status has other values")
    return table


@dataclass(frozen=True)
class ChunkStore:
    """Chunks of the emotion table of one video: some sampled frames each, whole frames only, in their order.

    ``video.json`` is written last; without it the video is unfinished.

    Attributes:
        folder: Directory of the video's chunks.
    """

    folder: Path

    @classmethod
    def for_video(cls, run_directory: Path, number: int) -> "ChunkStore":
        """The chunks of a run's video, counted from 0."""
        return cls(run_directory / PARTS_DIR / f"{number:05d}")

    def list_chunks(self) -> list[Path]:
        """The files that are there, in order."""
        # Asked of each of thousands of images, most of which have no folder; a glob takes several times as long.
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        return sorted(self.folder / name for name in names if name[:1].isdecimal() and name.endswith(".parquet"))

    def has_rows(self) -> bool:
        """Whether there are any: none where the video could not be opened."""
        return bool(self.list_chunks())

    def write_chunk(self, index: int, rows: pd.DataFrame | pa.Table) -> None:
        """Write the chunk of this number, or replace it."""
        with atomic_write(self.folder / f"{index:06d}.parquet") as temporary:
            if isinstance(rows, pa.Table):
                pq.write_table(rows, temporary)
            else:
                rows.to_parquet(temporary, index=False)

    def read_chunk(self, file: Path, columns: list[str] | None = None) -> pd.DataFrame:
        """One of the chunks, or ``columns`` of it. Raises DataError."""
        return join_chunks([self.read_arrow_chunk(file, columns)])

    def read(self, columns: list[str] | None = None) -> pd.DataFrame:
        """All chunks, or ``columns`` of them, as one table; empty where there are none. Raises DataError."""
        return join_chunks(self.read_arrow_chunk(file, columns) for file in self.list_chunks())

    def iter_chunks(self) -> Iterator[pa.Table]:
        """All chunks, one after the other. Raises DataError."""
        return map(self.read_arrow_chunk, self.list_chunks())

    def read_as_arrow(self, schema: pa.Schema) -> pa.Table:
        """The columns of ``schema`` of all chunks. Raises DataError."""
        chunks = (self.read_arrow_chunk(file, schema.names, schema) for file in self.list_chunks())
        return pa.concat_tables([schema.empty_table(), *chunks])

    def read_arrow_chunk(
        self, file: Path, columns: list[str] | None = None, schema: pa.Schema | None = None
    ) -> pa.Table:
        """One of the chunks, or ``columns`` of it, in the types of ``schema``; faster than pandas. Raises DataError."""
        try:
            chunk = read_arrow_table(file, columns) if columns else check_rows(read_arrow_table(file))
            return chunk if schema is None else chunk.cast(schema)
        except (OSError, ValueError) as error:
            raise self._build_damage_error(file, error) from None

    def drop_pictures(self) -> None:
        """Remove the pictures of faces from all chunks. Raises DataError."""
        for file in self.list_chunks():
            rows = self.read_chunk(file)
            if "picture" in rows and rows["picture"].notna().any():
                self.write_chunk(int(file.stem), rows.assign(picture=None))

    def count_usable(self) -> int:
        """The number of faces that are fit to be classified. Raises DataError."""
        chunks = (self.read_arrow_chunk(file, ["status"]) for file in self.list_chunks())
        return sum(chunk["status"].to_pylist().count("ok") for chunk in chunks)

    def mark_complete(self, record: dict[str, Any]) -> None:
        """Mark the video as finished, with the facts about it."""
        write_text(self.folder / COMPLETION_FILE, json.dumps(record, indent=2) + "\n")

    def completion_record(self) -> dict[str, Any] | None:
        """The facts that ``mark_complete`` was given, or None for an unfinished video. Raises DataError."""
        file = self.folder / COMPLETION_FILE
        try:
            return check_record(read_json_object(file)) if file.is_file() else None
        except ValueError as error:
            raise self._build_damage_error(file, error) from None

    def _build_damage_error(self, file: Path, error: Exception) -> DataError:
        return DataError(
            f"{file}: is damaged ({shorten_error(error)}); remove the directory {self.folder} and resume, "
            "which does this video anew"
        )

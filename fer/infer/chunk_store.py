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


def join_chunks(chunks: Iterable[pa.Table]) -> pd.DataFrame:
    """Chunks as one table, empty where there are none.

    Those of one form are converted together: thousands of pictures have one row each.
    """
    alike = groupby(chunks, key=lambda chunk: (chunk.schema, chunk.schema.metadata))
    tables = [pa.concat_tables(group).to_pandas() for _, group in alike]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


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
            chunk = read_arrow_table(file, columns)
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
            return read_json_object(file) if file.is_file() else None
        except ValueError as error:
            raise self._build_damage_error(file, error) from None

    def _build_damage_error(self, file: Path, error: Exception) -> DataError:
        return DataError(
            f"{file}: is damaged ({shorten_error(error)}); remove the directory {self.folder} and resume, "
            "which does this video anew"
        )

"""Parquet files that may come from anybody: a few bytes of them can stand for more rows than fit into memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from fer.errors import shorten_error

# Every row of our tables has an id or a time of its own, which takes some bytes; constant columns take none.
SPARE_CELLS, CELLS_PER_BYTE = 1_000_000, 16
MAX_COLUMNS = 10_000
# Text that dictionaries repeat: names of videos and classes, a few dozen bytes a row.
SPARE_TEXT_BYTES, TEXT_BYTES_PER_BYTE = 64 << 20, 100


class ParquetError(ValueError):
    """A file is no Parquet, is damaged, or expands too far; the message says why, without a name."""


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file, after a look at what it would expand to.

    Args:
        path: The file.
        columns: Those to read, by default all.

    Raises:
        OSError: It cannot be opened.
        ParquetError: It is none, is damaged, lacks a column, or expands too far.
    """
    with _explain_damage():
        _check_expansion(path, columns)
        return pd.read_parquet(path, columns=None if columns is None else list(columns))


def read_arrow_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file as ``read_parquet`` does, in a fraction of its time where there are few rows."""
    with _explain_damage():
        _check_expansion(path, columns)
        with pq.ParquetFile(path) as file:
            if columns is None:
                return file.read(use_threads=False)
            return file.read(list(columns), use_threads=False).select(columns)


@contextmanager
def _explain_damage() -> Iterator[None]:
    try:
        yield
    except (ParquetError, OSError):
        raise
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by, MemoryError and RecursionError among them.
        raise ParquetError(shorten_error(error)) from None


def _check_expansion(path: Path, columns: Sequence[str] | None) -> None:
    size = path.stat().st_size
    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        if metadata.num_columns > MAX_COLUMNS:
            raise ParquetError(f"it has more than {MAX_COLUMNS:,} columns")
        cells = sum(
            group.column(column).num_values
            for group in map(metadata.row_group, range(metadata.num_row_groups))
            for column in range(metadata.num_columns)
        )
        if max(cells, metadata.num_rows) > SPARE_CELLS + CELLS_PER_BYTE * size:
            raise ParquetError(f"it expands to {max(cells, metadata.num_rows):,} values")
        texts = [
            field.name
            for field in file.schema_arrow
            if (columns is None or field.name in columns) and _is_text(field.type)
        ]
    if not texts:
        return
    # Read as dictionaries, texts take no more than the file says of itself.
    total = 0
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        for batch in file.iter_batches(columns=texts):
            total += sum(map(_measure_text, batch.columns))
            if total > SPARE_TEXT_BYTES + TEXT_BYTES_PER_BYTE * size:
                raise ParquetError(f"its texts expand to more than {total >> 20} MiB")


def _is_text(kind: pa.DataType) -> bool:
    return any(
        check(kind)
        for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _measure_text(column: pa.Array) -> int:
    """Return the bytes that a column of texts takes without its dictionary."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pa.compute.binary_length(column.dictionary)
    return int(pa.compute.sum(pa.compute.take(lengths, column.indices)).as_py() or 0)

"""What a running infer.py has finished of its images: many of them in one folder of `parts/`.

A folder for each would take half as long as judging the image does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fer.core.documents import read_json_object
from fer.core.io import atomic_write, write_text
from fer.core.parquet import read_arrow_table
from fer.core.run_layout import PARTS_DIR
from fer.errors import DataError, shorten_error
from fer.infer.chunk_store import ChunkStore, check_record, check_rows

BATCH_TABLE, BATCH_RECORDS = "images.parquet", "images.json"


@dataclass(frozen=True)
class FinishedImage:
    """An image of a batch.

    Attributes:
        number: Its number in the run.
        rows: How many rows of the batch's table are of it.
        record: The facts about it, as those of a video.
    """

    number: int
    rows: int
    record: dict[str, Any]


class ImageBatch:
    """Finished images in one folder, which is named by the number of the first.

    ``images.json`` is written last; without it none of them is finished.

    Args:
        folder: The folder.
        images: The images, in order.
    """

    def __init__(self, folder: Path, images: Sequence[FinishedImage]) -> None:
        self.folder, self.images = folder, tuple(images)

    @classmethod
    def load(cls, folder: Path) -> "ImageBatch":
        """Load the batch of a folder. Raises DataError."""
        try:
            images = [_parse_image(item) for item in read_json_object(folder / BATCH_RECORDS)["images"]]
            numbers = [image.number for image in images]
            if numbers != sorted({*numbers}) or numbers[:1] != [int(folder.name)]:
                raise ValueError("the numbers of its images are not those of its folder")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _build_damage_error(folder / BATCH_RECORDS, error) from None
        return cls(folder, images)

    def mark_complete(self) -> None:
        """Mark the images as finished, with the facts about them."""
        lines = ",\n".join(json.dumps(vars(image)) for image in self.images)
        write_text(self.folder / BATCH_RECORDS, f'{{"images": [\n{lines}\n]}}\n')

    @cached_property
    def table(self) -> pa.Table:
        """The rows of all images, one image after the other. Raises DataError."""
        file = self.folder / BATCH_TABLE
        try:
            table = check_rows(read_arrow_table(file))
            if len(table) != self._bounds[-1]:
                raise ValueError(f"it has {len(table)} rows, and {BATCH_RECORDS} counts {self._bounds[-1]}")
        except (OSError, ValueError) as error:
            raise _build_damage_error(file, error) from None
        return table

    @cached_property
    def statuses(self) -> list[str]:
        """The status of each row. Raises DataError."""
        return self.table["status"].to_pylist()

    @cached_property
    def _bounds(self) -> list[int]:
        """Where the rows of each image begin, and those of the last one end."""
        return list(accumulate((image.rows for image in self.images), initial=0))

    def get_rows(self, place: int) -> slice:
        """Which rows are of the image at this place."""
        return slice(self._bounds[place], self._bounds[place + 1])

    def list_chunks(self) -> list[pa.Table]:
        """The rows of all images. Joined, they have the types of as many chunks of their own. Raises DataError."""
        if not len(self.table):
            return []
        if all(self._has_emotions(place) for place in range(len(self.images))):
            return [self.table]
        return [self.table, _forget_emotions(self.table.slice(0, 0))]

    def read_chunk(self, place: int) -> pa.Table:
        """The rows of one image, in the types that a chunk of its own would have. Raises DataError."""
        rows = self.get_rows(place)
        chunk = self.table.slice(rows.start, rows.stop - rows.start)
        return chunk if self._has_emotions(place) else _forget_emotions(chunk)

    def _has_emotions(self, place: int) -> bool:
        """Whether the emotions of an image have a type: pandas knows none of a column without values."""
        statuses = self.statuses[self.get_rows(place)]
        return not statuses or "ok" in statuses or "emotion" not in self.table.column_names

    def drop_pictures(self) -> None:
        """Remove the pictures of faces. Raises DataError."""
        if "picture" in self.table.column_names and self.table["picture"].null_count < len(self.table):
            write_batch_table(self.folder, _empty_column(self.table, "picture"))
            del self.table


def _parse_image(item: Any) -> FinishedImage:
    """Check an image's entry. Raises ValueError, KeyError and TypeError."""
    number, rows = item["number"], item["rows"]
    if type(number) is not int or type(rows) is not int or rows < 0:
        raise ValueError("a number of an image, or of its rows, is none")
    return FinishedImage(number, rows, check_record(dict(item["record"])))


def write_batch_table(folder: Path, rows: pa.Table) -> None:
    """Write the rows of all images of a batch, one image after the other."""
    with atomic_write(folder / BATCH_TABLE) as temporary:
        pq.write_table(rows, temporary)


def load_batches(run_directory: Path) -> list[ImageBatch]:
    """Load the batches of a run. Raises DataError."""
    files = sorted((run_directory / PARTS_DIR).glob(f"[0-9]*/{BATCH_RECORDS}"))
    return [ImageBatch.load(file.parent) for file in files]


def split_batches(run_directory: Path) -> None:
    """Give each image of a run a folder of its own, as a video has; can be done again where it was interrupted.

    Raises:
        DataError: A batch is damaged.
    """
    for batch in load_batches(run_directory):
        for place, image in enumerate(batch.images):
            store = ChunkStore.for_video(run_directory, image.number)
            if image.rows:
                store.write_chunk(0, batch.read_chunk(place))
            store.mark_complete(image.record)
        (batch.folder / BATCH_RECORDS).unlink()
    # Also of a batch that a killed run has begun.
    for file in (run_directory / PARTS_DIR).glob(f"[0-9]*/{BATCH_TABLE}"):
        file.unlink()


def _forget_emotions(chunk: pa.Table) -> pa.Table:
    return _empty_column(chunk, "emotion")


def _empty_column(table: pa.Table, name: str) -> pa.Table:
    """The table with a column that has neither values nor a type."""
    return table.set_column(table.column_names.index(name), name, pa.nulls(len(table)))


def _build_damage_error(file: Path, error: Exception) -> DataError:
    return DataError(
        f"{file}: is damaged ({shorten_error(error)}); remove the directory {file.parent} and resume, which does these "
        "images anew"
    )

"""What a run has finished of each of its videos and images, whichever way it keeps it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from fer.infer.chunk_store import ChunkStore, join_chunks
from fer.infer.image_batch import ImageBatch, load_batches


@dataclass(frozen=True)
class BatchedImage:
    """A finished image of a batch; can be asked what a ``ChunkStore`` can.

    Attributes:
        batch: The batch.
        place: Which of its images it is.
    """

    batch: ImageBatch
    place: int

    @property
    def folder(self) -> Path:
        """Where the batch is kept."""
        return self.batch.folder

    def has_rows(self) -> bool:
        """Whether there are rows: none where the image could not be opened."""
        return self.batch.images[self.place].rows > 0

    def iter_chunks(self) -> Iterator[pa.Table]:
        """Its rows, if there are any. Raises DataError."""
        if self.has_rows():
            yield self.batch.read_chunk(self.place)

    def read(self, columns: list[str]) -> pd.DataFrame:
        """Some columns of its rows, empty where there are none. Raises DataError."""
        return join_chunks(chunk.select(columns) for chunk in self.iter_chunks())

    def read_as_arrow(self, schema: pa.Schema) -> pa.Table:
        """The columns of ``schema``. Raises DataError."""
        return self.batch.read_chunk(self.place).select(schema.names).cast(schema)

    def drop_pictures(self) -> None:
        """Remove the pictures of faces from the whole batch. Raises DataError."""
        self.batch.drop_pictures()

    def count_usable(self) -> int:
        """The number of faces that are fit to be classified. Raises DataError."""
        return self.batch.statuses[self.batch.get_rows(self.place)].count("ok")

    def completion_record(self) -> dict[str, Any]:
        """The facts about it."""
        return self.batch.images[self.place].record


VideoStore = ChunkStore | BatchedImage


def open_video_stores(run_directory: Path, numbers: Iterable[int]) -> dict[int, VideoStore]:
    """Open what a run has of its videos and images, as it is now.

    Args:
        run_directory: The run.
        numbers: Which of them.

    Returns:
        By number; those that are finished have a ``completion_record``.

    Raises:
        DataError: A batch of images is damaged.
    """
    images = {
        image.number: BatchedImage(batch, place)
        for batch in load_batches(run_directory)
        for place, image in enumerate(batch.images)
    }
    return {number: images.get(number) or ChunkStore.for_video(run_directory, number) for number in numbers}

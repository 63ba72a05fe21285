"""The work of annotators, batch after batch, each kept in a file of its own that survives a kill."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer.annotate.annotators import COMPUTED_FACES, Annotator
from fer.annotate.faces import FaceFiles
from fer.annotate.judgement import Judgement
from fer.annotate.labels import build_rows, build_table
from fer.core.io import atomic_write
from fer.core.parquet import read_parquet
from fer.core.prefetch import prefetch
from fer.core.progress import track_progress
from fer.core.run_layout import PARTS_DIR
from fer.errors import DataError, shorten_error

BATCHES = "batches"
# Blocks of faces that are read ahead.
AHEAD = 2
# A block of whole photographs is shorter: so many bytes of pixels, and the last picture.
BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class _Block:
    """Some faces of a batch, perhaps its last ones: their paths, those that can be read, and why the others cannot."""

    batch: int
    is_last: bool
    paths: list[str]
    faces: list[np.ndarray]
    problems: dict[str, str]


class BatchStore:
    """The finished batches of a run.

    Args:
        run_directory: The run.
        size: Faces of a batch.
    """

    def __init__(self, run_directory: Path, size: int) -> None:
        self.folder, self.size = run_directory / PARTS_DIR / BATCHES, size

    def build_path(self, number: int) -> Path:
        """The file of a batch."""
        return self.folder / f"{number:06d}.parquet"

    def list_missing(self, count: int) -> list[int]:
        """The batches of so many faces that are not finished."""
        return [number for number in range(-(-count // self.size)) if not self.build_path(number).is_file()]

    def read(self, count: int) -> pd.DataFrame:
        """All batches of so many faces, one below the other. Raises DataError."""
        return pd.concat([self._read_batch(number) for number in range(-(-count // self.size))], ignore_index=True)

    def _read_batch(self, number: int) -> pd.DataFrame:
        path = self.build_path(number)
        try:
            return read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: cannot be read ({shorten_error(error)}); remove it and resume, which labels this batch anew"
            ) from None


def label_batches(
    faces: FaceFiles, annotators: Sequence[Annotator], emotions: Sequence[str], store: BatchStore
) -> None:
    """Have all annotators label every face, but for the batches that are finished.

    They work at the same time, while the next faces are read.

    Args:
        faces: The faces.
        annotators: Who labels them.
        emotions: The classes of all annotators.
        store: Where the batches are kept.

    Raises:
        UserError: An annotator cannot go on.
    """
    paths = faces.table["path"].tolist()
    wanted = store.list_missing(len(paths))
    blocks = prefetch(_iter_blocks(faces, paths, wanted, store.size), AHEAD)
    total = sum(len(paths[number * store.size : (number + 1) * store.size]) for number in wanted)
    rows: list[list[dict[str, Any]]] = [[] for _ in annotators]
    with ThreadPoolExecutor(len(annotators)) as pool:
        for block in track_progress(blocks, total, "Labelling", "faces", size=lambda block: len(block.paths)):
            judged = pool.map(partial(_judge, block), annotators)
            for own, annotator, judgements in zip(rows, annotators, judged, strict=True):
                own += build_rows(annotator.name, block.paths, judgements, emotions)
            if block.is_last:
                table = build_table([row for own in rows for row in own])
                with atomic_write(store.build_path(block.batch)) as temporary:
                    table.to_parquet(temporary, index=False)
                rows = [[] for _ in annotators]


def _iter_blocks(faces: FaceFiles, paths: list[str], wanted: Sequence[int], size: int) -> Iterator[_Block]:
    for number in wanted:
        batch = paths[number * size : (number + 1) * size]
        block, held = _Block(number, False, [], [], {}), 0
        for place, path in enumerate(batch, 1):
            block.paths.append(path)
            try:
                face = faces.read(path)
                block.faces.append(face)
                held += face.nbytes
            except DataError as error:
                block.problems[path] = str(error)
            if place == len(batch) or len(block.paths) == COMPUTED_FACES or held > BLOCK_BYTES:
                yield replace(block, is_last=place == len(batch))
                block, held = _Block(number, False, [], [], {}), 0


def _judge(block: _Block, annotator: Annotator) -> list[Judgement]:
    """The judgement of each face of a block; of those that cannot be read, why."""
    judged = iter(annotator.judge(block.faces) if block.faces else [])
    return [Judgement(problem=block.problems[path]) if path in block.problems else next(judged) for path in block.paths]

"""Faces that an earlier extraction has left: chunks that are not classified yet, and crops in files."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pandas as pd

from fer.errors import DataError
from fer.infer.chunk_store import ChunkStore
from fer.infer.context import read_context
from fer.infer.extract import FrameFaces, VideoEnd, build_crop_path


def insert_pending_crops(
    run_directory: Path, numbers: Sequence[int], extracted: Iterable[FrameFaces | VideoEnd], context_s: float
) -> Iterator[FrameFaces | VideoEnd]:
    """Yield what is to be classified, each video in one piece and in the order of its frames.

    Where an extraction was killed in the middle of a video, what it has left comes right before the rest of the video:
    windows reach over both.

    Args:
        run_directory: The run.
        numbers: Its videos.
        extracted: What is extracted now: the rest of all unfinished videos, or nothing.
        context_s: See ``iter_pending_crops``.

    Raises:
        DataError: A chunk or crop is damaged.
    """
    stores = {number: ChunkStore.for_video(run_directory, number) for number in numbers}
    finished = [number for number, store in stores.items() if store.completion_record() is not None]
    yield from iter_pending_crops(run_directory, finished, context_s)
    for video, items in groupby(extracted, lambda item: item.video):
        yield from iter_pending_crops(run_directory, [video], context_s)
        yield from items


def iter_pending_crops(run_directory: Path, numbers: Iterable[int], context_s: float = 0.0) -> Iterator[FrameFaces]:
    """The chunks of an earlier extraction that are not classified yet, with their saved crops. Raises DataError.

    Their rows have the column ``face_index``, which counts the faces of a frame from the largest.

    Args:
        run_directory: The run.
        numbers: Which of its videos.
        context_s: Where a killed run has classified the beginning of a video, so many seconds of it come first, as
            context.
    """
    for number in numbers:
        store = ChunkStore.for_video(run_directory, number)
        begins = True
        for file in store.list_chunks():
            rows = store.read_chunk(file)
            if "emotion" in rows:
                continue
            if begins and context_s and len(context := read_context(store, context_s, int(rows["frame"].min()))):
                yield _attach_crops(run_directory, number, -1, context, is_context=True)
            begins = False
            yield _attach_crops(run_directory, number, int(file.stem), rows)


def _attach_crops(
    run_directory: Path, number: int, chunk_index: int, rows: pd.DataFrame, is_context: bool = False
) -> FrameFaces:
    """Rows of a video with the crops of the usable ones among them. Raises DataError."""
    rows = rows.assign(face_index=rows.groupby("frame").cumcount())
    ok = rows.loc[rows["status"] == "ok", ["frame", "face_index"]].to_numpy(int)
    crops = [read_crop(build_crop_path(run_directory, number, frame, index)) for frame, index in ok.tolist()]
    return FrameFaces(number, chunk_index, cast("list[dict[str, Any]]", rows.to_dict("records")), crops, is_context)


def read_crop(path: Path) -> np.ndarray:
    """(side, side, 3) uint8 RGB. Raises DataError."""
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise DataError(f"{path}: cannot be read; extract again in a new run")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

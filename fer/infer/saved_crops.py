"""Faces that an earlier extraction has left: chunks that are not classified yet, and crops in files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pandas as pd

from fer.errors import DataError
from fer.infer.chunk_store import join_chunks
from fer.infer.context import read_context
from fer.infer.extract import FrameFaces, VideoEnd, build_crop_path
from fer.infer.image_batch import ImageBatch
from fer.infer.video_stores import BatchedImage, VideoStore, open_video_stores


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
    stores = open_video_stores(run_directory, numbers)
    finished = [number for number, store in stores.items() if store.completion_record() is not None]
    yield from _iter_pending(run_directory, {number: stores[number] for number in finished}, context_s)
    for video, items in groupby(extracted, _get_video):
        if video is not None:
            yield from _iter_pending(run_directory, {video: stores[video]}, context_s)
        yield from items


def _get_video(item: FrameFaces | VideoEnd) -> int | None:
    """The video that an item is of; None of images, of which a killed run leaves no half."""
    return item.video if item.batch is None else None


def iter_pending_crops(run_directory: Path, numbers: Iterable[int], context_s: float = 0.0) -> Iterator[FrameFaces]:
    """The chunks of an earlier extraction that are not classified yet, with their saved crops. Raises DataError.

    Images come one by one, those of a batch together. The rows have the column ``face_index``, which counts the faces
    of a frame from the largest.

    Args:
        run_directory: The run.
        numbers: Which of its videos.
        context_s: Where a killed run has classified the beginning of a video, so many seconds of it come first, as
            context.
    """
    return _iter_pending(run_directory, open_video_stores(run_directory, numbers), context_s)


def _iter_pending(run_directory: Path, stores: Mapping[int, VideoStore], context_s: float) -> Iterator[FrameFaces]:
    for number, store in stores.items():
        if isinstance(store, BatchedImage):
            if store.place == 0 and "emotion" not in store.batch.table.column_names:
                yield from _iter_images(run_directory, store.batch)
            continue
        begins = True
        for file in store.list_chunks():
            rows = store.read_chunk(file)
            if "emotion" in rows:
                continue
            if begins and context_s and len(context := read_context(store, context_s, int(rows["frame"].min()))):
                yield _attach_crops(run_directory, number, -1, context, is_context=True)
            begins = False
            yield _attach_crops(run_directory, number, int(file.stem), rows)


def _iter_images(run_directory: Path, batch: ImageBatch) -> Iterator[FrameFaces]:
    """The images of a batch that have rows. Raises DataError."""
    for place, image in enumerate(batch.images):
        if image.rows:
            faces = _attach_crops(run_directory, image.number, 0, join_chunks([batch.read_chunk(place)]))
            yield replace(faces, batch=batch.images[0].number)


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

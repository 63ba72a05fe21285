"""From faces to probabilities, and to the finished pieces of the table: the second stage of infer.py."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pandas as pd

from fer.errors import DataError
from fer.infer.chunk_store import ChunkStore
from fer.infer.extract import FrameFaces, VideoEnd, build_crop_path
from fer.infer.table import build_table
from fer.infer.track_ids import TrackAssigner
from fer.serving import Predictor

# Faces that do not fill a batch are judged when so many frames wait for them: faceless stretches can be long.
MAX_PENDING_FRAMES = 1024
# Probabilities in tables; what arithmetic leaves behind that depends on the machine.
DECIMALS = 6
THUMBNAIL_SIDE = 96  # pixels


@dataclass(frozen=True)
class BatchClassifier:
    """Judges faces in batches across frames and videos."""

    predictor: Predictor
    batch_size: int
    flip: bool

    def classify(self, items: Iterable[FrameFaces | VideoEnd]) -> Iterator[tuple[FrameFaces | VideoEnd, np.ndarray]]:
        """The items in their order, each with the probabilities (faces, classes) of its crops."""
        pending: deque[FrameFaces | VideoEnd] = deque()
        crops: list[np.ndarray] = []
        probabilities = np.empty((0, len(self.predictor.classes)), np.float32)
        for item in chain(items, [None]):
            if item is not None:
                pending.append(item)
                crops += get_crops(item)
            last = item is None or len(pending) >= MAX_PENDING_FRAMES
            if ready := len(crops) if last else len(crops) - len(crops) % self.batch_size:
                probabilities = np.concatenate([probabilities, self.predict_probabilities(crops[:ready])])
                crops = crops[ready:]
            while pending and (faces := len(get_crops(pending[0]))) <= len(probabilities):
                yield pending.popleft(), probabilities[:faces]
                probabilities = probabilities[faces:]

    def predict_probabilities(self, crops: list[np.ndarray]) -> np.ndarray:
        """(N, classes); the last batch is filled up, so that a face's figures do not depend on what stands beside it.

        Only so does a run that was killed and continued give the same bytes.
        """
        if not crops:
            return np.empty((0, len(self.predictor.classes)), np.float32)
        missing = -len(crops) % self.batch_size
        padded = [*crops, *[crops[-1]] * missing]
        return self.predictor.predict(padded, batch_size=self.batch_size, flip=self.flip)[: len(crops)]


def get_crops(item: FrameFaces | VideoEnd) -> list[np.ndarray]:
    return item.crops if isinstance(item, FrameFaces) else []


def write_chunks(
    assigner: TrackAssigner,
    items: Iterable[tuple[FrameFaces | VideoEnd, np.ndarray | None]],
    classes: Sequence[str] = (),
) -> None:
    """Write the pieces, each when its frames are complete; without probabilities where they are None.

    Faces get their ids here, many frames at a time: in small turns between other threads it takes three times as long.
    """

    def place(pair: tuple[FrameFaces | VideoEnd, np.ndarray | None]) -> tuple[int, int | None]:
        return pair[0].video, pair[0].chunk_index if isinstance(pair[0], FrameFaces) else None

    for (video, _), pairs in groupby(items, place):
        store = ChunkStore.for_video(assigner.run_directory, video)
        frames: list[FrameFaces] = []
        probabilities: list[np.ndarray] = []
        for item, predicted in pairs:
            if isinstance(item, VideoEnd):
                store.mark_complete(item.record)
                continue
            frames.append(item)
            probabilities += [] if predicted is None else [predicted]
        if frames:
            members = [row for item in frames for row in item.rows]
            # Those of an earlier extraction have their ids.
            if "track_id" not in members[0]:
                assigner.assign_ids(video, members)
            rows = build_table(members)
            if probabilities:
                crops = [crop for item in frames for crop in item.crops]
                rows = _add_probabilities(rows, crops, np.concatenate(probabilities), classes)
            store.write_chunk(frames[0].chunk_index, rows)


def _add_probabilities(
    rows: pd.DataFrame, crops: Sequence[np.ndarray], probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """The rows with p_<emotion>, emotion, confidence, and a small picture where an emotion is at its strongest."""
    ok = (rows["status"] == "ok").to_numpy()
    values = np.full((len(rows), len(classes)), np.nan)
    values[ok] = probabilities.round(DECIMALS)
    rows[[f"p_{name}" for name in classes]] = values
    rows["emotion"] = None
    rows["confidence"] = np.nan
    rows["picture"] = None
    if ok.any():
        leading = values[ok].argmax(1)
        rows.loc[ok, "emotion"] = [classes[column] for column in leading]
        rows.loc[ok, "confidence"] = values[ok].max(1)
        row_numbers = np.flatnonzero(ok)
        for peak in set(values[ok].argmax(0).tolist()):
            rows.at[row_numbers[peak], "picture"] = _encode_thumbnail(crops[peak])
    return rows


def _encode_thumbnail(crop: np.ndarray) -> bytes:
    """A face (side, side, 3) RGB as PNG, of 96 pixels a side at most: an hour of frames has thousands of them."""
    if len(crop) > THUMBNAIL_SIDE:
        crop = cv2.resize(crop, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", crop[..., ::-1])[1].tobytes()


def iter_pending_crops(run_directory: Path, video_count: int) -> Iterator[FrameFaces]:
    """The pieces of an earlier extraction that are not judged yet, with their saved crops. Raises DataError."""
    for number in range(video_count):
        store = ChunkStore.for_video(run_directory, number)
        for file in store.list_chunks():
            rows = store.read_chunk(file)
            if "emotion" in rows:
                continue
            rows["place"] = rows.groupby("frame").cumcount()
            ok = rows.loc[rows["status"] == "ok", ["frame", "place"]].to_numpy(int)
            crops = [read_crop(build_crop_path(run_directory, number, frame, place)) for frame, place in ok.tolist()]
            yield FrameFaces(number, int(file.stem), cast("list[dict[str, Any]]", rows.to_dict("records")), crops)


def read_crop(path: Path) -> np.ndarray:
    """(side, side, 3) uint8 RGB. Raises DataError."""
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise DataError(f"{path}: cannot be read; extract again in a new run")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

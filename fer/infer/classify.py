"""The stage predict of infer.py in this process: from face crops to probabilities, and to chunks of the table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from fer.bundle.predictor import Predictor
from fer.config.extraction import Smoothing
from fer.emotions import AFFECT
from fer.infer.batches import compute_in_batches, pad_batch
from fer.infer.chunk_store import ChunkStore
from fer.infer.extract import FrameFaces, VideoEnd
from fer.infer.image_batch import FinishedImage, ImageBatch, write_batch_table
from fer.infer.smoothing import smooth_tracks
from fer.infer.table import build_answer_schema, build_arrow_table
from fer.infer.track_ids import TrackAssigner
from fer.reports.video_content import MAX_DETAILS

# Probabilities in tables; what arithmetic leaves behind that depends on the machine.
DECIMALS = 6
THUMBNAIL_SIDE = 96  # pixels
# More than the page shows (MAX_DETAILS): others move up where somebody is forgotten.
PICTURED_IMAGES = 8 * MAX_DETAILS


@dataclass(frozen=True)
class BatchClassifier:
    """Classifies faces in batches across frames and videos.

    Attributes:
        predictor: The model.
        batch_size: Faces at a time.
        flip: Take the mean over each face and its mirror image.
    """

    predictor: Predictor
    batch_size: int
    flip: bool

    def classify(self, items: Iterable[FrameFaces | VideoEnd]) -> Iterator[tuple[FrameFaces | VideoEnd, np.ndarray]]:
        """The items in their order, each with the answers (faces, columns) to its crops."""
        pairs = ((item, get_crops(item)) for item in items)
        return compute_in_batches(pairs, self.predict_probabilities, self.batch_size)

    def predict_probabilities(self, crops: list[np.ndarray]) -> np.ndarray:
        """(N, columns) of any number of crops, see ``Predictor.predict_all``."""
        if not crops:
            return np.empty((0, len(self.predictor.columns)), np.float32)
        padded = pad_batch(crops, self.batch_size)
        return self.predictor.predict_all(padded, batch_size=self.batch_size, flip=self.flip)[: len(crops)]


def get_crops(item: FrameFaces | VideoEnd) -> list[np.ndarray]:
    """The crops of an item, none at a video's end."""
    return item.crops if isinstance(item, FrameFaces) else []


def write_chunks(
    assigner: TrackAssigner,
    items: Iterable[tuple[FrameFaces | VideoEnd, np.ndarray | None]],
    columns: Sequence[str] = (),
    smoothing: Smoothing | None = None,
    pictures: bool = True,
) -> None:
    """Write each chunk of the emotion table when its frames are complete.

    Faces get their track ids here, many frames at a time: in small turns between other threads it takes three times as
    long.

    Args:
        assigner: Gives the ids; names the run directory.
        items: Frames in the order of the table, each with the answers (faces, columns) to its crops, or None
            where faces are only extracted.
        columns: What is answered: the classes, and behind them valence and arousal where the model has them.
        smoothing: How the table will be smoothed, which tells the faces that the page will show; None without
            probabilities.
        pictures: Keep these faces.
    """

    def build_chunk(frames: Sequence[FrameFaces], answers: Sequence[np.ndarray]) -> pa.Table:
        for video, own in groupby(frames, lambda item: item.video):
            rows = [row for item in own for row in item.rows]
            # Those of an earlier extraction have their ids.
            if "track_id" not in rows[0]:
                assigner.assign_ids(video, rows)
        if not answers or smoothing is None:
            return build_arrow_table([row for item in frames for row in item.rows])
        return _add_answers(frames, np.concatenate(answers), tuple(columns), smoothing, pictures)

    for (number, chunk_index, is_batch), pairs in groupby(items, _get_chunk):
        store = ChunkStore.for_video(assigner.run_directory, number)
        frames, ends, answers = list[FrameFaces](), list[VideoEnd](), list[np.ndarray]()
        for item, predicted in pairs:
            if isinstance(item, FrameFaces):
                frames.append(item)
                answers += [] if predicted is None else [predicted]
            elif is_batch:
                ends.append(item)
            else:
                # Before the next item is asked for.
                store.mark_complete(item.record)
        if is_batch:
            _write_batch(store.folder, build_chunk(frames, answers), frames, ends)
        elif chunk_index is not None:
            store.write_chunk(chunk_index, build_chunk(frames, answers))


def _get_chunk(pair: tuple[FrameFaces | VideoEnd, np.ndarray | None]) -> tuple[int, int | None, bool]:
    """Where an item is written: the video and its chunk, which is None for a video's end; or the batch of an image."""
    item, _ = pair
    if item.batch is not None:
        return item.batch, None, True
    return item.video, item.chunk_index if isinstance(item, FrameFaces) else None, False


def _write_batch(folder: Path, rows: pa.Table, frames: Sequence[FrameFaces], ends: Sequence[VideoEnd]) -> None:
    """Write the images of a batch; those of an earlier extraction have no ends, and are marked as finished already."""
    write_batch_table(folder, rows)
    if ends:
        counts = {item.video: len(item.rows) for item in frames}
        images = [FinishedImage(end.video, counts.get(end.video, 0), end.record) for end in ends]
        ImageBatch(folder, images).mark_complete()


def _add_answers(
    frames: Sequence[FrameFaces],
    answers: np.ndarray,
    columns: tuple[str, ...],
    smoothing: Smoothing,
    pictures: bool,
) -> pa.Table:
    """The rows with p_<emotion>, emotion, confidence, valence and arousal where the model has them, and a thumbnail.

    A face has one where an emotion is a person's strongest; of images those have that the page will show.
    """
    classes = [name for name in columns if name not in AFFECT]
    names = [name if name in AFFECT else f"p_{name}" for name in columns]
    answered = [dict(row) for item in frames for row in item.rows]
    ok = [number for number, row in enumerate(answered) if row["status"] == "ok"]
    crops = dict(zip(ok, (crop for item in frames for crop in item.crops), strict=True))
    for number, answer in zip(ok, answers.round(DECIMALS).astype(np.float64), strict=True):
        leading = int(answer[: len(classes)].argmax())
        answered[number] |= dict(zip(names, answer.tolist(), strict=True))
        answered[number] |= {"emotion": classes[leading], "confidence": float(answer[leading])}
    if not pictures:
        pictured = set[int]()
    elif frames[0].batch is None:
        pictured = _find_peaks(answered, ok, columns, smoothing)
    else:
        images = [item.video for item in frames for _ in item.rows]
        pictured = {number for number in ok if images[number] < PICTURED_IMAGES}
    for number in pictured:
        answered[number]["picture"] = _encode_thumbnail(crops[number])
    return build_arrow_table(answered, build_answer_schema(columns, bool(ok), bool(pictured)))


def _find_peaks(
    answered: Sequence[dict[str, Any]], ok: Sequence[int], columns: tuple[str, ...], smoothing: Smoothing
) -> set[int]:
    """Rows in which an emotion leads most clearly, of each track and emotion, before and after smoothing.

    Args:
        answered: All rows of a chunk.
        ok: Those that have an emotion.
        columns: What is answered.
        smoothing: How the table will be smoothed.
    """
    tracks = np.array([answered[number]["track_id"] for number in ok], np.int64)
    if len(set(tracks.tolist())) == len(ok):
        # Of a single frame.
        return set(ok)
    # Not by way of a table: that took ten times as long, for each chunk.
    times = np.array([answered[number]["time_s"] for number in ok], np.float64)
    names = [f"p_{name}" for name in columns if name not in AFFECT]
    before = np.array([[answered[number][name] for name in names] for number in ok], np.float64)
    after = smooth_tracks(tracks, times, before, smoothing.kind, smoothing.window_s, smoothing.max_gap_s)
    peaks = np.concatenate([_find_first_maxima(tracks, values) for values in (before, after)])
    return {ok[peak] for peak in peaks}


def _find_first_maxima(tracks: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Number of the face in which the leading emotion (N, classes) is highest, of each track (N) and emotion."""
    leading, heights = probabilities.argmax(axis=1), probabilities.max(axis=1)
    # Equal ones stay in their order.
    order = np.lexsort((-heights, leading, tracks))
    is_first = np.diff(tracks[order], prepend=-1).astype(bool) | np.diff(leading[order], prepend=-1).astype(bool)
    return order[is_first]


def _encode_thumbnail(crop: np.ndarray) -> bytes:
    """A face (side, side, 3) RGB as PNG, of 96 pixels a side at most: an hour of frames has thousands of them."""
    if len(crop) > THUMBNAIL_SIDE:
        crop = cv2.resize(crop, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", crop[..., ::-1])[1].tobytes()

"""The stage predict of infer.py with a temporal model: each face is encoded once and judged by the window around it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice

import numpy as np

from fer.bundle.predictor import ClipPredictor
from fer.bundle.sliding_windows import MAX_NUMBERS
from fer.infer.batches import compute_in_batches, pad_batch
from fer.infer.classify import get_crops
from fer.infer.extract import FrameFaces, VideoEnd
from fer.infer.track_ids import TrackAssigner
from fer.infer.windows import Window, WindowFormat, WindowSlider

# Faces get their ids many frames at a time: in small turns between other threads it takes three times as long.
IDS_AHEAD_FRAMES = 32


@dataclass(frozen=True)
class WindowClassifier:
    """Classifies faces by windows over their tracks; faces are encoded in batches across frames and videos.

    Attributes:
        predictor: The temporal model.
        window: What it looks at.
        batch_size: Faces at a time, and windows.
        flip: Take the mean over each face's window and its mirror image.
        max_missed: No window reaches across more sampled frames without the face; None goes by seconds.
        assigner: Gives the track ids, which windows need.
    """

    predictor: ClipPredictor
    window: WindowFormat
    batch_size: int
    flip: bool
    max_missed: int | None
    assigner: TrackAssigner

    def classify(self, items: Iterable[FrameFaces | VideoEnd]) -> Iterator[tuple[FrameFaces | VideoEnd, np.ndarray]]:
        """The items, frame by frame in their order and without context, with the answers (faces, columns) to crops."""
        pairs = ((item, get_crops(item)) for item in self._assign_ids(iter(items)))
        encoded = compute_in_batches(pairs, self.encode, self.batch_size)
        windows = WindowSlider(self.window, self.max_missed).slide(encoded)
        return compute_in_batches(windows, self.judge, self.batch_size)

    def encode(self, crops: list[np.ndarray]) -> np.ndarray:
        """Features (N, V, D) of any number of crops, of each view of them: the face, and its mirror image."""
        mirrors = self.flip and not self.predictor.description.flip
        views = [crops, [crop[:, ::-1] for crop in crops]] if mirrors else [crops]
        return np.stack([self._encode_view(view) for view in views], axis=1)

    def _encode_view(self, crops: list[np.ndarray]) -> np.ndarray:
        if not crops:
            return np.empty((0, 0), np.float32)
        padded = pad_batch(crops, self.batch_size)
        batches = (padded[start : start + self.batch_size] for start in range(0, len(padded), self.batch_size))
        return np.concatenate([self.predictor.encode(batch, self.batch_size) for batch in batches])[: len(crops)]

    def judge(self, windows: list[Window]) -> np.ndarray:
        """Answers (N, columns) to any number of windows."""
        answers = [np.empty((0, len(self.predictor.columns)), np.float32)]
        count = self._count_windows(windows[0]) if windows else 1
        for start in range(0, len(windows), count):
            batch = pad_batch(windows[start : start + count], count)
            stacked, masks = zip(*(window.stack() for window in batch), strict=True)
            features, mask = np.stack(stacked), np.stack(masks)
            views = [
                self.predictor.predict_windows(np.ascontiguousarray(features[:, :, view]), mask)
                for view in range(features.shape[2])
            ]
            answers.append(np.stack(views).mean(axis=0, dtype=np.float32))
        return np.concatenate(answers)[: len(windows)]

    def _count_windows(self, window: Window) -> int:
        """How many windows are judged at once: a whole part of a batch, small enough to be computed in one piece."""
        count = max(min(self.batch_size, MAX_NUMBERS // window.count_numbers()), 1)
        while self.batch_size % count:
            count -= 1
        return count

    def _assign_ids(self, items: Iterator[FrameFaces | VideoEnd]) -> Iterator[FrameFaces | VideoEnd]:
        """The items as single frames, whose rows have their track ids."""
        while taken := list(islice(items, IDS_AHEAD_FRAMES)):
            for video, group in groupby(taken, lambda item: item.video):
                # Context, and what was extracted earlier, have their ids.
                nameless = [item for item in group if isinstance(item, FrameFaces) and not _has_ids(item)]
                if rows := [row for item in nameless for row in item.rows]:
                    self.assigner.assign_ids(video, rows)
            for item in taken:
                yield from _split_frames(item)


def _has_ids(item: FrameFaces) -> bool:
    return item.is_context or "track_id" in item.rows[0]


def _split_frames(item: FrameFaces | VideoEnd) -> Iterator[FrameFaces | VideoEnd]:
    """The frames of a chunk that was extracted earlier, one by one."""
    if isinstance(item, VideoEnd):
        yield item
        return
    crops = iter(item.crops)
    for _, rows in groupby(item.rows, lambda row: row["frame"]):
        own = list(rows)
        yield replace(item, rows=own, crops=[next(crops) for row in own if row["status"] == "ok"])

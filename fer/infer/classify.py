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
from fer.infer.chunk_store import Parts
from fer.infer.extract import Ended, Seen, crop_path
from fer.infer.table import table_of
from fer.infer.track_ids import Following
from fer.serving import Predictor

# Faces that do not fill a batch are judged when so many frames wait for them: faceless stretches can be long.
MOST_WAITING = 1024
# Probabilities in tables; what arithmetic leaves behind that depends on the machine.
DECIMALS = 6
THUMBNAIL = 96  # pixels


@dataclass(frozen=True)
class Judging:
    """Judges faces in batches across frames and videos."""

    predictor: Predictor
    batch_size: int
    flip: bool

    def judged(self, items: Iterable[Seen | Ended]) -> Iterator[tuple[Seen | Ended, np.ndarray]]:
        """The items in their order, each with the probabilities (faces, classes) of its crops."""
        waiting: deque[Seen | Ended] = deque()
        crops: list[np.ndarray] = []
        known = np.empty((0, len(self.predictor.classes)), np.float32)
        for item in chain(items, [None]):
            if item is not None:
                waiting.append(item)
                crops += crops_of(item)
            last = item is None or len(waiting) >= MOST_WAITING
            if ready := len(crops) if last else len(crops) - len(crops) % self.batch_size:
                known = np.concatenate([known, self.probabilities(crops[:ready])])
                crops = crops[ready:]
            while waiting and (faces := len(crops_of(waiting[0]))) <= len(known):
                yield waiting.popleft(), known[:faces]
                known = known[faces:]

    def probabilities(self, crops: list[np.ndarray]) -> np.ndarray:
        """(N, classes); the last batch is filled up, so that a face's figures do not depend on what stands beside it.

        Only so does a run that was killed and continued give the same bytes.
        """
        if not crops:
            return np.empty((0, len(self.predictor.classes)), np.float32)
        missing = -len(crops) % self.batch_size
        filled = [*crops, *[crops[-1]] * missing]
        return self.predictor.predict(filled, batch_size=self.batch_size, flip=self.flip)[: len(crops)]


def crops_of(item: Seen | Ended) -> list[np.ndarray]:
    return item.crops if isinstance(item, Seen) else []


def keep(
    following: Following, items: Iterable[tuple[Seen | Ended, np.ndarray | None]], classes: Sequence[str] = ()
) -> None:
    """Write the pieces, each when its frames are complete; without probabilities where they are None.

    Faces get their ids here, many frames at a time: in small turns between other threads it takes three times as long.
    """

    def place(pair: tuple[Seen | Ended, np.ndarray | None]) -> tuple[int, int | None]:
        return pair[0].video, pair[0].piece if isinstance(pair[0], Seen) else None

    for (video, _), pairs in groupby(items, place):
        parts = Parts.of(following.run_directory, video)
        seen: list[Seen] = []
        probabilities: list[np.ndarray] = []
        for item, found in pairs:
            if isinstance(item, Ended):
                parts.end(item.facts)
                continue
            seen.append(item)
            probabilities += [] if found is None else [found]
        if seen:
            members = [row for item in seen for row in item.rows]
            # Those of an earlier extraction have their ids.
            if "track_id" not in members[0]:
                following.give_ids(video, members)
            rows = table_of(members)
            if probabilities:
                crops = [crop for item in seen for crop in item.crops]
                rows = with_probabilities(rows, crops, np.concatenate(probabilities), classes)
            parts.add(seen[0].piece, rows)


def with_probabilities(
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
        places = np.flatnonzero(ok)
        for peak in set(values[ok].argmax(0).tolist()):
            rows.at[places[peak], "picture"] = thumbnail(crops[peak])
    return rows


def thumbnail(crop: np.ndarray) -> bytes:
    """A face (side, side, 3) RGB as PNG, of 96 pixels a side at most: an hour of frames has thousands of them."""
    if len(crop) > THUMBNAIL:
        crop = cv2.resize(crop, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", crop[..., ::-1])[1].tobytes()


def saved_crops(run_directory: Path, videos: int) -> Iterator[Seen]:
    """The pieces of an earlier extraction that are not judged yet, with their saved crops. Raises DataError."""
    for number in range(videos):
        parts = Parts.of(run_directory, number)
        for file in parts.files():
            rows = parts.piece(file)
            if "emotion" in rows:
                continue
            rows["place"] = rows.groupby("frame").cumcount()
            ok = rows.loc[rows["status"] == "ok", ["frame", "place"]].to_numpy(int)
            crops = [read_crop(crop_path(run_directory, number, frame, place)) for frame, place in ok.tolist()]
            yield Seen(number, int(file.stem), cast("list[dict[str, Any]]", rows.to_dict("records")), crops)


def read_crop(path: Path) -> np.ndarray:
    """(side, side, 3) uint8 RGB. Raises DataError."""
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise DataError(f"{path}: cannot be read; extract again in a new run")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

"""Which faces of a chunk are kept as pictures: those at each person's strongest moments, smoothed and not."""

from typing import Any

import cv2
import numpy as np
import pytest

from fer.config.extraction import Smoothing
from fer.emotions import EMOTIONS
from fer.infer import classify
from fer.infer.extract import FrameFaces
from fer.infer.table import ROW_COLUMNS
from tests.helpers.emotion_table import excluded, happy, table_of, usable

SMOOTHING = Smoothing(kind="median", window_s=3.0, max_gap_s=9.0)


def test_pictures_are_kept_of_the_strongest_moments_of_each_person_before_and_after_smoothing() -> None:
    """Of one person a spike of one frame and a plateau; another, weaker all the time, has moments of its own."""
    first = happy([0.1, 0.97, 0.1, 0.7, 0.9, 0.9, 0.7, 0.1])
    second = happy([0.3, 0.4, 0.5, 0.4])
    table = table_of(usable("a", range(8), first), excluded("a", [8]), usable("a", range(10, 14), second, track=1))
    rows = table[[name for name in table if name in ROW_COLUMNS]].to_dict("records")
    ok = (table["status"] == "ok").to_numpy()
    crops = [np.full((8, 8, 3), number, np.uint8) for number in range(ok.sum())]
    probabilities = table.loc[ok, [f"p_{name}" for name in EMOTIONS]].to_numpy(np.float32)
    found = classify._add_answers([FrameFaces(0, 0, rows, crops)], probabilities, EMOTIONS, SMOOTHING, True).to_pandas()
    pictured = found[found["picture"].notna()]
    happiest = pictured[pictured["emotion"] == "happiness"]
    # The spike; the middle of the plateau, which the median of three lets stand; the other person's best.
    assert set(happiest["time_s"]) >= {1.0, 4.0, 12.0}
    # Each picture is the crop of its own row, the row without a face between them counted out.
    numbers = ok.cumsum() - 1
    for row, picture in pictured["picture"].items():
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert (image == numbers[row]).all()


def test_faces_that_are_alone_in_their_tracks_are_peaks_without_smoothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of an image are, of which a folder has thousands."""
    values = np.random.default_rng(0).dirichlet(np.ones(len(EMOTIONS)), 3)
    rows: list[dict[str, Any]] = [{"status": "no_face"}]
    for track, row in enumerate(values):
        rows.append(
            {"video": "a.jpg", "frame": 0, "time_s": 0.0, "status": "ok", "track_id": track}
            | {f"p_{name}": value for name, value in zip(EMOTIONS, row, strict=True)}
            | {"emotion": EMOTIONS[row.argmax()], "confidence": row.max()}
        )
    smoothing = Smoothing(kind="gaussian", window_s=0.5, max_gap_s=2)
    # A face elsewhere in a track of two: the long way, which finds the same ones.
    later = [*rows, rows[3] | {"frame": 270, "time_s": 9.0, "confidence": 0.0}]
    assert {1, 2, 3} <= classify._find_peaks(later, [1, 2, 3, 4], EMOTIONS, smoothing)
    monkeypatch.setattr(classify, "smooth_tracks", None)
    assert classify._find_peaks(rows, [1, 2, 3], EMOTIONS, smoothing) == {1, 2, 3}

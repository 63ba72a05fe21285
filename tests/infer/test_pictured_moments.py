"""Which faces of a chunk are kept as pictures: those at each person's strongest moments, smoothed and not."""

import cv2
import numpy as np
import pandas as pd
import pytest

from fer.config.extraction import Smoothing
from fer.emotions import EMOTIONS
from fer.infer import classify
from fer.infer.classify import _add_probabilities
from fer.infer.table import build_table
from tests.helpers.emotion_table import excluded, happy, table_of, usable

SMOOTHING = Smoothing(kind="median", window_s=3.0, max_gap_s=9.0)


def test_pictures_are_kept_of_the_strongest_moments_of_each_person_before_and_after_smoothing() -> None:
    """Of one person a spike of one frame and a plateau; another, weaker all the time, has moments of its own."""
    first = happy([0.1, 0.97, 0.1, 0.7, 0.9, 0.9, 0.7, 0.1])
    second = happy([0.3, 0.4, 0.5, 0.4])
    table = table_of(usable("a", range(8), first), excluded("a", [8]), usable("a", range(10, 14), second, track=1))
    rows = build_table(table.drop(columns=[name for name in table if name.startswith(("p_", "s_"))]).to_dict("records"))
    ok = (rows["status"] == "ok").to_numpy()
    crops = [np.full((8, 8, 3), number, np.uint8) for number in range(ok.sum())]
    probabilities = table.loc[ok, [f"p_{name}" for name in EMOTIONS]].to_numpy(np.float32)
    found = _add_probabilities(rows, crops, probabilities, EMOTIONS, SMOOTHING)
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
    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.ones(len(EMOTIONS)), 3)
    faces = pd.DataFrame(
        {
            "video": "a.jpg",
            "time_s": 0.0,
            "status": "ok",
            "track_id": [0, 1, 2],
            **{f"p_{name}": values[:, column] for column, name in enumerate(EMOTIONS)},
            "emotion": [EMOTIONS[column] for column in values.argmax(1)],
            "confidence": values.max(1),
        },
        index=[1, 4, 5],
    )
    smoothing = Smoothing(kind="gaussian", window_s=0.5, max_gap_s=2)
    alone = classify._find_peaks(faces, smoothing)
    # A face elsewhere in a track of two: the long way, which finds the same ones.
    later = pd.concat([faces, faces.loc[[5]].assign(time_s=9.0, confidence=0.0)], ignore_index=True)
    assert {0, 1, 2} <= classify._find_peaks(later, smoothing)
    monkeypatch.setattr(classify, "smooth", None)
    assert classify._find_peaks(faces, smoothing) == alone == {1, 4, 5}

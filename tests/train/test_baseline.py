"""The baseline that train.py keeps in the bundle."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fer.train.baseline
from fer.data.image_store import ImageStore
from fer.emotions import EMOTIONS
from fer.monitoring.drift import read_baseline
from fer.synthetic import draw_dataset_face
from fer.train.baseline import write_baseline
from fer.train.evaluation import EvaluationResult


def judged(rows: np.ndarray) -> EvaluationResult:
    """The images in these rows of a store; each is called by its row's class, with the same confidence."""
    probabilities = np.full((len(rows), 7), 0.05, np.float32)
    probabilities[np.arange(len(rows)), rows % 7] = 0.7
    samples = pd.DataFrame({"source": "drawn"}, index=rows)
    return EvaluationResult(samples, EMOTIONS, np.log(probabilities), probabilities, rows % 7)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_describes_the_judged_images(tmp_path: Path, channels: int) -> None:
    images = np.stack([draw_dataset_face(5, number, 48).image[..., :channels] for number in range(30)])
    images[:15] = 255  # not judged
    store = ImageStore(images, pd.DataFrame(), "", 48, channels == 3)
    write_baseline(tmp_path, store, judged(np.arange(16, 30)))
    found = read_baseline(tmp_path / "baseline.json")
    assert found["faces"] == 14
    numbers = found["numbers"]
    assert numbers["face_size"]["mean"] == 48 and numbers["face_size"]["shares"] == [0, 1, 0]
    assert 0.2 < numbers["brightness"]["mean"] < 0.8
    if channels == 1:
        assert numbers["brightness"]["mean"] == pytest.approx(images[16:].mean() / 255, abs=1e-6)
    assert numbers["confidence"]["mean"] == pytest.approx(0.7)
    assert numbers["sharpness"]["mean"] > 100
    assert found["classes"] == dict.fromkeys(EMOTIONS, pytest.approx(1 / 7))


def test_of_many_images_some_are_taken_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fer.train.baseline, "MAX_IMAGES", 10)
    images = np.repeat(np.arange(100, dtype=np.uint8), 8 * 8).reshape(100, 8, 8, 1)
    write_baseline(tmp_path, ImageStore(images, pd.DataFrame(), "", 8, False), judged(np.arange(100)))
    found = read_baseline(tmp_path / "baseline.json")
    assert found["faces"] == 10
    assert found["numbers"]["brightness"]["mean"] == pytest.approx(49.5 / 255)

"""What is ordinary for a trained model: measured on its judged part, and kept in the bundle for monitoring."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fer.core.io import write_text
from fer.data.image_store import Store
from fer.monitoring.drift import BASELINE, baseline_of
from fer.train.evaluation import Judgement
from fer.video.detectors import Face
from fer.video.quality import measure

MOST_IMAGES = 2000


def write_baseline(bundle: Path, store: Store, judgement: Judgement) -> None:
    """Write baseline.json of a part's faces, at most MOST_IMAGES that are spread evenly over it.

    They are measured as infer.py measures faces, but at the store's resolution, so that all have one size.
    """
    count = len(judgement.samples)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_IMAGES)).round().astype(int))
    rows = judgement.samples.index.to_numpy()[chosen]
    face = Face(0, 0, store.side, store.side, 1.0)
    measured = [measure(in_colour(store.images[row]), face) for row in rows]
    probabilities = judgement.probabilities[chosen]
    columns = pd.DataFrame(
        {
            "brightness": [quality.brightness for quality in measured],
            "sharpness": [quality.sharpness for quality in measured],
            "face_w": float(store.side),
            "face_h": float(store.side),
            "confidence": probabilities.max(axis=1),
            "emotion": [judgement.classes[column] for column in probabilities.argmax(axis=1)],
        }
    )
    content = baseline_of(columns, judgement.classes)
    write_text(bundle / BASELINE, json.dumps(content, indent=2, allow_nan=False) + "\n")


def in_colour(image: np.ndarray) -> np.ndarray:
    """(H, W, 1 or 3) uint8 as RGB."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.shape[2] == 1 else np.asarray(image)

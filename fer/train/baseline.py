"""Reference statistics of the data that a model was evaluated on, kept in its bundle for monitoring."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fer.core.io import write_text
from fer.data.image_store import ImageStore
from fer.monitoring.drift import BASELINE, build_baseline
from fer.train.clip_inputs import find_pictures
from fer.train.evaluation import EvaluationResult
from fer.video.detectors import Face
from fer.video.quality import measure_quality

MAX_IMAGES = 2000


def write_baseline(bundle: Path, store: ImageStore, result: EvaluationResult) -> None:
    """Write baseline.json: statistics of a split's faces, of at most MAX_IMAGES that are spread evenly over it.

    They are measured as infer.py measures faces, but at the store's resolution, so that all have one size.

    Args:
        bundle: Directory of the bundle.
        store: The images.
        result: The evaluation of the split.
    """
    count = len(result.samples)
    indices = np.unique(np.linspace(0, count - 1, min(count, MAX_IMAGES)).round().astype(int))
    rows = find_pictures(store, result.samples.index.to_numpy()[indices])
    face = Face(0, 0, store.side, store.side, 1.0)
    qualities = [measure_quality(_to_rgb(store.images[row]), face) for row in rows]
    probabilities = result.probabilities[indices]
    columns = pd.DataFrame(
        {
            "brightness": [quality.brightness for quality in qualities],
            "sharpness": [quality.sharpness for quality in qualities],
            "face_w": float(store.side),
            "face_h": float(store.side),
            "confidence": probabilities.max(axis=1),
            "emotion": [result.classes[column] for column in probabilities.argmax(axis=1)],
        }
    )
    content = build_baseline(columns, result.classes)
    write_text(bundle / BASELINE, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _to_rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 1 or 3) uint8 as RGB (H, W, 3)."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.shape[2] == 1 else np.asarray(image)

"""Kinds of pictures, for data without annotations: how bright, sharp, rich in contrast, large and turned a face is."""

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pandas as pd

from fer.core.progress import track_progress
from fer.data.decoding import read_header
from fer.data.sources.base import Source
from fer.data.sources.groups import YAW
from fer.video.detectors import Detector, Face
from fer.video.quality import compute_yaw, measure_quality

SLICES = 4
PIXEL_MEASURES = ("brightness", "contrast", "sharpness")
FACE_SIZE, POSE = "face_size", "pose"
# Pixels a side at which YuNet finds the eye points in 577 of 600 pictures of FERPlus, which have 48.
_POSE_SIDE = 160


def measure_images(
    images: np.ndarray, samples: pd.DataFrame, sources: Sequence[Source], detector: Detector | None = None
) -> pd.DataFrame:
    """Measure the pictures of a split, each in the unit in which infer.py measures faces of videos.

    Args:
        images: Those of the store, (M, h, w, 1 or 3) uint8.
        samples: Rows of the manifest; the index is the image's row in ``images``.
        sources: The data sets that the images are of.
        detector: Finds the eye points of faces whose pose no source tells; None leaves their pose missing.

    Returns:
        A row a sample: brightness (0 to 1), contrast (0 to 0.5), sharpness, face_size (longer side in the data set,
        pixels) and pose (degrees that the head is turned either way, missing where neither a source nor
        the detector tells).
    """
    rows = []
    by_name = {source.name: source for source in sources}
    yaws = pd.to_numeric(samples[YAW]) if YAW in samples else pd.Series(np.nan, samples.index)
    items = zip(samples.index, samples["source"], samples["path"], yaws, strict=True)
    for row, source, path, yaw in track_progress(items, len(samples), "Measuring pictures"):
        image = np.ascontiguousarray(np.broadcast_to(images[row], (*images.shape[1:3], 3)))
        side = _get_side(by_name[source], path)
        quality = measure_quality(image, Face(0, 0, side, side, 1.0))
        if detector and math.isnan(yaw):
            yaw = _estimate_yaw(detector, image)
        rows.append([*(getattr(quality, name) for name in PIXEL_MEASURES), side, abs(yaw)])
    return pd.DataFrame(rows, columns=[*PIXEL_MEASURES, FACE_SIZE, POSE], index=samples.index)


def _estimate_yaw(detector: Detector, rgb: np.ndarray) -> float:
    """Degrees by the largest face's eye points, NaN where no face is found."""
    enlarged = cv2.resize(rgb[..., ::-1], (_POSE_SIDE, _POSE_SIDE), interpolation=cv2.INTER_CUBIC)
    landmarks = next((face.landmarks for face in detector.detect(enlarged)), None)
    return math.nan if landmarks is None else compute_yaw(landmarks)


def _get_side(source: Source, path: str) -> int:
    """Longer side of an image in its data set, pixels."""
    return source.get_info(path).side if source.get_info else read_header(source.read(path))[0]


def build_slices(measures: pd.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Divide the images by each measure into quarters.

    Args:
        measures: A row an image and a column a measure, missing where it is not known.

    Returns:
        By measure, (N,) the quarter of each image, such as ``1: 0.21–0.40``, None where the measure is missing;
        and why a measure is left out, where it does not tell the images apart.
    """
    slices, left_out = {}, {}
    for name in measures:
        values = measures[name].to_numpy(float)
        known = np.isfinite(values)
        if not known.any():
            left_out[str(name)] = "neither a source nor YuNet tells it; extraction.detector.weights=FILE names YuNet"
            continue
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, SLICES + 1)))
        if len(edges) < 3:
            left_out[str(name)] = f"{np.median(values[known]):.3g} in at least half of the images"
            continue
        number = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(edges) - 2)
        texts = _format_edges(edges)
        titles = [f"{place}: {low}–{high}" for place, (low, high) in enumerate(pairwise(texts), 1)]
        slices[str(name)] = np.array(
            [titles[place] if fits else None for place, fits in zip(number, known, strict=True)], dtype=object
        )
    return slices, left_out


def _format_edges(edges: np.ndarray) -> list[str]:
    """Texts of at least three digits, and of as many as tell the edges, which are different, apart."""
    for digits in range(3, 18):
        texts = [_format_edge(edge, digits) for edge in edges]
        if len(set(texts)) == len(texts):
            break
    return texts


def _format_edge(value: float, digits: int) -> str:
    """`51500`, `15.4`, `0.00895`: so many significant digits, none of them lost before the point."""
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

"""Drift of a batch from reference statistics: population stability indices against a baseline, with 95 % limits.

The index is the sum over bins of (p - q) ln(p / q), p the batch's share and q the baseline's (Siddiqi 2006, "Credit
Risk Scorecards"); below 0.1 is usually called stable, above 0.25 a shift. No library here has it with limits that
respect that frames of a video are alike, and the formula is one line.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from fer.errors import DataError, ModelError, shorten_error
from fer.metrics.bootstrap import TrackSegments

BASELINE = "baseline.json"
NUMBERS = ("brightness", "sharpness", "face_size", "confidence")
QUANTITIES = (*NUMBERS, "emotion")
NEEDED = ("brightness", "sharpness", "face_w", "face_h", "confidence", "emotion")
BINS = 10
UPPER = 97.5  # per cent
# Added to the count of every bin, the batch's and the baseline's (Jeffreys' prior): no share is 0, so that the index
# is finite, and what was seen once among few weighs less than what was seen often.
HALF_A_COUNT = 0.5
TOO_FEW = "too few faces"
TOO_ALIKE = "all faces stand in one stretch of one video, which shows no variation"
CONSTANT = "the baseline has a single value, which does not show what is ordinary"
DECIMALS = 6  # of probabilities in emotion tables; others are brought to them


class _Distribution(TypedDict):
    """Bin i holds the values above edge i-1 and up to edge i; the first and last bins are open. ``shares``: of each."""

    edges: list[float]
    shares: list[float]
    mean: float


class _Baseline(TypedDict):
    """Reference statistics: ``numbers`` by the names NUMBERS, ``classes`` the share predicted as each emotion."""

    faces: int
    numbers: dict[str, _Distribution]
    classes: dict[str, float]


def build_baseline(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Build the reference statistics of some faces.

    Edges are the deciles. A value that takes several deciles is a bin of its own, so that of a constant the bins are
    below, at and above.

    Args:
        table: Rows of an emotion table with the columns NEEDED; faces that are not classified are left out.
        classes: The model's classes.

    Returns:
        The content of baseline.json.

    Raises:
        DataError: Columns or faces are missing, or there are other classes.
    """
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise DataError(f"the baseline's table lacks {', '.join(missing)}; it must be one that infer.py wrote")
    faces = table.dropna(subset=list(NEEDED))
    if faces.empty:
        raise DataError("the baseline's table has no classified face; choose another")
    if foreign := sorted(set(faces["emotion"]) - set(classes)):
        raise DataError(f"the baseline's table has emotions that the model does not know: {', '.join(foreign)}")
    numbers = {}
    for name, values in _extract_numbers(faces).items():
        edges = compute_bin_edges(values)
        counts = np.bincount(assign_bins(values, edges), minlength=len(edges) + 1)
        numbers[name] = {
            "edges": edges,
            "shares": (counts / len(faces)).tolist(),
            "mean": float(values.mean()),
        }
    shares = faces["emotion"].value_counts(normalize=True)
    return {
        "faces": len(faces),
        "numbers": numbers,
        "classes": {name: float(shares.get(name, 0.0)) for name in classes},
    }


def read_baseline(path: Path) -> dict[str, Any]:
    """Read a baseline.json.

    Args:
        path: The file.

    Returns:
        Its content, validated.

    Raises:
        ModelError: It cannot be read, or is no baseline.
    """
    try:
        baseline = TypeAdapter(_Baseline).validate_json(path.read_bytes())
        if set(baseline["numbers"]) != set(NUMBERS) or baseline["faces"] < 1:
            raise ValueError(f"it must hold {', '.join(NUMBERS)} of some faces")
        for name, distribution in baseline["numbers"].items():
            if len(distribution["shares"]) != len(distribution["edges"]) + 1 or distribution["edges"] != sorted(
                distribution["edges"]
            ):
                raise ValueError(f"the bins of {name} do not fit together")
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"]))
        raise ModelError(f"{path}: is no baseline ({location}: {first['msg']}); restore the bundle") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: is no baseline ({shorten_error(error)}); restore the bundle") from None
    return dict(baseline)


def compute_drift(faces: pd.DataFrame, baseline: Mapping[str, Any], min_faces: int) -> dict[str, dict[str, Any]]:
    """Measure how far a batch lies from its baseline.

    Args:
        faces: Classified faces: rows of the emotion table.
        baseline: As ``build_baseline`` and ``read_baseline`` return it.
        min_faces: Fewer faces give no verdict.

    Returns:
        For each of QUANTITIES: ``psi`` with its limits ``low`` and ``high``, the number of ``faces`` and of the
        ``baseline``'s, shares of the bins and means of both. ``note`` says why there is no verdict: then the quantity
        is shown, but warns of nothing.
    """
    complete = faces.dropna(subset=list(NEEDED))
    segments = TrackSegments.from_faces(complete)
    quantities = _bin_quantities(complete, baseline)
    counts = {
        name: segments.count_codes(quantity.bins, len(quantity.baseline_shares))
        for name, quantity in quantities.items()
    }
    enough, varied = len(complete) >= min_faces, len(segments.segment_videos) > 1
    samples = _resample_counts(segments, counts) if enough and varied else {}
    result = {}
    for name, quantity in quantities.items():
        total, shares = counts[name].sum(axis=0), quantity.baseline_shares
        expected = shares * baseline["faces"]
        psi = float(compute_psi(total, expected)) if enough else None
        low, high = None, None
        if psi is not None and samples:
            low, high = compute_limits(psi, compute_psi(samples[name], expected))
        constant = name in NUMBERS and bool((shares == 1).any())
        result[name] = {
            "psi": psi,
            "low": low,
            "high": high,
            "faces": len(complete),
            "baseline": baseline["faces"],
            "mean": quantity.mean,
            "baseline_mean": quantity.baseline_mean,
            "shares": (total / max(len(complete), 1)).tolist(),
            "baseline_shares": shares.tolist(),
            "note": TOO_FEW if not enough else CONSTANT if constant else None if varied else TOO_ALIKE,
        }
    return result


@dataclass(frozen=True)
class _BinnedQuantity:
    """The bin of each face (faces,), the baseline's share of each bin (bins,), and means of both where it has some."""

    bins: np.ndarray
    baseline_shares: np.ndarray
    mean: float | None = None
    baseline_mean: float | None = None


def _bin_quantities(faces: pd.DataFrame, baseline: Mapping[str, Any]) -> dict[str, _BinnedQuantity]:
    quantities = {}
    for name, values in _extract_numbers(faces).items():
        distribution = baseline["numbers"][name]
        quantities[name] = _BinnedQuantity(
            assign_bins(values, distribution["edges"]),
            np.array(distribution["shares"]),
            float(values.mean()) if len(values) else None,
            distribution["mean"],
        )
    classes, shares = list(baseline["classes"]), list(baseline["classes"].values())
    quantities["emotion"] = _BinnedQuantity(pd.Index(classes).get_indexer(faces["emotion"]), np.array(shares))
    return quantities


def _resample_counts(segments: TrackSegments, counts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Counts (samples, bins) of each quantity over bootstrap samples, which are the same ones for all."""
    ends = np.cumsum([table.shape[1] for table in counts.values()])[:-1]
    sums = segments.resample_sums(np.hstack(list(counts.values())))
    return dict(zip(counts, np.split(sums, ends, axis=1), strict=True))


def compute_psi(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Compute the population stability index.

    Args:
        counts: (…, bins) of the batch.
        expected: (bins,) of the baseline. HALF_A_COUNT is added to each count of both.

    Returns:
        (…,) indices.
    """
    p, q = _smooth_shares(counts), _smooth_shares(expected)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def _smooth_shares(counts: np.ndarray) -> np.ndarray:
    smoothed = counts + HALF_A_COUNT
    return np.asarray(smoothed / smoothed.sum(axis=-1, keepdims=True))


def compute_limits(psi: float, samples: np.ndarray) -> tuple[float, float]:
    """Compute 95 % limits: the upper percentile, and as far below ``psi``, but not below 0.

    Resampled indices lie above ``psi``, for chance alone moves shares apart; their lower percentile would be above
    the truth in up to every third batch, and in every batch that has not drifted at all. So what is above is
    mirrored (the lower limit of the basic bootstrap: Davison and Hinkley 1997, section 5.2).

    Args:
        psi: The batch's index.
        samples: (samples,) indices of bootstrap samples.

    Returns:
        The lower and the upper limit.
    """
    high = max(float(np.percentile(samples, UPPER)), psi)
    return max(0.0, 2 * psi - high), high


def _extract_numbers(faces: pd.DataFrame) -> dict[str, np.ndarray]:
    """The quantities that are numbers, by name. Face size is the shorter side of the box, pixels."""
    size = faces[["face_w", "face_h"]].min(axis=1)
    measured = faces.assign(face_size=size, confidence=faces["confidence"].round(DECIMALS))
    return {name: measured[name].to_numpy(float) for name in NUMBERS}


def compute_bin_edges(values: np.ndarray) -> list[float]:
    """Ascending edges at the deciles of ``values``; around a value that takes several of them, two."""
    deciles = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    edges: list[float] = []
    for value, count in zip(*np.unique(deciles, return_counts=True), strict=True):
        if count > 1:
            edges.append(math.nextafter(value, -math.inf))
        edges.append(float(value))
    return edges


def assign_bins(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """The number of each value's bin, see ``_Distribution``."""
    return np.searchsorted(np.asarray(edges), values, side="left")

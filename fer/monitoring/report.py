"""The content of monitoring.json: counts, failures, speed, confidence, drift, and metrics against labels."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from fer.emotions import list_emotions
from fer.errors import DataError
from fer.metrics.bootstrap import TrackSegments
from fer.metrics.evaluation import summarize_confusion
from fer.monitoring.drift import compute_drift
from fer.monitoring.ground_truth import assign_labels

DECILES = np.arange(1, 10) / 10
LIMITS = ("min_faces", "max_psi", "max_failures", "min_accuracy", "min_macro_f1")
NAMES = {"face_size": "face size", "emotion": "predicted classes"}


class Limits(Protocol):
    """Limits beyond which a batch gives a warning; None never does. See ``fer.config.inference.Monitor``."""

    @property
    def min_faces(self) -> int:
        """Fewer faces are too few to tell a drift."""
        ...

    @property
    def max_psi(self) -> float | None:
        """Largest population stability index, at the lower end of its interval."""
        ...

    @property
    def max_failures(self) -> float | None:
        """Largest fraction of sampled frames that could not be classified."""
        ...

    @property
    def min_accuracy(self) -> float | None:
        """Least accuracy against labels."""
        ...

    @property
    def min_macro_f1(self) -> float | None:
        """Least macro-F1 against labels."""
        ...


def build_monitoring(
    table: pd.DataFrame,
    videos: pd.DataFrame,
    baseline: Mapping[str, Any] | None,
    labels: pd.DataFrame | None,
    seconds: float,
    limits: Limits,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure a batch.

    Args:
        table: The emotion table.
        videos: A row a video with ``problem``.
        baseline: A baseline of ``fer.monitoring.drift``; None measures no drift.
        labels: As ``read_labels`` returns them; None measures no accuracy.
        seconds: What classifying the faces took; 0 where it is not known.
        limits: Beyond which there are warnings.
        facts: Stand in the result as they are; ``retraining_command`` must be among them, and ends the warnings where
            there are any.

    Returns:
        The content of monitoring.json, plain JSON without NaN.

    Raises:
        DataError: The baseline has other classes than the table.
    """
    classes = list_emotions(table)
    if baseline is not None and list(baseline["classes"]) != classes:
        raise DataError(
            f"the baseline of the monitoring has the classes {', '.join(baseline['classes'])}, this batch "
            f"{', '.join(classes)}; set inference.monitor.baseline to a run with the same classes"
        )
    faces = table[table["status"] == "ok"]
    shares = faces["emotion"].value_counts(normalize=True)
    monitoring = {
        **facts,
        "counts": _build_counts(table, videos),
        "failures": _build_failures(table, videos),
        "seconds": round(seconds, 3) or None,
        "images_per_s": round(len(faces) / seconds, 2) if seconds else None,
        "confidence": {
            "mean": float(faces["confidence"].mean()) if len(faces) else None,
            "deciles": faces["confidence"].quantile(DECILES).tolist() if len(faces) else None,
        },
        "class_shares": {name: float(shares.get(name, 0.0)) for name in classes} if len(faces) else None,
        "baseline_class_shares": None if baseline is None else dict(baseline["classes"]),
        "drift": None if baseline is None else compute_drift(faces, baseline, limits.min_faces),
        "labels": None if labels is None else _evaluate_against_labels(faces, labels, classes),
        "limits": {name: getattr(limits, name) for name in LIMITS},
    }
    return {**monitoring, "warnings": _build_warnings(monitoring, limits)}


def _build_counts(table: pd.DataFrame, videos: pd.DataFrame) -> dict[str, Any]:
    """How many videos (or images), sampled frames, classified faces, and rows by status."""
    rows = table["status"].value_counts()
    return {
        "videos": len(videos),
        "frames": len(table[["video", "frame"]].drop_duplicates()),
        "faces": int(rows.get("ok", 0)),
        "rows": {str(status): int(rows[status]) for status in sorted(rows.index)},
    }


def _build_failures(table: pd.DataFrame, videos: pd.DataFrame) -> dict[str, Any]:
    """Sampled frames without a classified face, their share (1 where nothing was sampled), and videos with problems."""
    classified = (table["status"] == "ok").groupby([table["video"], table["frame"]]).any()
    return {
        "frames": int((~classified).sum()),
        "share": float((~classified).mean()) if len(classified) else 1.0,
        "videos": int((videos["problem"].fillna("") != "").sum()),
    }


def _evaluate_against_labels(faces: pd.DataFrame, labels: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1, each class's F1 and balanced accuracy on the labelled faces, with 95 % bootstrap intervals.

    A label that the model has no class for counts as a mistake.
    """
    truth = assign_labels(faces, labels)
    labelled = faces[truth.notna()]
    names = [*classes, *sorted(set(labels["emotion"]) - set(classes))]
    index = pd.Index(names)
    codes = index.get_indexer(truth.dropna()) * len(names) + index.get_indexer(labelled["emotion"])
    segments = TrackSegments.from_faces(labelled)
    counts = segments.count_codes(codes, len(names) ** 2)
    shape = (-1, len(names), len(names))
    confusion = counts.sum(axis=0).reshape(shape)[0]
    samples = segments.resample_sums(counts).reshape(shape) if len(segments.segment_videos) > 1 else None
    metrics = summarize_confusion(confusion, samples)
    return {
        "faces": len(labelled),
        **{name: metrics[name] for name in ("accuracy", "macro_f1")},
        "per_class": {
            name: {"faces": row["samples"], "f1": row["f1"]}
            for name, row in zip(names, metrics["per_class"], strict=True)
        },
        "balanced_accuracy": metrics["balanced_accuracy"],
    }


def _build_warnings(monitoring: Mapping[str, Any], limits: Limits) -> list[str]:
    """A sentence for each limit that the batch is beyond, and then how to retrain."""
    warnings = []
    if limits.max_psi is not None:
        for name, drift in (monitoring["drift"] or {}).items():
            if drift["note"] is None and drift["low"] > limits.max_psi:
                warnings.append(
                    f"Drift of {NAMES.get(name, name)}: population stability index {drift['psi']:.3f} "
                    f"[{drift['low']:.3f}, {drift['high']:.3f}], the lower limit above inference.monitor.max_psi="
                    f"{limits.max_psi:g}"
                )
    failures = monitoring["failures"]
    if limits.max_failures is not None and failures["share"] > limits.max_failures:
        warnings.append(
            f"Failures: {failures['frames']} of {monitoring['counts']['frames']} sampled frames could not be analysed, "
            f"{failures['share']:.1%}, above inference.monitor.max_failures={limits.max_failures:g}"
        )
    if (labelled := monitoring["labels"]) is not None:
        for name, title in (("accuracy", "Accuracy"), ("macro_f1", "Macro-F1")):
            limit, value = getattr(limits, f"min_{name}"), labelled[name]["value"]
            if limit is not None and value is None:
                warnings.append(
                    f"{title}: no classified face has a label, so inference.monitor.min_{name}={limit:g} was not tested"
                )
            elif limit is not None and value < limit:
                warnings.append(
                    f"{title}: {value:.3f} on {labelled['faces']} labelled faces, below "
                    f"inference.monitor.min_{name}={limit:g}"
                )
    return [*warnings, f"To train anew: {monitoring['retraining_command']}"] if warnings else []

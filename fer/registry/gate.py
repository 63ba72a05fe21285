"""The gate: whether a model may be used, by its metrics and by comparison with the champion on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fer.config.registry import Gate
from fer.metrics.bootstrap import compute_paired_difference, extract_predictions, resample_metrics
from fer.registry.status import APPROVED, PENDING, REJECTED, Status
from fer.registry.worst import check_worst_class, check_worst_group

SPLIT_TITLES = {"test": "test", "val": "validation"}
# The gate's metrics, and their names in metrics.json and bundle.yaml.
METRIC_KEYS = {
    "accuracy": "accuracy",
    "macro_f1": "macro_f1",
    "balanced_accuracy": "balanced_accuracy",
    "calibration_error": "ece_calibrated",
}


@dataclass(frozen=True)
class Verdict:
    """Whether a model may be used.

    Args:
        status: The worst status of all findings.
        reasons: A sentence for each finding.
        metrics: What the findings rest on; NaN for metrics that the model lacks.
    """

    status: Status
    reasons: tuple[str, ...]
    metrics: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of verdict.json."""
        return {"status": self.status, "reasons": self.reasons, "figures": self.metrics}


@dataclass(frozen=True)
class Champion:
    """The version in use.

    Args:
        uri: The version as ``model_uri`` names it.
        table: Its test predictions, as for ``evaluate_gate``; None where it has none.
    """

    uri: str
    table: pd.DataFrame | None


def evaluate_gate(
    gate: Gate, metrics: Mapping[str, Any], table: pd.DataFrame | None, champion: Champion | None = None
) -> Verdict:
    """Decide whether a model may be used.

    Args:
        gate: Limits of the configuration.
        metrics: Metrics of each split (test, val), as metrics.json holds them.
        table: Test predictions with a row for each image: content_hash, label, p_<emotion>. None where there are none.
        champion: The version in use, None where there is none.
    """
    split = next((name for name in SPLIT_TITLES if metrics.get(name)), None)
    if split is None:
        return Verdict(PENDING, ("The model comes without any figures: somebody has to decide.",), {})
    gate_metrics = _extract_metrics(metrics[split])
    findings = [
        _check_limits(gate, gate_metrics, f"the {SPLIT_TITLES[split]} part ({int(gate_metrics['samples'])} images)")
    ]
    subject = f"the {SPLIT_TITLES[split]} part"
    if gate.min_worst_class_recall is not None:
        findings.append(check_worst_class(metrics[split], gate.min_worst_class_recall, subject))
    if gate.min_worst_group_accuracy is not None:
        findings.append(check_worst_group(metrics[split], gate.min_worst_group_accuracy, subject))
    if split != "test":
        findings.append((PENDING, "There is no test part, and the epoch was chosen on validation."))
    if champion is not None:
        status, reason, comparison = _compare_with_champion(gate, table, champion)
        findings.append((status, reason))
        gate_metrics |= comparison
    elif split == "test":
        findings.append((APPROVED, "There is no champion to compare with."))
    worst = max((status for status, _ in findings), key=[APPROVED, PENDING, REJECTED].index)
    return Verdict(worst, tuple(reason for _, reason in findings), gate_metrics)


def _extract_metrics(split_metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the gate's metrics of one split, NaN for those it lacks; ``samples`` is the number of images."""
    result = {"samples": float(split_metrics.get("samples") or 0)}
    for name, key in METRIC_KEYS.items():
        value = split_metrics.get(key)
        value = value.get("value") if isinstance(value, Mapping) else value
        result[name] = float("nan") if value is None else float(value)
    return result


def _check_limits(gate: Gate, metrics: Mapping[str, float], subject: str) -> tuple[Status, str]:
    """Return the finding for the limits on metrics; ``subject`` says of which images they are."""
    limits = (
        ("accuracy", "accuracy", gate.min_accuracy, "min_accuracy", 1),
        ("macro-F1", "macro_f1", gate.min_macro_f1, "min_macro_f1", 1),
        ("calibration error", "calibration_error", gate.max_calibration_error, "max_calibration_error", -1),
    )
    # A metric that is NaN misses its limit, too.
    missed = [
        f"{title} {metrics[name]:.3f} (registry.gate.{key}={limit:g})"
        for title, name, limit, key, sign in limits
        if not sign * (metrics[name] - limit) >= 0
    ]
    if missed:
        return REJECTED, f"Not reached on {subject}: {', '.join(missed)}."
    reached = ", ".join(f"{title} {metrics[name]:.3f}" for title, name, *_ in limits)
    return APPROVED, f"All limits are kept on {subject}: {reached}."


def _compare_with_champion(
    gate: Gate, table: pd.DataFrame | None, champion: Champion
) -> tuple[Status, str, dict[str, float]]:
    """Return the finding, and its metrics, of a paired bootstrap of the difference in accuracy to the champion."""
    for owner, predictions in (("The model", table), (f"The champion {champion.uri}", champion.table)):
        if predictions is None:
            return PENDING, f"{owner} comes without test predictions, so the two cannot be compared.", {}
    assert table is not None and champion.table is not None
    common = find_common_images(table, champion.table)
    count = len(common)
    if count < gate.min_common_images:
        reason = (
            f"Only {count} test images are also the champion's ({champion.uri}); "
            f"registry.gate.min_common_images={gate.min_common_images}."
        )
        return PENDING, reason, {"common_images": float(count)}
    accuracy = resample_metrics(
        common["label"].to_numpy(), common[["predicted", "predicted_other"]].to_numpy()
    ).accuracy
    bounds = compute_paired_difference(accuracy[:, 0], accuracy[:, 1:])
    mean, low, high = bounds.value.item(), bounds.low.item(), bounds.high.item()
    if low >= -gate.tolerance:
        status, conclusion = APPROVED, "not worse"
    elif high < 0:
        status, conclusion = REJECTED, "worse"
    else:
        status, conclusion = PENDING, "perhaps worse"
    reason = (
        f"Accuracy less that of the champion {champion.uri} on {count} images in common: {mean:+.3f} "
        f"[{low:+.3f}, {high:+.3f}]: {conclusion}, at a tolerance of {gate.tolerance:g}."
    )
    metrics = {"common_images": float(count), "difference": mean, "difference_low": low, "difference_high": high}
    return status, reason, metrics


def find_common_images(table: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Join two tables of test predictions.

    Returns:
        A row for each image that both have with the same label: content_hash, label, predicted, predicted_other.
    """
    key = "content_hash"
    return extract_predictions(table, key).merge(
        extract_predictions(other, key), on=[key, "label"], suffixes=("", "_other"), validate="one_to_one"
    )

"""The gate: whether a model may be used, judged by its figures and against the champion on the same images."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from fer.config.registry import Gate
from fer.metrics.bootstrap import compute_paired_difference, extract_predictions, resample_metrics

Status = Literal["Approved", "PendingManualApproval", "Rejected"]
APPROVED: Status = "Approved"
PENDING: Status = "PendingManualApproval"
REJECTED: Status = "Rejected"
SPLIT_TITLES = {"test": "test", "val": "validation"}
# The gate's figures, and their names in metrics.json and bundle.yaml.
METRIC_KEYS = {
    "accuracy": "accuracy",
    "macro_f1": "macro_f1",
    "balanced_accuracy": "balanced_accuracy",
    "calibration_error": "ece_calibrated",
}


@dataclass(frozen=True)
class Verdict:
    """Whether a model may be used, why (sentences with figures), and the figures themselves."""

    status: Status
    reasons: tuple[str, ...]
    figures: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """What verdict.json holds."""
        return asdict(self)


@dataclass(frozen=True)
class Champion:
    """The version in use, and its test table; None where it has none."""

    uri: str
    table: pd.DataFrame | None


def evaluate_gate(
    gate: Gate, metrics: Mapping[str, Any], table: pd.DataFrame | None, champion: Champion | None = None
) -> Verdict:
    """Judge a model by ``metrics``, parts (test, val) as metrics.json holds them, and against the champion.

    A test table has a row an image: content_hash, label, p_<emotion>.
    """
    split = next((part for part in SPLIT_TITLES if metrics.get(part)), None)
    if split is None:
        return Verdict(PENDING, ("The model comes without any figures: somebody has to decide.",), {})
    gate_metrics = _extract_metrics(metrics[split])
    findings = [
        _check_limits(gate, gate_metrics, f"the {SPLIT_TITLES[split]} part ({int(gate_metrics['samples'])} images)")
    ]
    if split != "test":
        findings.append((PENDING, "There is no test part, and the epoch was chosen on validation."))
    if champion is not None:
        status, reason, compared = _compare_with_champion(gate, table, champion)
        findings.append((status, reason))
        gate_metrics |= compared
    elif split == "test":
        findings.append((APPROVED, "There is no champion to compare with."))
    worst = max((status for status, _ in findings), key=[APPROVED, PENDING, REJECTED].index)
    return Verdict(worst, tuple(reason for _, reason in findings), gate_metrics)


def _extract_metrics(split_metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one part of metrics.json, NaN for those it lacks; ``samples`` is the number of images."""
    result = {"samples": float(split_metrics.get("samples") or 0)}
    for name, key in METRIC_KEYS.items():
        value = split_metrics.get(key)
        value = value.get("value") if isinstance(value, Mapping) else value
        result[name] = float("nan") if value is None else float(value)
    return result


def _check_limits(gate: Gate, metrics: Mapping[str, float], subject: str) -> tuple[Status, str]:
    limits = (
        ("accuracy", "accuracy", gate.min_accuracy, "min_accuracy", 1),
        ("macro-F1", "macro_f1", gate.min_macro_f1, "min_macro_f1", 1),
        ("calibration error", "calibration_error", gate.max_calibration_error, "max_calibration_error", -1),
    )
    # Also a figure that is not a number is not reached.
    missed = [
        f"{word} {metrics[name]:.3f} (registry.gate.{key}={limit:g})"
        for word, name, limit, key, sign in limits
        if not sign * (metrics[name] - limit) >= 0
    ]
    if missed:
        return REJECTED, f"Not reached on {subject}: {', '.join(missed)}."
    reached = ", ".join(f"{word} {metrics[name]:.3f}" for word, name, *_ in limits)
    return APPROVED, f"All limits are kept on {subject}: {reached}."


def _compare_with_champion(
    gate: Gate, table: pd.DataFrame | None, champion: Champion
) -> tuple[Status, str, dict[str, float]]:
    """Compare with the champion, by a paired bootstrap of the difference in accuracy."""
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
        status, word = APPROVED, "not worse"
    elif high < 0:
        status, word = REJECTED, "worse"
    else:
        status, word = PENDING, "perhaps worse"
    reason = (
        f"Accuracy less that of the champion {champion.uri} on {count} images in common: {mean:+.3f} "
        f"[{low:+.3f}, {high:+.3f}]: {word}, at a tolerance of {gate.tolerance:g}."
    )
    metrics = {"common_images": float(count), "difference": mean, "difference_low": low, "difference_high": high}
    return status, reason, metrics


def find_common_images(table: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """A row for each picture that both tables have with the same label: label, predicted, predicted_other."""
    key = "content_hash"
    return extract_predictions(table, key).merge(
        extract_predictions(other, key), on=[key, "label"], suffixes=("", "_other"), validate="one_to_one"
    )

"""The gate's limits on the class and on the group that are recognised worst."""

from typing import Any

import pytest

from fer.config.registry import Gate
from fer.registry.gate import APPROVED, REJECTED, evaluate_gate

LIMITS: dict[str, Any] = {
    "min_accuracy": 0.6,
    "min_macro_f1": 0.5,
    "max_calibration_error": 0.5,
    "tolerance": 0.02,
    "min_common_images": 100,
}


def figures(**more: Any) -> dict[str, Any]:
    good = {"samples": 200, "accuracy": {"value": 0.9}, "macro_f1": {"value": 0.9}, "ece_calibrated": 0.01}
    return {"test": {**good, **more}}


def recalls(**values: float | None) -> dict[str, Any]:
    return {name: {"samples": 20, "recall": {"value": value}} for name, value in values.items()}


def group(worst: str, value: float) -> dict[str, Any]:
    return {"groups": {}, "worst": {"group": worst, "value": value}}


def judge(metrics: dict[str, Any], **limits: float) -> tuple[str, str]:
    verdict = evaluate_gate(Gate(**LIMITS, **limits), metrics, None)
    return verdict.status, verdict.reasons[1]


def test_without_limits_nothing_more_is_asked() -> None:
    verdict = evaluate_gate(Gate(**LIMITS), figures(), None)
    assert verdict.status == APPROVED and len(verdict.reasons) == 2


@pytest.mark.parametrize(("limit", "status", "word"), [(0.4, APPROVED, "Kept"), (0.401, REJECTED, "Not reached")])
def test_the_worst_class(limit: float, status: str, word: str) -> None:
    expected = (
        f"{word}: recall of the worst class, disgust, on the test part: 0.400 "
        f"(registry.gate.min_worst_class_recall={limit:g})."
    )
    metrics = figures(per_class=recalls(anger=0.8, disgust=0.4, fear=0.9))
    assert judge(metrics, min_worst_class_recall=limit) == (status, expected)
    # What bundle.yaml repeats of metrics.json.
    summary = figures(recall={"anger": {"value": 0.8, "samples": 20}, "disgust": {"value": 0.4, "samples": 20}})
    assert judge(summary, min_worst_class_recall=limit) == (status, expected)


def test_a_class_without_images_shows_nothing() -> None:
    status, reason = judge(figures(per_class=recalls(anger=0.8, fear=None)), min_worst_class_recall=0.1)
    assert status == REJECTED and reason.startswith("There is no image of fear in the test part")


def test_metrics_without_classes_say_how_to_get_them() -> None:
    status, reason = judge(figures(), min_worst_class_recall=0.1)
    assert status == REJECTED and "get them by train.py trainer.stages=[test] model_uri=MODEL" in reason


@pytest.mark.parametrize(("limit", "status", "word"), [(0.7, APPROVED, "Kept"), (0.71, REJECTED, "Not reached")])
def test_the_worst_group_of_all_groupings(limit: float, status: str, word: str) -> None:
    metrics = figures(groups={"gender": group("male", 0.8), "race": group("Asian", 0.7), "age": {"worst": None}})
    assert judge(metrics, min_worst_group_accuracy=limit) == (
        status,
        f"{word}: accuracy of the worst group, race=Asian, on the test part: 0.700 "
        f"(registry.gate.min_worst_group_accuracy={limit:g}).",
    )


@pytest.mark.parametrize("groups", [{}, {"groups": {"age": {"worst": None}}}])
def test_metrics_without_groups_say_how_to_get_them(groups: dict[str, Any]) -> None:
    status, reason = judge(figures(**groups), min_worst_group_accuracy=0.1)
    assert status == REJECTED and "evaluation.groups=[COLUMN,…]" in reason

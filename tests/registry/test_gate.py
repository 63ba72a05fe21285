"""The gate's rules, with arithmetic that is checked by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from fer.config.registry import Gate
from fer.registry.gate import (
    APPROVED,
    PENDING,
    REJECTED,
    Champion,
    Status,
    evaluate_gate,
    find_common_images,
)
from tests.helpers.candidates import table
from tests.helpers.registry_runs import metrics_of

GATE = Gate(min_accuracy=0.6, min_macro_f1=0.5, max_calibration_error=0.5, tolerance=0.02, min_common_images=100)
URI = "models:/fer-test/3"


def rights(count: int, wrong: int) -> np.ndarray:
    """``wrong`` of ``count`` images are judged wrongly, the first ones."""
    return np.arange(count) >= wrong


def figures(accuracy: float, macro_f1: float, calibration: float | None) -> dict[str, object]:
    return {
        "samples": 200,
        "accuracy": {"value": accuracy},
        "macro_f1": {"value": macro_f1},
        "ece_calibrated": calibration,
    }


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (
            (0.6, 0.5, 0.5),
            APPROVED,
            "All limits are kept on the test part (200 images): accuracy 0.600, macro-F1 0.500",
        ),
        (
            (0.599, 0.5, 0.5),
            REJECTED,
            "Not reached on the test part (200 images): accuracy 0.599 (registry.gate.min_acc",
        ),
        ((0.9, 0.49, 0.6), REJECTED, "macro-F1 0.490 (registry.gate.min_macro_f1=0.5), calibration error 0.600 ("),
        ((0.9, 0.9, None), REJECTED, "calibration error nan"),
        ((math.nan, 0.9, 0.1), REJECTED, "accuracy nan"),
    ],
)
def test_minima(given: tuple[float, float, float | None], status: Status, said: str) -> None:
    verdict = evaluate_gate(GATE, {"test": figures(*given)}, None)
    assert verdict.status == status
    assert said in verdict.reasons[0]
    assert verdict.reasons[1] == "There is no champion to compare with."


def test_without_a_test_part_somebody_decides() -> None:
    verdict = evaluate_gate(GATE, {"val": figures(0.9, 0.9, 0.1), "test": None}, None)
    assert verdict.status == PENDING
    assert verdict.reasons[1] == "There is no test part, and the epoch was chosen on validation."
    assert evaluate_gate(GATE, {"val": figures(0.1, 0.9, 0.1)}, None).status == REJECTED
    assert evaluate_gate(GATE, {}, None).status == PENDING


def test_the_same_images_with_the_same_label_are_compared() -> None:
    def wins(one: pd.DataFrame, other: pd.DataFrame) -> list[int]:
        common = find_common_images(one, other)
        right = [(common[column] == common["label"]).astype(int) for column in ("predicted", "predicted_other")]
        return (right[0] - right[1]).tolist()

    new = table(np.array([True, True, False, False, True]))
    old = table(np.array([True, False, True, False, True]))
    assert wins(new, old) == [0, 1, -1, 0, 0]
    old.loc[1, "label"] = "sadness" if old.loc[1, "label"] != "sadness" else "anger"
    old.loc[4, "content_hash"] = "another"
    assert wins(new, old.sample(frac=1, random_state=0)) == [0, -1, 0]
    doubled = new.loc[[0, 0, 2]]
    assert wins(doubled, old) == [0, -1]


@pytest.mark.parametrize(
    ("new_wrong", "old_wrong", "tolerance", "status", "word"),
    [
        (40, 40, 0.02, APPROVED, "+0.000 [+0.000, +0.000]: not worse, at a tolerance of 0.02"),
        (0, 40, 0.02, APPROVED, "+0.100 [+0.07"),
        # 40 of 400 lost: −0.1 ± 1.96 × √(0.1 × 0.9 / 400) = −0.129 … −0.071
        (80, 40, 0.02, REJECTED, "-0.100 [-0.1"),
        (80, 40, 0.2, APPROVED, "not worse, at a tolerance of 0.2."),
    ],
)
def test_against_the_champion(new_wrong: int, old_wrong: int, tolerance: float, status: Status, word: str) -> None:
    new, old = table(rights(400, new_wrong)), table(rights(400, old_wrong))
    gate = GATE.model_copy(update={"tolerance": tolerance})
    verdict = evaluate_gate(gate, metrics_of(new), new, Champion(URI, old))
    assert verdict.status == status
    assert f"champion {URI} on 400 images in common: " in verdict.reasons[1]
    assert word in verdict.reasons[1]
    assert verdict.metrics["common_images"] == 400
    assert verdict.metrics["difference"] == pytest.approx((old_wrong - new_wrong) / 400)


def test_perhaps_worse_is_for_somebody_to_decide() -> None:
    # 12 of 400 lost and 8 won: −0.01 ± 0.022.
    new, old = np.ones(400, bool), np.ones(400, bool)
    new[:12], old[12:20] = False, False
    verdict = evaluate_gate(GATE, metrics_of(table(new)), table(new), Champion(URI, table(old)))
    assert verdict.status == PENDING
    assert verdict.metrics["difference_low"] == pytest.approx(-0.032, abs=0.003)
    assert verdict.metrics["difference_high"] == pytest.approx(0.012, abs=0.003)
    assert "perhaps worse" in verdict.reasons[1]
    assert evaluate_gate(GATE, metrics_of(table(new)), table(new), Champion(URI, table(old))) == verdict


def test_what_cannot_be_compared_is_for_somebody_to_decide() -> None:
    new = table(rights(200, 10))
    elsewhere = evaluate_gate(GATE, metrics_of(new), new, Champion(URI, table(rights(200, 10), first=101)))
    assert elsewhere.status == PENDING
    assert "Only 99 test images are also the champion's (models:/fer-test/3)" in elsewhere.reasons[1]
    assert (
        evaluate_gate(GATE, metrics_of(new), new, Champion(URI, table(rights(200, 10), first=100))).status == APPROVED
    )
    alone = evaluate_gate(GATE, metrics_of(new), None, Champion(URI, new))
    assert alone.status == PENDING and "The model comes without test predictions" in alone.reasons[1]
    bare = evaluate_gate(GATE, metrics_of(new), new, Champion(URI, None))
    assert bare.status == PENDING and f"The champion {URI} comes without test predictions" in bare.reasons[1]


def test_a_missed_minimum_is_not_healed_by_a_weaker_champion() -> None:
    new, old = table(rights(200, 120)), table(rights(200, 150))
    verdict = evaluate_gate(GATE, metrics_of(new), new, Champion(URI, old))
    assert verdict.status == REJECTED

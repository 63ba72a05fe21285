"""Figures of exported files, and their table."""

import numpy as np
import pytest

from fer.emotions import EMOTIONS
from fer.export.check import CheckedModel
from fer.export.inputs import ModelInputs
from fer.export.measurement import BATCH_SIZES, build_answer, compare_metrics, compute_difference, measure_times
from fer.export.table import print_models


def one_hot(names: list[str]) -> np.ndarray:
    return np.eye(len(EMOTIONS), dtype=np.float32)[[EMOTIONS.index(name) for name in names]]


def test_metrics_are_compared_on_the_same_images() -> None:
    labels = ["anger"] * 50 + ["fear"] * 50
    worse = ["anger"] * 40 + ["fear"] * 60
    bundle, same, other = compare_metrics(
        np.array(labels), EMOTIONS, [one_hot(labels), one_hot(labels), one_hot(worse)]
    )
    assert bundle["accuracy"] == {"value": 1.0}
    assert same["accuracy"] == {"value": 1.0, "difference": 0.0, "low": 0.0, "high": 0.0}
    assert other["accuracy"]["value"] == pytest.approx(0.9)
    assert other["accuracy"]["difference"] == pytest.approx(-0.1)
    assert -0.2 < other["accuracy"]["low"] < -0.1 < other["accuracy"]["high"] < 0
    assert other["macro_f1"]["value"] == pytest.approx((2 * 40 / 90 + 2 * 50 / 110) / 2)


def test_the_largest_difference_is_infinite_where_there_is_no_answer() -> None:
    expected = one_hot(["anger", "fear"])
    assert compute_difference(expected - np.float32(0.25), expected) == 0.25
    assert compute_difference(expected[:1], expected) == np.inf
    assert compute_difference(expected * np.float32("nan"), expected) == np.inf


def test_answers_come_in_batches_of_any_number_and_outputs_side_by_side() -> None:
    seen = []

    def runner(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        seen.append(len(inputs["faces"]))
        flat = inputs["faces"].reshape(len(inputs["faces"]), -1).astype(np.float32)
        return [flat, -flat]

    images = np.arange(33 * 4, dtype=np.uint8).reshape(33, 2, 2, 1)
    answers = build_answer(runner)(ModelInputs({"faces": images}))
    assert seen == [32, 1]
    np.testing.assert_array_equal(
        answers, np.concatenate([images.reshape(33, 4), -images.reshape(33, 4).astype(float)], 1)
    )


def test_times_are_of_each_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer.export.measurement.MIN_SECONDS", 0)
    seen: set[int] = set()
    times = measure_times(lambda batch: seen.add(len(batch)), ModelInputs({"faces": np.zeros((33, 2, 2, 1), np.uint8)}))
    assert tuple(times) == BATCH_SIZES and seen == set(BATCH_SIZES)
    assert all(value > 0 for value in times.values())


def test_the_table_has_a_row_a_model(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    answers = [one_hot(["anger", "fear"]), one_hot(["anger", "anger"])]
    models = [
        CheckedModel("bundle (x)", {}, 4_700_000, {1: 12.34, 32: 100.0}, None, answers[0]),
        CheckedModel("ONNX", {}, 9_000_000, {1: 5.0, 32: 50.0}, 2e-6, answers[1]),
    ]
    print_models(models, compare_metrics(np.array(["anger", "fear"]), EMOTIONS, answers))
    text = capsys.readouterr().out
    for part in (
        "ms, batch 32",
        "bundle (x)",
        "4.7",
        "12.3",
        "100.0",
        "2e-06",
        "50.0\N{NO-BREAK SPACE}%",
        "−50.00",
        "ONNX",
    ):
        assert part in text, part

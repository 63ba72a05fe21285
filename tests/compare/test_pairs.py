"""Tests of two runs: on the images that both have, with the figures that a direct computation gives."""

from pathlib import Path

import numpy as np
import pytest

from fer.compare.pairs import PairedTests, compare_pairs
from fer.emotions import EMOTIONS
from fer.metrics.bootstrap import PAIRED_METRICS, compute_paired_difference, resample_metrics
from tests.helpers.compared_runs import IMAGES, make_run, predictions, read


def right(seed: int, share: float, count: int = IMAGES) -> np.ndarray:
    return np.random.default_rng(seed).random(count) < share


def pairs_below(place: Path) -> PairedTests:
    return compare_pairs(read(place), "test")


def test_every_pair_is_tested_as_two_runs_alone_would_be(tmp_path: Path) -> None:
    tables = [predictions(right(seed, share)) for seed, share in ((0, 0.9), (1, 0.7), (2, 0.68))]
    for number, table in enumerate(tables):
        # The order of the rows has no meaning.
        make_run(tmp_path / str(number), table=table.sample(frac=1, random_state=number))
    found = pairs_below(tmp_path)
    assert found.untested == {}
    assert found.table[["first", "second"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 2]]
    assert found.table["images"].tolist() == [IMAGES] * 3 and found.table["same_data"].tolist() == [True] * 3
    accuracies = [right(seed, share).mean() for seed, share in ((0, 0.9), (1, 0.7), (2, 0.68))]
    row = found.table.iloc[1]
    assert (row["accuracy_first"], row["accuracy_second"]) == pytest.approx((accuracies[0], accuracies[2]))
    assert row["accuracy_difference"] == pytest.approx(accuracies[0] - accuracies[2])
    assert row["accuracy_low"] > 0 and row["accuracy_p"] < 0.01
    # Drawn for two runs alone, the samples are others: the bounds agree but for chance.
    decided = np.column_stack([np.array(EMOTIONS)[table.filter(like="p_").to_numpy().argmax(1)] for table in tables])
    alone = resample_metrics(tables[0]["label"].to_numpy(), decided[:, [0, 2]])
    for name in PAIRED_METRICS:
        samples = getattr(alone, name)
        expected = compute_paired_difference(samples[:, 0], samples[:, 1:])
        assert row[f"{name}_difference"] == pytest.approx(expected.value.item())
        assert row[f"{name}_low"] == pytest.approx(expected.low.item(), abs=0.012)
        assert row[f"{name}_high"] == pytest.approx(expected.high.item(), abs=0.012)


def test_runs_with_other_images_are_compared_on_the_common_ones(tmp_path: Path) -> None:
    make_run(tmp_path / "a", table=predictions(np.arange(100) >= 20))
    make_run(tmp_path / "b", table=predictions(np.arange(100) >= 30, first=50), provenance={"data_fingerprint": "e"})
    make_run(tmp_path / "c", table=predictions(np.ones(10, bool), first=900), provenance={"data_fingerprint": None})
    table = pairs_below(tmp_path).table
    assert table["images"].tolist() == [50, 0, 0]
    assert table["same_data"].tolist() == [False, None, None]
    # Images 50 to 99: all right in the first run, the first 30 wrong in the second.
    assert table.iloc[0][["accuracy_first", "accuracy_second"]].tolist() == pytest.approx([1.0, 0.4])
    assert table.iloc[1:]["accuracy_p"].isna().all()


def test_a_label_that_changed_is_another_image(tmp_path: Path) -> None:
    table = predictions(np.ones(14, bool))
    make_run(tmp_path / "a", table=table)
    changed = table.copy()
    changed.loc[0, "label"] = "surprise"
    make_run(tmp_path / "b", table=changed)
    assert pairs_below(tmp_path).table["images"].tolist() == [13]


def test_seven_and_eight_classes_are_compared(tmp_path: Path) -> None:
    make_run(tmp_path / "a", table=predictions(np.ones(70, bool)))
    eight = predictions(np.arange(70) >= 7, classes=(*EMOTIONS, "contempt"), wrong_class="contempt")
    make_run(tmp_path / "b", table=eight)
    row = pairs_below(tmp_path).table.iloc[0]
    assert (row["accuracy_first"], row["accuracy_second"]) == pytest.approx((1, 0.9))
    # One of ten images of each class goes to contempt, which has no images: F1 = 2 · 9 / (10 + 9).
    assert row["macro_f1_second"] == pytest.approx(18 / 19)


def test_unreadable_predictions_are_told(tmp_path: Path) -> None:
    for name in "abcdef":
        make_run(tmp_path / name)
    (tmp_path / "a" / "predictions_test.parquet").write_bytes(b"PAR1 half")
    (tmp_path / "b" / "predictions_test.parquet").unlink()
    table = predictions(np.ones(7, bool))
    table.drop(columns="label").to_parquet(tmp_path / "c" / "predictions_test.parquet")
    table.iloc[:0].to_parquet(tmp_path / "d" / "predictions_test.parquet")
    found = pairs_below(tmp_path)
    assert found.untested[0].startswith("predictions_test.parquet cannot be read (")
    assert found.untested[1] == "has no predictions of test"
    assert found.untested[2].startswith("predictions_test.parquet cannot be read (")
    assert list(found.untested) == [0, 1, 2, 3]
    assert found.table[["first", "second"]].to_numpy().tolist() == [[4, 5]]


def test_of_many_runs_the_first_are_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer.compare.pairs.MAX_RUNS", 2)
    monkeypatch.setattr("fer.compare.pairs.MAX_TESTED_OF_MORE", 2)
    for number in range(3):
        make_run(tmp_path / str(number), table=predictions(right(number, 0.8)))
    found = pairs_below(tmp_path)
    assert found.table[["first", "second"]].to_numpy().tolist() == [[0, 1]]
    assert found.untested == {2: "is not among the first 2 of 3 runs; compare at most 2 to test it"}


def test_differences_are_asked_for_once_for_runs_of_the_same_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("fer.compare.pairs.find_differences", lambda runs, split: asked.append(runs) or ["labels"])
    for number in range(4):
        make_run(tmp_path / str(number), table=predictions(right(number, 0.8)))
    assert pairs_below(tmp_path).table["differences"].tolist() == ["labels"] * 6
    assert len(asked) == 1

"""Every metric of an evaluation equals scikit-learn's, SciPy's, and what ten images give by hand."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn import metrics as sklearn
from torchmetrics.functional.classification import multiclass_calibration_error

from fer.metrics import bootstrap
from fer.metrics.bootstrap import iter_image_weights
from fer.metrics.evaluation import CLASS_METRICS, DECISION_METRICS, RANKING_METRICS, SCORES, Evaluation
from fer.metrics.ranking import RankedScores, compute_class_curves
from fer.metrics.reliability import compute_reliability

CLASSES = ("anger", "fear", "surprise")


def answers(count: int, seed: int = 0, decimals: int | None = None, sharpness: float = 1.5) -> Evaluation:
    """Answers for images of three unequal classes with ten votes each; rounded to ``decimals`` they have ties."""
    random = np.random.default_rng(seed)
    labels = random.choice(3, count, p=[0.6, 0.3, 0.1])
    logits = random.normal(size=(count, 3)) + sharpness * np.eye(3)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if decimals is not None:
        probabilities = np.round(probabilities, decimals)
        probabilities[:, 2] = 1 - probabilities[:, 0] - probabilities[:, 1]
        probabilities = np.round(np.clip(probabilities, 0, 1), decimals)
    votes = np.stack([random.multinomial(10, 0.6 * np.eye(5)[label] + 0.08) for label in labels]).astype(float)
    return Evaluation(probabilities, labels, CLASSES, votes)


@pytest.mark.parametrize("decimals", [None, 1])
def test_metrics_are_those_of_scikit_learn_and_scipy(decimals: int | None) -> None:
    evaluation = answers(700, decimals=decimals)
    probabilities, labels, votes = evaluation.probabilities, evaluation.labels, evaluation.votes
    assert votes is not None
    found = evaluation.compute_metrics()
    predicted = probabilities.argmax(1)
    precision, recall, f1, samples = sklearn.precision_recall_fscore_support(labels, predicted)
    truth = np.eye(3)[labels]
    clipped = np.clip(probabilities, 1e-12, 1)
    fractions = votes[:, :3] / votes[:, :3].sum(1, keepdims=True)
    expected = {
        "accuracy": sklearn.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn.balanced_accuracy_score(labels, predicted),
        "macro_f1": sklearn.f1_score(labels, predicted, average="macro"),
        "roc_auc": sklearn.roc_auc_score(truth, probabilities, average="macro"),
        "average_precision": sklearn.average_precision_score(truth, probabilities, average="macro"),
        "log_loss": float(-np.log(clipped[np.arange(700), labels]).mean()),
        "brier": float(((probabilities - truth) ** 2).sum(1).mean()),
        "kl_to_votes": float(entropy(fractions, clipped / 1, axis=1).mean() - np.log(clipped.sum(1)).mean()),
        "log_loss_to_votes": float(-(fractions * np.log(clipped)).sum(1).mean()),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-6), name
    if decimals is None:
        assert found["log_loss"]["value"] == pytest.approx(sklearn.log_loss(labels, probabilities))
    areas = sklearn.roc_auc_score(truth, probabilities, average=None)
    averages = sklearn.average_precision_score(truth, probabilities, average=None)
    for column, name in enumerate(CLASSES):
        row = found["per_class"][name]
        values = [row[metric]["value"] for metric in CLASS_METRICS]
        wanted = [precision[column], recall[column], f1[column], areas[column], averages[column]]
        assert values == pytest.approx(wanted, rel=1e-6)
        assert row["samples"] == samples[column]
    assert evaluation.compute_confusion().tolist() == sklearn.confusion_matrix(labels, predicted).tolist()


def test_the_calibration_error_is_that_of_torchmetrics() -> None:
    evaluation = answers(500)
    single = evaluation.probabilities.astype(np.float32)
    expected = multiclass_calibration_error(torch.tensor(single), torch.tensor(evaluation.labels), 3, n_bins=15)
    found = Evaluation(single, evaluation.labels, CLASSES).compute_scores()
    assert found["ece"]["value"] == pytest.approx(float(expected), abs=1e-6)


def test_ten_images_by_hand() -> None:
    # The confidence of fear; two images tie at 0.5, and the first class wins a tie.
    fear = np.array([0.1, 0.1, 0.3, 0.5, 0.7, 0.5, 0.9, 0.9, 0.9, 0.7])
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    votes = np.tile([1.0, 3.0, 0.0], (10, 1))
    found = Evaluation(np.column_stack([1 - fear, fear]), labels, ("anger", "fear"), votes).compute_metrics()
    assert found["samples"] == 10
    assert found["accuracy"]["value"] == pytest.approx(0.8)
    assert found["balanced_accuracy"]["value"] == pytest.approx((4 / 5 + 4 / 5) / 2)
    row = found["per_class"]["fear"]
    assert [row[name]["value"] for name in ("precision", "recall", "f1")] == pytest.approx([4 / 5, 4 / 5, 4 / 5])
    # Pairs that 0.9 (three times), 0.7 and 0.5 of fear win against 0.1, 0.1, 0.3, 0.5 and 0.7; ties count half.
    assert row["roc_auc"]["value"] == pytest.approx((15 + 4.5 + 3.5) / 25)
    # At 0.9 three of three, at 0.7 four of five, at 0.5 five of seven.
    assert row["average_precision"]["value"] == pytest.approx(3 / 5 + (1 / 5) * (4 / 5) + (1 / 5) * (5 / 7))
    right = np.array([0.9, 0.9, 0.7, 0.5, 0.3, 0.5, 0.9, 0.9, 0.9, 0.7])
    assert found["log_loss"]["value"] == pytest.approx(-sum(math.log(p) for p in right) / 10)
    assert found["brier"]["value"] == pytest.approx(sum(2 * (1 - p) ** 2 for p in right) / 10)
    # Confidence 0.5: one of two right; 0.7: two of three; 0.9: five of five.
    assert found["ece"]["value"] == pytest.approx((0 + 3 * abs(0.7 - 2 / 3) + 5 * 0.1) / 10)
    crossed = -sum(0.25 * math.log(1 - p) + 0.75 * math.log(p) for p in fear) / 10
    assert found["log_loss_to_votes"]["value"] == pytest.approx(crossed)
    assert found["kl_to_votes"]["value"] == pytest.approx(crossed + 0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    # Three of four annotators find fear ahead among the others, 2:1; the fourth finds 3:0 for fear.
    assert found["annotator_agreement"]["value"] == pytest.approx(3 / 4)


def test_a_class_without_images_has_no_figures_and_counts_in_no_mean() -> None:
    evaluation = answers(300)
    kept = evaluation.select(evaluation.labels != 1)
    found = kept.compute_metrics()
    fear = found["per_class"]["fear"]
    assert fear["samples"] == 0
    for name in CLASS_METRICS:
        assert fear[name] == {"value": None, "low": None, "high": None}
    truth = np.eye(3)[kept.labels][:, [0, 2]]
    expected = sklearn.roc_auc_score(truth, kept.probabilities[:, [0, 2]], average="macro")
    assert found["roc_auc"]["value"] == pytest.approx(expected)
    json.dumps(found, allow_nan=False)


def test_images_of_one_class_have_no_roc_and_perfect_precision() -> None:
    evaluation = answers(50)
    found = evaluation.select(evaluation.labels == 0).compute_metrics()
    assert found["roc_auc"]["value"] is None
    assert found["per_class"]["anger"]["average_precision"]["value"] == 1.0


@pytest.mark.parametrize("count", [0, 1])
def test_no_image_and_one_image(count: int) -> None:
    found = answers(5).select(np.arange(count)).compute_metrics()
    assert found["samples"] == count
    assert (found["accuracy"]["value"] is None) == (count == 0)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_bootstrap_samples_are_images_with_weights(decimals: int | None) -> None:
    evaluation = answers(120, decimals=decimals)
    weights = np.random.default_rng(1).integers(0, 3, (20, 120)).astype(np.float32)
    for column in range(3):
        positive, scores = evaluation.labels == column, evaluation.probabilities[:, column]
        areas, averages = RankedScores.sort(scores, positive).compute(weights)
        for row, own in enumerate(weights):
            assert areas[row] == pytest.approx(sklearn.roc_auc_score(positive, scores, sample_weight=own))
            wanted = sklearn.average_precision_score(positive, scores, sample_weight=own)
            assert averages[row] == pytest.approx(wanted, rel=1e-6)


def test_samples_are_drawn_with_replacement_and_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(iter_image_weights(50)))
    assert whole.shape == (1 + bootstrap.IMAGE_RESAMPLES, 50)
    assert (whole.sum(1) == 50).all() and (whole[0] == 1).all()
    assert whole[1:].mean(0) == pytest.approx(np.ones(50), abs=0.2)
    assert whole[1:].var() == pytest.approx(0.98, abs=0.05)
    monkeypatch.setattr(bootstrap, "MAX_WEIGHTS_PER_DRAW", 333)
    np.testing.assert_array_equal(np.concatenate(list(iter_image_weights(50))), whole)


def test_intervals_hold_their_value_and_are_as_wide_as_theory_says() -> None:
    evaluation = answers(900)
    found = evaluation.compute_metrics()
    for name in (*DECISION_METRICS, *RANKING_METRICS, *SCORES):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"], name
    right = evaluation.probabilities[np.arange(900), evaluation.labels]
    expected = 2 * 1.96 * np.log(right).std() / 30
    assert found["log_loss"]["high"] - found["log_loss"]["low"] == pytest.approx(expected, rel=0.12)


def test_the_interval_of_a_small_calibration_error_holds_it() -> None:
    random = np.random.default_rng(5)
    confidence = random.uniform(0.5, 1, 2000)
    labels = (random.random(2000) > confidence).astype(int)
    error = Evaluation(np.column_stack([confidence, 1 - confidence]), labels, ("fear", "surprise")).compute_scores()
    bounds = error["ece"]
    assert bounds["low"] is not None and bounds["value"] is not None and bounds["high"] is not None
    assert 0 <= bounds["low"] < bounds["value"] < bounds["high"] < 0.06


def test_of_duplicates_the_first_counts() -> None:
    evaluation = answers(6)
    groups = {"duplicate_group": np.array([7, 3, 7, 5, 3, 7])}
    grouped = Evaluation(evaluation.probabilities, evaluation.labels, CLASSES, sample_ids=np.arange(6), groups=groups)
    single = grouped.drop_duplicates()
    assert single.sample_ids is not None and single.sample_ids.tolist() == [0, 1, 3]
    assert list(grouped.list_subsets()) == ["without_duplicates"]
    assert [len(part.labels) for part in grouped.split_by("duplicate_group").values()] == [3, 2, 1]


def test_clear_images_have_four_fifths_of_all_votes() -> None:
    votes = np.array([[8, 2, 0, 0], [7, 2, 0, 1], [0, 0, 0, 0], [np.nan] * 4, [4, 1, 0, 0], [1, 0, 0, 9]], float)
    evaluation = Evaluation(np.full((6, 3), 1 / 3), np.zeros(6, int), CLASSES, votes, sample_ids=np.arange(6))
    parts = {name: part.sample_ids for name, part in evaluation.list_subsets().items()}
    assert {name: None if ids is None else ids.tolist() for name, ids in parts.items()} == {
        "clear": [0, 4, 5],
        "ambiguous": [1],
    }


def test_the_ceiling_leaves_each_annotator_out() -> None:
    def agreement(*votes: float) -> float | None:
        row = np.array([votes], float)
        scores = Evaluation(np.full((1, 3), 1 / 3), np.array([0]), CLASSES, row).compute_scores()
        return scores["annotator_agreement"]["value"]

    assert agreement(10, 0, 0, 0) == 1
    assert agreement(9, 1, 0, 0) == pytest.approx(0.9)
    # An annotator of 5 meets 4 against 5 of the others.
    assert agreement(5, 5, 0, 0) == 0
    # Of 2:1 the two meet a tie, of which each answer counts half; the third disagrees.
    assert agreement(2, 1, 0, 0) == pytest.approx(2 * 0.5 / 3)
    # Who does not know disagrees with those who do.
    assert agreement(8, 0, 0, 2) == pytest.approx(0.8)
    assert agreement(1, 0, 0, 0) is None


def test_votes_alone_make_labels_where_one_class_leads() -> None:
    votes = np.array([[3, 7, 0, 0], [5, 5, 0, 0], [1, 0, 2, 7], [0, 0, 0, 0], [0, 0, 2, 1]], float)
    probabilities = np.array([[0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4], [0.4, 0.3, 0.3], [0.6, 0.2, 0.2]])
    evaluation = Evaluation.from_votes(probabilities, votes, CLASSES)
    assert evaluation.labels.tolist() == [1, -1, -1, -1, 2]
    found = evaluation.compute_metrics()
    assert found["samples"] == 5
    assert found["accuracy"]["value"] == 0.5
    assert found["log_loss"]["value"] == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2)
    voted = evaluation.select(np.array([0, 1, 2, 4])).compute_metrics()
    assert found["kl_to_votes"]["value"] == pytest.approx(voted["kl_to_votes"]["value"])


@pytest.mark.parametrize("decimals", [None, 1])
def test_curves_are_those_of_scikit_learn(decimals: int | None) -> None:
    evaluation = answers(200, decimals=decimals)
    scores, positive = evaluation.probabilities[:, 1], evaluation.labels == 1
    curves = compute_class_curves(scores, positive)
    assert curves is not None
    false_positive_rate, recall, _ = sklearn.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(curves.false_positive_rate, false_positive_rate)
    np.testing.assert_allclose(curves.recall, recall)
    precision, recall, _ = sklearn.precision_recall_curve(positive, scores)
    np.testing.assert_allclose(curves.precision, precision[::-1])
    np.testing.assert_allclose(curves.recall, recall[::-1])
    assert compute_class_curves(scores, np.zeros(200, bool)) is None
    assert compute_class_curves(scores, np.ones(200, bool)) is None


def test_reliability_by_hand() -> None:
    confidence = np.array([1.0, 0.95, 0.95, 0.51])
    found = compute_reliability(np.column_stack([confidence, 1 - confidence]), np.array([0, 0, 1, 1]))
    assert found.images.tolist() == [0] * 7 + [1] + [0] * 6 + [3]
    assert found.confidence[-1] == pytest.approx(2.9 / 3)
    assert found.accuracy[[7, 14]] == pytest.approx([0, 2 / 3])
    assert np.isnan(found.accuracy[0])

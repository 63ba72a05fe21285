"""Label rules on votes made by hand, on random votes against FERPlus's own procedure, and on the real file."""

import numpy as np
import pytest

from fer.data.label_rules import (
    IS_CONTEMPT,
    NO_AGREEMENT,
    NO_EMOTION,
    apply_majority_rule,
    build_targets_from_labels,
    build_targets_from_votes,
)
from fer.data.sources.archive import DatasetFiles
from fer.data.sources.ferplus import read_fer2013new
from fer.emotions import EMOTIONS, FERPLUS_VOTES, get_class_names


def votes(**counts: int) -> np.ndarray:
    """One row of ten votes."""
    return np.array([[counts.get(name, 0) for name in FERPLUS_VOTES]], dtype=float)


def judged(row: np.ndarray, rule: str, classes: int = 7, contempt: str = "drop") -> tuple[str, dict[str, float]]:
    """(label or reason, the targets above 0)."""
    targets, labels, reasons = build_targets_from_votes(row, rule, classes, contempt)
    names = get_class_names(classes)
    shares = {name: share for name, share in zip(names, targets[0].tolist(), strict=True) if share > 0}
    assert (labels[0] == -1) == (reasons[0] != "") == (shares == {})
    return (reasons[0] or names[labels[0]]), shares


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (votes(happiness=6, neutral=4), "happiness"),
        (votes(happiness=5, neutral=5), NO_AGREEMENT),  # exactly half is not more than half
        (votes(happiness=5, neutral=4, fear=1), "happiness"),  # 5 of 9 once the single vote is dropped
        (votes(happiness=4, neutral=3, fear=3), NO_AGREEMENT),
        (votes(happiness=2, neutral=1, fear=1, anger=1, disgust=1, sadness=1, surprise=1), "happiness"),
        (votes(happiness=1, neutral=1, fear=1, anger=1), NO_AGREEMENT),  # nothing is left
        (votes(unknown=6, anger=4), NO_EMOTION),
        (votes(NF=10), NO_EMOTION),
        (votes(anger=5, unknown=3, NF=2), NO_AGREEMENT),  # they count among the votes
        (votes(contempt=6, neutral=4), IS_CONTEMPT),
    ],
)
def test_majority(row: np.ndarray, expected: str) -> None:
    label, shares = judged(row, "majority")
    assert label == expected
    assert shares == ({} if expected not in EMOTIONS else {expected: 1.0})


def test_majority_leaves_the_votes_as_they_were() -> None:
    row = votes(happiness=9, fear=1)
    assert apply_majority_rule(row)[0].sum() == 1
    build_targets_from_votes(row, "majority", 7, "renormalise")
    assert np.array_equal(row, votes(happiness=9, fear=1))


def test_argmax_takes_the_most_votes_and_the_first_of_equals() -> None:
    assert judged(votes(fear=3, anger=2, neutral=2, sadness=2, NF=1), "argmax") == ("fear", {"fear": 1.0})
    assert judged(votes(happiness=5, neutral=5), "argmax") == ("neutral", {"neutral": 1.0})
    assert judged(votes(fear=1), "argmax") == ("fear", {"fear": 1.0})
    assert judged(votes(NF=6, fear=4), "argmax") == (NO_EMOTION, {})
    assert judged(votes(), "argmax") == (NO_AGREEMENT, {})


def test_contempt_is_dropped_or_its_votes_deleted_or_the_eighth_class() -> None:
    row = votes(contempt=6, neutral=4)
    assert judged(row, "majority", contempt="drop") == (IS_CONTEMPT, {})
    assert judged(row, "majority", contempt="renormalise") == ("neutral", {"neutral": 1.0})
    assert judged(row, "majority", classes=8) == ("contempt", {"contempt": 1.0})
    # Renormalising makes 4 of 7 a majority where 4 of 10 was none.
    row = votes(anger=4, sadness=3, contempt=3)
    assert judged(row, "majority", contempt="drop") == (NO_AGREEMENT, {})
    assert judged(row, "majority", contempt="renormalise")[0] == "anger"
    # With 8 classes contempt's votes are never deleted.
    assert judged(row, "majority", classes=8, contempt="renormalise") == (NO_AGREEMENT, {})


def test_multi_target_gives_equal_shares_to_everything_with_30_percent() -> None:
    label, shares = judged(votes(sadness=4, fear=3, anger=2, NF=1), "multi_target")
    assert label == "sadness"
    assert shares == {"sadness": pytest.approx(0.5, abs=1e-6), "fear": pytest.approx(0.5, abs=1e-6)}
    assert judged(votes(sadness=7, fear=3), "multi_target")[1].keys() == {"sadness", "fear"}  # exactly 30 % counts
    assert judged(votes(sadness=8, fear=2), "multi_target") == ("sadness", {"sadness": pytest.approx(1.0)})
    # Together half of the votes or less: 5 of 10, then none that reaches 30 %.
    assert judged(votes(sadness=5, fear=0, anger=2, disgust=2, neutral=1), "multi_target")[0] == "sadness"
    assert judged(votes(sadness=4, neutral=2, anger=2, disgust=2), "multi_target")[0] == NO_AGREEMENT
    assert judged(votes(sadness=2, neutral=2, anger=2, disgust=2, fear=2), "multi_target")[0] == NO_AGREEMENT
    assert judged(votes(unknown=6, fear=4), "multi_target")[0] == NO_EMOTION


def test_multi_target_with_contempt_shares_among_the_seven() -> None:
    assert judged(votes(anger=5, contempt=4), "multi_target") == ("anger", {"anger": pytest.approx(1.0)})
    assert judged(votes(contempt=5, anger=4), "multi_target")[0] == IS_CONTEMPT
    eight = judged(votes(contempt=5, anger=4), "multi_target", classes=8)
    assert eight == ("contempt", {"anger": pytest.approx(0.5), "contempt": pytest.approx(0.5)})


def test_probability_is_the_distribution_of_the_votes() -> None:
    label, shares = judged(votes(anger=5, sadness=3, fear=2), "probability")
    assert label == "anger"
    assert shares == {"anger": pytest.approx(0.5), "sadness": pytest.approx(0.3), "fear": pytest.approx(0.2)}
    # Single votes and "unknown" carry no share.
    label, shares = judged(votes(anger=5, sadness=2, fear=1, unknown=2), "probability")
    assert (label, shares) == ("anger", {"anger": pytest.approx(5 / 7), "sadness": pytest.approx(2 / 7)})
    # Four emotions with as many votes are too many to agree; "not a face" first ends the matter.
    assert judged(votes(anger=2, sadness=2, fear=2, disgust=2), "probability")[0] == NO_AGREEMENT
    assert judged(votes(NF=7, anger=3), "probability")[0] == NO_EMOTION
    assert judged(votes(unknown=4, anger=3, fear=3), "probability")[0] == NO_AGREEMENT
    assert judged(votes(contempt=4, anger=3, fear=3), "probability")[0] == IS_CONTEMPT
    assert judged(votes(anger=4, contempt=4, fear=2), "probability")[1] == {
        "anger": pytest.approx(4 / 6),
        "fear": pytest.approx(2 / 6),
    }


def published(row: np.ndarray, rule: str) -> int:
    """Winning column by microsoft/FERPlus's src/ferplus.py, ``_process_data``, line by line; 8 is "unknown"."""
    raw = [0.0 if vote < 1 + 1e-9 else float(vote) for vote in row]
    total, emotion = sum(raw), [0.0] * 10
    if rule == "majority":
        if max(raw) <= 0.5 * total:
            return 8
        return int(np.argmax(raw))
    if rule == "multi_target":
        emotion = [vote if vote >= 0.3 * total else 0.0 for vote in raw]
        return 8 if sum(emotion) <= 0.5 * total else int(np.argmax(emotion))
    part, count, valid = 0.0, 0, True
    while part < 0.75 * total and count < 3 and valid:
        highest = max(raw)
        for column in range(10):
            if raw[column] == highest:
                emotion[column] = highest
                raw[column] = 0
                part += highest
                count += 1
                if column >= 8:
                    valid = False
                    if sum(emotion) > highest:
                        emotion[column] = 0
                        count -= 1
                    break
    return 8 if sum(emotion) <= 0.5 * total or count > 3 else int(np.argmax(emotion))


@pytest.mark.parametrize("rule", ["majority", "multi_target", "probability"])
def test_the_rules_keep_and_label_what_the_published_procedure_does(rule: str) -> None:
    rng = np.random.default_rng(3)
    # More votes than FERPlus has, too: with ten, some borders of the rules cannot be met.
    draws = [(count, spread) for count in (10, 20) for spread in (0.1, 0.3, 1.0)] * 150
    rows = np.concatenate([rng.multinomial(n, rng.dirichlet(np.full(10, spread)), size=4) for n, spread in draws])
    rows = rows[(rows > 1).any(axis=1)]
    targets, labels, _ = build_targets_from_votes(rows, rule, 8, "drop")
    names = get_class_names(8)
    expected = [published(row, rule) for row in rows]
    assert [names.index(FERPLUS_VOTES[column]) if column < 8 else -1 for column in expected] == labels.tolist()
    assert np.allclose(targets.sum(axis=1), labels >= 0) and 500 < (labels >= 0).sum() < len(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "of_eight", "of_seven"),
    [("majority", 25_060, 24_941), ("probability", 27_956, 27_796), ("argmax", 28_389, 28_224)],
)
def test_counts_on_the_whole_file(ferplus_zip: str, rule: str, of_eight: int, of_seven: int) -> None:
    rows = read_fer2013new(DatasetFiles(ferplus_zip))
    training = np.array([row.votes for row in rows if row.part == "train"])
    assert training.shape == (28_709, 10)
    for classes, expected in ((8, of_eight), (7, of_seven)):
        targets, labels, reasons = build_targets_from_votes(training, rule, classes, "drop")
        assert (labels >= 0).sum() == expected
        assert (reasons == "").sum() == expected
        assert np.allclose(targets.sum(axis=1), labels >= 0)
        of_label = targets[labels >= 0, labels[labels >= 0]]
        assert np.array_equal(of_label, targets[labels >= 0].max(axis=1))


def test_single_labels() -> None:
    targets, labels, reasons = build_targets_from_labels(["fear", "contempt", "anger"], 7)
    assert (labels.tolist(), reasons.tolist()) == ([2, -1, 0], ["", IS_CONTEMPT, ""])
    assert targets.tolist() == [[0, 0, 1, 0, 0, 0, 0], [0] * 7, [1, 0, 0, 0, 0, 0, 0]]
    targets, labels, reasons = build_targets_from_labels(["contempt"], 8)
    assert (labels.tolist(), reasons.tolist(), targets.tolist()) == ([7], [""], [[0] * 7 + [1]])


def test_no_rows_give_no_labels() -> None:
    for rule in ("majority", "argmax", "multi_target", "probability"):
        targets, labels, reasons = build_targets_from_votes(np.empty((0, 10)), rule, 7, "drop")
        assert targets.shape == (0, 7) and labels.shape == reasons.shape == (0,)

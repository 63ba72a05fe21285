"""Runs of different data or label rules have no best one, and every text says the same of what differs."""

from pathlib import Path
from typing import Any

import pytest

from fer.compare.comparability import are_comparable, find_differences
from fer.compare.importance import ImportanceResult
from fer.compare.page import build_notes, build_report
from fer.compare.pairs import compare_pairs
from fer.compare.ranking import choose_ranking, rank_runs
from fer.reports.comparison import ComparisonReport
from tests.helpers.compared_runs import make_run, read

SOURCE = "dataset__sources__ferplus__"


def report_of(place: Path) -> ComparisonReport:
    runs = read(place)
    ranking = choose_ranking(runs)
    assert ranking is not None
    runs = rank_runs(runs, ranking)
    notes = build_notes(runs, ranking, [], [])
    pairs = compare_pairs(runs, ranking.split)
    return build_report(runs, ranking, [], [], ImportanceResult((), 0), pairs, notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provenance": {"data_fingerprint": "e" * 64}}, "data fingerprints"),
        ({SOURCE + "eval_label_rule": "argmax"}, "label rules (dataset.sources.ferplus.eval_label_rule)"),
        ({SOURCE + "label_rule": "probability"}, "label rules (dataset.sources.ferplus.label_rule)"),
        ({SOURCE + "contempt": "renormalise"}, "label rules (dataset.sources.ferplus.contempt)"),
    ],
)
def test_different_data_or_label_rules_have_no_best_run(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    same = {SOURCE + "label_rule": "majority", SOURCE + "eval_label_rule": "majority", SOURCE + "contempt": "drop"}
    make_run(tmp_path / "a", accuracy=0.9, **same)
    make_run(tmp_path / "b", accuracy=0.7, **{**same, **changes})
    report = report_of(tmp_path)
    assert (report.best, report.best_metrics, report.commands) == (None, [], [])
    (note,) = [note for note in report.notes if "The runs differ" in note]
    assert note.startswith(
        f"The runs differ in their {words}: their figures do not say who is better, so none is called"
    )
    # The test of the two says the same, and on which images it is.
    assert report.pairs["differences"].tolist() == [words]
    assert report.pairs["images"].tolist() == [140]


def test_runs_that_differ_in_anything_else_have_a_best_one(tmp_path: Path) -> None:
    make_run(tmp_path / "a", accuracy=0.7, optimizer__lr=0.1, dataset__batch_size=16, seed=3)
    make_run(tmp_path / "b", accuracy=0.9)
    report = report_of(tmp_path)
    assert report.best is not None and report.runs[report.best].label == "b"
    assert report.pairs["differences"].tolist() == [""]
    assert not [note for note in report.notes if "The runs differ" in note]


def test_unknown_data_have_no_best_run_either(tmp_path: Path) -> None:
    make_run(tmp_path / "a", provenance={"data_fingerprint": None})
    make_run(tmp_path / "b")
    report = report_of(tmp_path)
    assert report.best is None
    assert "Of 1 of 2 evaluated runs the data are not known: their figures do not say who is better" in report.notes[0]
    assert find_differences(read(tmp_path), "test") == []
    assert are_comparable(read(tmp_path / "a"), "test")

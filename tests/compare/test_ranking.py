"""Which figures are compared, who is best, seeds together, and what matters."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from fer.compare.groups import find_seed_groups
from fer.compare.importance import compute_importance
from fer.compare.page import build_notes
from fer.compare.ranking import Metric, Ranking, choose_ranking, find_best_run, rank_runs
from tests.helpers.compared_runs import edit, make_run, part, read


def chosen(*places: Path) -> Ranking:
    choice = choose_ranking(read(*places))
    assert choice is not None
    return choice


def test_test_figures_are_shown_and_validation_ranks(tmp_path: Path) -> None:
    make_run(tmp_path / "a", accuracy=0.9, val_accuracy=0.6)
    make_run(tmp_path / "b", accuracy=0.7, val_accuracy=0.8)
    make_run(tmp_path / "c", provenance={"status": "failed", "error": "no"})
    (tmp_path / "c" / "metrics.json").unlink()
    choice = chosen(tmp_path)
    assert (choice.split, choice.metric, choice.higher_is_better) == ("test", Metric("val", "accuracy"), True)
    assert [figure.name for figure in choice.metrics] == [
        *("validation accuracy", "test accuracy", "test balanced accuracy", "test macro-F1", "test ECE")
    ]
    runs = rank_runs(read(tmp_path), choice)
    assert [run.label for run in runs] == ["b", "a", "c"]
    assert find_best_run(runs, choice).label == "b"
    edit(tmp_path / "b", "provenance.json", status="interrupted")
    # An unfinished training is listed where it stands, but the best one to repeat is one that finished.
    runs = rank_runs(read(tmp_path), choice)
    assert ([run.label for run in runs], find_best_run(runs, choice).label) == (["b", "a", "c"], "a")


def test_runs_as_good_as_the_best_one_are_named(tmp_path: Path) -> None:
    for name, accuracy in (("a", 0.6), ("b", 0.8), ("c", 0.8), ("d", 0.8)):
        make_run(tmp_path / name, val_accuracy=accuracy)
    choice = chosen(tmp_path)
    runs = rank_runs(read(tmp_path), choice)
    assert build_notes(runs, choice, [], []) == ["As good as b, the best one, by validation accuracy: c, d."]
    assert build_notes(runs[2:], choice, [], []) == []


def test_validation_is_shown_where_one_run_lacks_a_test(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    edit(make_run(tmp_path / "b"), "metrics.json", test=None)
    choice = chosen(tmp_path)
    assert (choice.split, choice.metric) == ("val", Metric("val", "accuracy"))
    assert len(choice.metrics) == 4
    edit(tmp_path / "a", "metrics.json", val=None)
    assert chosen(tmp_path / "a").metric == Metric("test", "accuracy")
    # No part that both have: the one that is there more often, test before validation.
    assert chosen(tmp_path).split == "test"


def test_runs_are_ranked_by_what_chose_their_epochs(tmp_path: Path) -> None:
    make_run(tmp_path / "a", accuracy=0.9, monitor="val_loss")
    make_run(tmp_path / "b", accuracy=0.8, monitor="val_loss")
    edit(tmp_path / "b", "metrics.json", val={**part(0.8), "log_loss": 0.1})
    choice = chosen(tmp_path)
    assert (choice.metric, choice.higher_is_better) == (Metric("val", "log_loss"), False)
    assert [run.label for run in rank_runs(read(tmp_path), choice)] == ["b", "a"]
    make_run(tmp_path / "c", monitor="val_macro_f1")
    assert chosen(tmp_path).metric == Metric("val", "accuracy")


def test_seeds_of_one_configuration_are_a_group(tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.70, 0.76, 0.73)):
        make_run(tmp_path / f"small-{seed}", accuracy=accuracy, seed=seed, name=f"small-{seed}", optimizer__lr=0.001)
        make_run(tmp_path / f"large-{seed}", accuracy=accuracy + 0.1, seed=seed, optimizer__lr=0.01)
    make_run(tmp_path / "alone", optimizer__lr=0.1)
    make_run(tmp_path / "stopped", optimizer__lr=0.1, seed=1, provenance={"status": "interrupted"})
    runs = read(tmp_path)
    choice = choose_ranking(runs)
    assert choice is not None
    large, small = find_seed_groups(rank_runs(runs, choice), choice)
    assert [run.label for run in small.runs] == ["small-1", "small-2", "small-0"]
    found = small.metrics[Metric("test", "accuracy")]
    assert found.mean == pytest.approx(0.73)
    assert found.std == pytest.approx(math.sqrt((0.03**2 + 0.03**2) / 2))
    assert large.metrics[Metric("val", "accuracy")].mean == pytest.approx(0.83)
    assert large.metrics[Metric("test", "ece_calibrated")].std == 0


def test_a_group_with_a_missing_figure_has_no_mean(tmp_path: Path) -> None:
    make_run(tmp_path / "0", seed=0)
    edit(make_run(tmp_path / "1", seed=1), "metrics.json", test={**part(0.7), "macro_f1": None})
    runs = read(tmp_path)
    choice = choose_ranking(runs)
    assert choice is not None
    (group,) = find_seed_groups(runs, choice)
    assert group.metrics[Metric("test", "macro_f1")].mean is None
    assert group.metrics[Metric("test", "accuracy")].mean == pytest.approx(0.7)


def test_importance_finds_what_matters(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(32):
        lr, decay, seed = (number % 4) / 1000 + 0.001, (number // 4 % 2) / 10, number // 8
        accuracy = 0.5 + 60 * lr + 0.2 * decay + 0.002 * random.standard_normal()
        settings = {"optimizer__lr": lr, "optimizer__weight_decay": decay, "model__drop_rate": decay, "seed": seed}
        make_run(tmp_path / str(number), accuracy=accuracy, **settings)
    runs = read(tmp_path)
    choice = choose_ranking(runs)
    assert choice is not None
    found = compute_importance(runs, choice)
    assert (found.reason, found.num_runs) == (None, 32)
    assert [(item.key, item.tied_keys) for item, _ in found.fractions] == [
        ("optimizer.lr", ()),
        ("model.drop_rate", ("optimizer.weight_decay",)),
        ("seed", ()),
    ]
    shares = [share for _, share in found.fractions]
    assert sum(shares) == pytest.approx(1)
    # Variances: 60² · 1.25e-6 = 4.5e-3 of lr, 0.2² · 0.05² = 1e-4 of the decay, 4e-6 of noise.
    assert shares == pytest.approx([0.977, 0.022, 0.001], abs=0.02)
    assert compute_importance(runs, choice) == found


def test_importance_says_why_it_is_not_there(tmp_path: Path) -> None:
    def reason(*places: Path) -> str | None:
        runs = read(*places)
        choice = choose_ranking(runs)
        assert choice is not None
        return compute_importance(runs, choice).reason

    for number in range(6):
        make_run(tmp_path / "one" / str(number), accuracy=0.7, optimizer__lr=number)
        make_run(tmp_path / "same" / str(number), accuracy=0.7, optimizer__lr=number % 2, seed=number // 2)
    make_run(tmp_path / "few" / "0")
    make_run(tmp_path / "few" / "1", seed=1, accuracy=0.6)
    make_run(tmp_path / "few" / "2", optimizer__lr=0.5)
    assert reason(tmp_path / "one") == "Only optimizer.lr differs, so there is nothing to weigh it against."
    assert reason(tmp_path / "same") == "All runs have the same validation accuracy."
    assert reason(tmp_path / "few") == "3 finished runs are too few to weigh 2 hyper-parameters; 6 are needed."
    assert reason(tmp_path / "few" / "0") == "The finished runs do not differ in any hyper-parameter."


def test_without_figures_there_is_no_choice(tmp_path: Path) -> None:
    (make_run(tmp_path / "a") / "metrics.json").write_text(json.dumps({"val": None, "test": None}))
    assert choose_ranking(read(tmp_path)) is None

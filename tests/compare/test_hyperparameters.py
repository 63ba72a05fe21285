"""What configurations differ in, under names that fit into a heading."""

from pathlib import Path
from typing import Any

import pytest

from fer.compare.hyperparameters import (
    find_hyperparameters,
    find_varying_keys,
    format_value,
    get_value,
    select_columns,
    shorten_keys,
)
from fer.compare.page import build_notes
from fer.compare.ranking import choose_ranking
from fer.compare.runs import ComparedRun
from tests.helpers.compared_runs import make_run, read


def made(place: Path, *changes: dict[str, Any]) -> list[ComparedRun]:
    for number, change in enumerate(changes):
        make_run(place / str(number), **change)
    return read(place)


def test_only_keys_that_differ_are_columns(tmp_path: Path) -> None:
    runs = made(
        tmp_path,
        {"optimizer__lr": 0.001, "seed": 0, "name": "one", "tracker__kind": "csv", "trainer__explain": True},
        {"optimizer__lr": 0.01, "seed": 1, "name": "two", "tracker__kind": "wandb", "trainer__stages": ["fit"]},
    )
    varying = ["seed", "name", "optimizer.lr", "trainer.explain", "trainer.stages", "tracker.kind"]
    assert sorted(find_varying_keys(runs)) == sorted(varying)
    # A name, a tracker or maps in the report change nothing that is learnt.
    assert [(column.key, column.short) for column in select_columns(runs)] == [
        ("seed", "seed"),
        ("optimizer.lr", "lr"),
        ("trainer.stages", "stages"),
    ]
    assert [format_value(get_value(run, "trainer.stages")) for run in runs] == ["[fit, test]", "[fit]"]


def test_a_key_of_some_versions_only_differs(tmp_path: Path) -> None:
    runs = made(tmp_path, {"model__heads": None}, {})
    (column,) = select_columns(runs)
    assert [format_value(get_value(run, column.key)) for run in runs] == ["null", "\N{EN DASH}"]


def test_numbers_are_as_short_as_a_table_needs_them() -> None:
    values = [0.025736140436951875, 3.0502542984573748e-06, 16.026014216614783, 0.001, 100.0, 128]
    assert [format_value(value) for value in values] == ["0.02574", "3.05e-06", "16.03", "0.001", "100.0", "128"]


def test_what_always_changes_together_is_one_parameter(tmp_path: Path) -> None:
    runs = made(
        tmp_path,
        {"model__name": "a", "model__drop_rate": 0.1, "optimizer__lr": 1, "seed": 0},
        {"model__name": "a", "model__drop_rate": 0.1, "optimizer__lr": 2, "seed": 0},
        {"model__name": "b", "model__drop_rate": 0.3, "optimizer__lr": 1, "seed": 1},
    )
    found = find_hyperparameters(runs)
    assert [(item.key, item.tied_keys) for item in found] == [
        ("seed", ()),
        ("model.name", ("model.drop_rate",)),
        ("optimizer.lr", ()),
    ]
    assert [column.key for column in select_columns(runs)] == ["seed", "model.name", "model.drop_rate", "optimizer.lr"]


def test_many_keys_are_few_columns(tmp_path: Path) -> None:
    runs = made(tmp_path, {f"model__key{number}": 1 for number in range(30)}, {"seed": 1})
    columns = select_columns(runs)
    assert [(column.key, len(column.tied_keys)) for column in columns] == [("seed", 0), ("model.key0", 29)]
    choice = choose_ranking(runs)
    assert choice is not None
    assert build_notes(runs, choice, columns, ["x: holds no run"]) == [
        "As good as 0, the best one, by validation accuracy: 1.",
        "model.key0 always changed together with "
        "model.key1, model.key2, model.key3, model.key4, model.key5, model.key6 and others; no figure can part them.",
        "Skipped: x: holds no run.",
    ]
    assert build_notes(runs, choice, columns[:1], [])[1].startswith(
        "Also different, and only in comparison.csv: model.key"
    )


@pytest.mark.parametrize(
    ("keys", "short"),
    [
        (["optimizer.lr", "seed"], ["lr", "seed"]),
        (["model.name", "optimizer.schedule.kind"], ["model.name", "schedule.kind"]),
        (["dataset.augment.scale", "model.scale"], ["augment.scale", "model.scale"]),
        (["scale", "model.scale"], ["scale", "model.scale"]),
    ],
)
def test_short_names_tell_keys_apart(keys: list[str], short: list[str]) -> None:
    assert list(shorten_keys(keys).values()) == short

"""What counts as a difference between a run and its replay."""

import copy
from typing import Any

from fer.replay.__main__ import _compare_metrics

METRICS: dict[str, Any] = {
    "temperature": 1.5,
    "val": {"accuracy": {"value": 0.8}, "confusion_matrix": [[3, 1], [0, 4]]},
}


def test_what_only_a_later_version_measures_is_no_difference() -> None:
    later = {**copy.deepcopy(METRICS), "calibration": {"method": "temperature"}}
    later["val"]["brier"] = {"value": 0.3}
    assert _compare_metrics(METRICS, later) == []


def test_every_figure_of_the_run_must_be_there_and_identical() -> None:
    again = copy.deepcopy(METRICS)
    again["val"]["confusion_matrix"][1] = [1, 3]
    del again["temperature"]
    assert _compare_metrics(METRICS, again) == [
        "temperature: 1.5 then, absent now",
        "val.confusion_matrix[1][0]: 0 then, 1 now",
        "val.confusion_matrix[1][1]: 4 then, 3 now",
    ]

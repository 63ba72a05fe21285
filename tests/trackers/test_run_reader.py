"""What trackers get of a run directory."""

import json
import re
from pathlib import Path

import numpy as np

from fer.audit.groups import Predictions, compute_group_metrics
from fer.trackers.run_reader import read_result

# What MLflow takes in the name of a metric or of a tag; a single other name fails all of a run's metrics.
MLFLOW_NAME = re.compile(r"[/\w.\- :]*")


def test_names_of_groups_and_slices_are_no_names_of_metrics(tmp_path: Path) -> None:
    labels = np.tile([0, 1], 40)
    predictions = Predictions(labels, np.where(np.arange(80) % 5, labels, 0), 2)
    ages = np.array(["70+", "20-39"] * 40, dtype=object)[np.argsort(np.arange(80) % 7)]
    split = {
        "samples": 80,
        "accuracy": {"value": 0.9, "low": 0.8, "high": 1.0},
        "confusion_matrix": [[40, 0], [8, 32]],
        "per_class": {"fear": {}, "anger": {}},
        "subsets": {"clear": {"samples": 3}},
        "groups": compute_group_metrics({"age": ages}, predictions, 30),
        "slices": compute_group_metrics({"brightness": np.array(["1: 0.21–0.40"] * 80)}, predictions, 30),
        "slices_left_out": {"pose": "no source tells it"},
    }
    (tmp_path / "provenance.json").write_text(json.dumps({"status": "finished"}))
    (tmp_path / "metrics.json").write_text(json.dumps({"val": None, "test": split, "protocol": {"name": "rafdb"}}))
    result = read_result(tmp_path)
    assert result.metrics["test/accuracy/value"] == 0.9
    assert result.metrics["test/groups/age/worst/value"] == split["groups"]["age"]["worst"]["value"]
    assert result.texts["test/groups/age/worst/group"] in ("70+", "20-39")
    names = [*result.metrics, *result.texts]
    assert all(MLFLOW_NAME.fullmatch(name) for name in names)
    assert not [name for name in names if re.search("subsets|slices|protocol", name)]

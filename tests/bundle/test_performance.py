"""What a bundle's own files say of its performance: of a run, of a package, of an old one, of none."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer.bundle.model_card import render_model_card
from fer.bundle.performance import read_performance
from fer.metrics.evaluation import summary_metrics

CLASSES = ("anger", "disgust")
CONFIG = "dataset:\n  sources:\n    ferplus:\n      kind: ferplus\n    mine:\n      kind: folder\n"


def measure(value: float | None) -> dict[str, float | None]:
    return {
        "value": value,
        "low": None if value is None else max(0, value - 0.02),
        "high": None if value is None else value,
    }


def figures(accuracy: float, disgust: float | None) -> dict[str, Any]:
    recalls = {"anger": 0.9, "disgust": disgust}
    return {
        "samples": 100,
        **{name: measure(accuracy) for name in ("accuracy", "balanced_accuracy", "macro_f1")},
        "ece_calibrated": 0.01,
        "per_class": {
            name: {"samples": 40, **{metric: measure(value) for metric in ("precision", "recall", "f1")}}
            for name, value in recalls.items()
        },
    }


def make_bundle(run: Path, test: dict[str, Any] | None, with_recall: bool = True, card: bool = True) -> Path:
    folder = run / "bundle"
    folder.mkdir(parents=True)
    metrics = {"weights_sha256": "a" * 64, "val": figures(0.7, 0.3), "test": test}
    short = {split: summary_metrics(metrics[split]) for split in ("val", "test")}
    for values in short.values():
        if values and not with_recall:
            del values["recall"]
    description = {
        **{"architecture": "tiny", "image_size": 32, "classes": list(CLASSES), "metrics": short},
        **{"faces": {"side": 48, "colour": False}, "data_fingerprint": "f" * 8, "weights_sha256": "a" * 64},
    }
    (folder / "bundle.yaml").write_text(yaml.safe_dump(description))
    if card:
        text = render_model_card("tiny", description, metrics, ["ferplus: a note"], CONFIG)
        (folder / "model_card.md").write_text(text)
    (run / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_a_run_tells_test_figures_and_data(tmp_path: Path) -> None:
    found = read_performance(make_bundle(tmp_path, figures(0.8, 0.0)))
    assert (found["split"], found["samples"], found["accuracy"]) == ("test", 100, measure(0.8))
    assert found["recalls"]["disgust"] == {**measure(0.0), "samples": 40}
    assert found["data"] == ["ferplus, mine (folder)", "ferplus: a note"]


def test_the_figures_of_a_temporal_model_are_of_clips(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, figures(0.8, 0.0))
    assert "unit" not in read_performance(folder)
    content = yaml.safe_load((folder / "bundle.yaml").read_text())
    (folder / "bundle.yaml").write_text(yaml.safe_dump({**content, "temporal": {"kind": "temporal"}}))
    assert read_performance(folder)["unit"] == "clips"


def test_a_bundle_elsewhere_tells_the_same(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, figures(0.8, 0.0))
    whole = read_performance(folder)
    (tmp_path / "metrics.json").unlink()
    assert read_performance(folder) == whole
    # Somebody else's metrics.json does not count.
    (tmp_path / "metrics.json").write_text(json.dumps({"weights_sha256": "b" * 64, "test": figures(0.99, 0.99)}))
    assert read_performance(folder) == whole


def test_an_old_bundle_has_its_recalls_in_the_card(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, figures(0.8, None), with_recall=False)
    (tmp_path / "metrics.json").unlink()
    assert read_performance(folder)["recalls"] == {
        "anger": {"value": 0.9, "low": None, "high": None, "samples": 40},
        "disgust": {"value": None, "low": None, "high": None, "samples": 40},
    }


def test_validation_stands_in_for_a_missing_test(tmp_path: Path) -> None:
    found = read_performance(make_bundle(tmp_path, None, with_recall=False))
    assert (found["split"], found["accuracy"], found["recalls"]["disgust"]["value"]) == (
        "validation",
        measure(0.7),
        0.3,
    )


@pytest.mark.parametrize("text", [None, "", "format: 1\n", "metrics: {test: null, val: null}\n", ": :", "[1]"])
def test_what_says_nothing_is_not_known(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "bundle.yaml").write_text(text)
    nothing: dict[str, Any] = {"split": None, "samples": None, "accuracy": None, "recalls": {}, "data": []}
    assert read_performance(tmp_path) == nothing

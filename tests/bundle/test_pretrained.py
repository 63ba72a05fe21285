"""The shipped model, whichever it is: it answers, it is what its files say, and they tell of no machine and no face."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from fer import Predictor
from fer.bundle.locate import PRETRAINED, PRETRAINED_DIR
from fer.bundle.metadata import read_description
from fer.bundle.performance import read_performance
from fer.bundle.reference_samples import TOLERANCE, compute_disagreement, read_samples
from fer.bundle.verification import load_verified_predictor
from fer.config.compose import load_overrides
from fer.core.flatten import flatten_dict
from fer.emotions import EMOTIONS
from fer.errors import ConfigError
from fer.monitoring.drift import read_baseline
from fer.registry.package import BUNDLE_FILES
from fer.synthetic import draw_dataset_face
from fer.train.reference_faces import SAMPLE_COUNT, SAMPLE_SEED, SAMPLE_SIDE
from tools.ship_pretrained import find_leaks

BUNDLE = PRETRAINED_DIR / "bundle"
MAX_BYTES = 6_000_000


@pytest.fixture(scope="module")
def faces() -> list[np.ndarray]:
    """Drawn faces of several sizes, in colour and gray."""
    drawn = [draw_dataset_face(5, number, side).image for number, side in enumerate((48, 48, 96, 112, 224))]
    return [*drawn, drawn[0].mean(2).astype(np.uint8)]


def test_both_runtimes_answer_alike(faces: list[np.ndarray]) -> None:
    found = [Predictor.load(PRETRAINED, runtime=runtime).predict(faces) for runtime in ("torch", "onnx")]
    assert found[0].shape == (len(faces), 7) and np.isfinite(found[0]).all()
    np.testing.assert_allclose(found[0].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
    assert np.ptp(found[0], axis=0).max() > 0.01
    # The exported network is no part of the program.
    assert not (PRETRAINED_DIR / "onnx").exists()


def test_it_answers_its_samples_as_it_did_when_it_was_made() -> None:
    samples = read_samples(BUNDLE)
    assert samples is not None
    assert compute_disagreement(load_verified_predictor(PRETRAINED, 1), samples) <= TOLERANCE


def test_its_samples_are_drawn() -> None:
    samples = read_samples(BUNDLE)
    assert samples is not None
    drawn = [draw_dataset_face(SAMPLE_SEED, number, SAMPLE_SIDE).image for number in range(SAMPLE_COUNT)]
    np.testing.assert_array_equal(samples.images, np.stack(drawn))


def test_it_holds_these_files_and_is_small() -> None:
    files = {path.relative_to(PRETRAINED_DIR).as_posix(): path for path in PRETRAINED_DIR.rglob("*") if path.is_file()}
    assert files.keys() == {
        *("run.yaml", "metrics.json", "provenance.json"),
        *(f"bundle/{name}" for name in BUNDLE_FILES),
    }
    assert sum(path.stat().st_size for path in files.values()) < MAX_BYTES


def test_its_weights_are_in_half_precision_and_little_is_lost() -> None:
    tensors = load_file(BUNDLE / "weights.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values() if tensor.dim() >= 2)
    measured = read_description(PRETRAINED).content["half_precision"]
    assert measured["images"] >= 100 and 0 < measured["max_probability_difference"] < 0.05
    if measured["accuracy_full"] is not None:
        assert math.isclose(measured["accuracy_full"], measured["accuracy_half"], abs_tol=0.002)


def test_its_files_tell_of_no_machine() -> None:
    assert find_leaks(PRETRAINED_DIR) == []
    provenance = json.loads((PRETRAINED_DIR / "provenance.json").read_text())
    assert not {"command", "directory", "platform"} & provenance.keys()
    assert provenance["status"] == "finished" and provenance["git_commit"] and provenance["packages"]["torch"]


def test_its_baseline_holds_figures_alone() -> None:
    read_baseline(BUNDLE / "baseline.json")
    values = flatten_dict(json.loads((BUNDLE / "baseline.json").read_text()), expand_lists=True).values()
    texts = {value for value in values if isinstance(value, str)}
    assert texts <= {*EMOTIONS, *read_description(PRETRAINED).classes}


def test_its_figures_are_those_of_its_weights() -> None:
    description = read_description(PRETRAINED)
    metrics = json.loads((PRETRAINED_DIR / "metrics.json").read_text())
    assert metrics["weights_sha256"] == description.weights_sha256
    performance = read_performance(BUNDLE)
    assert performance["accuracy"]["low"] < performance["accuracy"]["value"] < performance["accuracy"]["high"]
    assert {*performance["recalls"]} == {*description.classes} and performance["data"]


def test_its_card_names_terms_limits_and_weak_classes() -> None:
    card = (BUNDLE / "model_card.md").read_text()
    headings = (
        "Weak classes",
        "Half precision",
        "Terms of these weights",
        "Repeat it",
        "Intended use",
        "Not to be used",
    )
    positions = [card.index(f"\n## {heading}\n") for heading in headings]
    assert positions == sorted(positions)
    assert "The MIT licence of the program's code does not cover this file of weights." in card
    config = yaml.safe_load((PRETRAINED_DIR / "run.yaml").read_text())
    if any(source["kind"] == "ferplus" for source in config["dataset"]["sources"].values()):
        for words in ("FER2013", "for research", "FERPlus's, under the MIT licence", "timm", "Apache-2.0", "int8"):
            assert words in card


def test_its_run_can_be_repeated_once_its_places_are_named(tmp_path: Path) -> None:
    content = flatten_dict(yaml.safe_load((PRETRAINED_DIR / "run.yaml").read_text()))
    missing = [key for key, value in content.items() if value == "???"]
    if missing:
        with pytest.raises(ConfigError):
            load_overrides([], "train", PRETRAINED_DIR)
    place = tmp_path / "place"
    place.touch()
    lists = {"model.teacher"}
    named = [f"{key}=[{place}]" if key in lists else f"{key}={place}" for key in missing]
    assert load_overrides(named, "train", PRETRAINED_DIR).name == content["name"]

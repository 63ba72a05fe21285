"""Calibration, confidence rule and prediction sets of a bundle: kept, read, applied alike in both runtimes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.special import softmax

from fer.bundle.calibration import (
    CALIBRATION,
    PREDICTION_SETS,
    UNCERTAINTY,
    dump_calibration,
    dump_uncertainty,
)
from fer.bundle.io import FaceFormat, build_description, save_bundle
from fer.bundle.metadata import read_description
from fer.bundle.predictor import Predictor
from fer.emotions import EMOTIONS
from fer.errors import ModelError
from fer.metrics.calibration import Calibration, compute_probabilities
from fer.metrics.uncertainty import ConfidenceRule, SetThresholds
from fer.models.network import FaceNetwork
from fer.serving.requests import EncodedImage
from fer.serving.responses import to_json_lines
from tests.helpers.networks import faces
from tests.helpers.served_runs import FACTS, mixed

VECTOR = Calibration(1.5, (0.5, 0.9, 1.3, 0.7, 1.1, 0.8, 1.0), (0.4, -1.0, 0.3, 0.0, 0.2, -0.3, 1.0))
RULE = ConfidenceRule(0.9, 0.35, 0.9125, 0.81, 320)
SETS = SetThresholds(320, {0.5: 0.61, 0.9: 0.11, 0.999: None})


def save(folder: Path, network: FaceNetwork, entries: dict[str, Any]) -> Path:
    description = build_description(network, EMOTIONS, FaceFormat(48, False), 1.5, {**FACTS, **entries})
    save_bundle(folder / "bundle", network, description)
    return folder


@pytest.fixture
def calibrated(tmp_path: Path, network: FaceNetwork) -> Path:
    """A run whose bundle has all three entries."""
    entries = {CALIBRATION: dump_calibration(VECTOR), **dump_uncertainty(RULE, SETS)}
    return save(tmp_path, network, entries)


def test_what_is_saved_is_read(calibrated: Path) -> None:
    description = read_description(str(calibrated))
    assert description.calibration == VECTOR
    assert description.temperature == 1.5
    assert description.confidence_rule == RULE
    assert description.set_thresholds == SETS


@pytest.mark.parametrize("entries", [{}, {CALIBRATION: {"method": "temperature"}}])
def test_an_older_bundle_gives_the_probabilities_of_its_temperature(
    entries: dict[str, Any], tmp_path: Path, network: FaceNetwork
) -> None:
    predictor = Predictor.load(str(save(tmp_path, network, entries)))
    assert predictor.description.calibration == Calibration(1.5)
    assert predictor.description.confidence_rule is None and predictor.description.set_thresholds is None
    native = faces(6, 48, 1)
    expected = compute_probabilities(predictor.network.compute_outputs(native, 6), 1.5)
    np.testing.assert_array_equal(predictor.predict(list(native), batch_size=6), expected)


@pytest.mark.slow
def test_both_runtimes_apply_scale_and_bias(calibrated: Path) -> None:
    pictures = mixed()
    predictors = [Predictor.load(str(calibrated), runtime=runtime) for runtime in ("torch", "onnx")]
    expected, found = (predictor.predict(pictures) for predictor in predictors)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    native = faces(4, 48, 1)
    for predictor in predictors:
        logits = predictor.network.compute_outputs(native, 4).astype(float)
        by_hand = softmax(logits * VECTOR.scale + np.array(VECTOR.bias), axis=1)
        np.testing.assert_allclose(predictor.predict(list(native), batch_size=4), by_hand, atol=1e-6)
        # The temperature alone is something else.
        assert np.abs(by_hand - compute_probabilities(logits, 1.5)).max() > 0.05


@pytest.mark.slow
def test_an_exported_network_of_another_calibration_is_exported_again(calibrated: Path) -> None:
    Predictor.load(str(calibrated), runtime="onnx")
    exported = calibrated / "onnx" / "network.onnx"
    before = exported.read_bytes()
    file = calibrated / "bundle" / "bundle.yaml"
    content = yaml.safe_load(file.read_text())
    content["calibration"]["bias"] = [0.0] * 7
    file.write_text(yaml.safe_dump(content))
    again = Predictor.load(str(calibrated), runtime="onnx")
    assert exported.read_bytes() != before
    expected = Predictor.load(str(calibrated)).predict(mixed())
    np.testing.assert_allclose(again.predict(mixed()), expected, atol=1e-5)


def replace(entry: str, **values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda content: {**content, entry: {**content[entry], **values}}


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "an unknown method": (
        replace(CALIBRATION, method="isotonic"),
        "ValueError: calibration by isotonic; this program knows temperature and vector",
    ),
    "too few scales": (replace(CALIBRATION, scale=[1.0] * 6), "ValueError: scale must hold 7 finite numbers"),
    "an infinite bias": (
        replace(CALIBRATION, bias=[float("inf")] * 7),
        "ValueError: bias must hold 7 finite numbers",
    ),
    "a scale of 0": (replace(CALIBRATION, scale=[0] * 7), "ValueError: the scale of a class must be above 0"),
    "no scale": (lambda c: {**c, CALIBRATION: {"method": "vector"}}, "KeyError: 'scale'"),
    "a word": (lambda c: {**c, CALIBRATION: "warm"}, "TypeError: "),
    "a threshold": (replace(UNCERTAINTY, threshold=1.2), "ValueError: 1.2 must be between 0 and 1"),
    "no samples": (lambda c: {**c, UNCERTAINTY: {"threshold": 0.5}}, "KeyError: "),
    "a list": (replace(PREDICTION_SETS, least_probability=[0.5]), "TypeError: "),
    "not a number": (replace(PREDICTION_SETS, least_probability={0.9: float("nan")}), "ValueError: nan must be"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_entries_that_are_none_are_a_sentence(change: str, calibrated: Path) -> None:
    file = calibrated / "bundle" / "bundle.yaml"
    make, reason = CHANGES[change]
    file.write_text(yaml.safe_dump(make(yaml.safe_load(file.read_text()))))
    with pytest.raises(ModelError) as raised:
        read_description(str(calibrated))
    assert str(raised.value).startswith(f"{file}: cannot be read as a bundle ({reason}")


def test_an_answer_says_whether_it_is_uncertain_where_the_model_has_a_rule() -> None:
    images = [EncodedImage("a", b""), EncodedImage("b", b"")]
    probabilities = np.array([[0.3499994, 0.33, 0.3200006], [0.35, 0.33, 0.32]], np.float32)
    native = [np.zeros((48, 48, 1), np.uint8)] * 2
    classes = EMOTIONS[:3]
    lines = to_json_lines(images, native, probabilities, classes, RULE).splitlines()
    assert [yaml.safe_load(line)["uncertain"] for line in lines] == [True, False]
    for line in to_json_lines(images, native, probabilities, classes, None).splitlines():
        assert list(yaml.safe_load(line)) == ["id", "emotion", "probabilities"]

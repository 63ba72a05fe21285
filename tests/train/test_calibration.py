"""What a training fits on validation: one calibration for every figure, and entries that say what was chosen."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import softmax

from fer.bundle.io import load_bundle
from fer.bundle.model_card import render_calibration
from fer.config.compose import load_overrides
from fer.emotions import EMOTIONS
from fer.metrics.calibration import CalibrationMethod, choose_calibration
from fer.metrics.scores import compute_log_loss
from fer.metrics.uncertainty import fit_confidence_rule
from fer.train.calibration import build_calibration_metrics, fit_uncertainty
from fer.train.evaluation import EvaluationResult
from fer.train.metrics import compute_calibration_error
from fer.train.pipeline import train
from tests.helpers.programs import FAST

pytestmark = pytest.mark.slow


def evaluate_drawn(method: CalibrationMethod) -> tuple[Any, EvaluationResult]:
    """A network that overstates the first class, and the choice of its calibration, on 1,400 images."""
    rng = np.random.default_rng(0)
    right = rng.normal(0, 2, (1400, 7))
    labels = (rng.random((1400, 1)) > softmax(right, axis=1).cumsum(1)).sum(1).clip(max=6)
    logits = (2 * right + np.eye(7)[0] * 3).astype(np.float32)
    choice = choose_calibration(logits, labels, method)
    samples = pd.DataFrame({"sample_id": np.arange(1400).astype("str"), "label": [EMOTIONS[label] for label in labels]})
    probabilities = choice.calibration.compute_probabilities(logits)
    return choice, EvaluationResult(samples, EMOTIONS, logits, probabilities, labels)


def test_metrics_tell_what_each_candidate_did_on_held_out_images() -> None:
    choice, val = evaluate_drawn("auto")
    found = build_calibration_metrics(choice, val)
    assert found["method"] == "vector" and len(found["scale"]) == len(found["bias"]) == 7
    assert found["bias"][0] == min(found["bias"])
    assert list(found["candidates"]) == ["none", "temperature", "vector"] and found["folds"] == 5
    for name, figures in found["candidates"].items():
        assert figures == {
            "log_loss": compute_log_loss(choice.held_out[name], val.labels),
            "ece": compute_calibration_error(choice.held_out[name], val.labels),
        }
    assert found["candidates"]["vector"]["ece"] < 0.03 < found["candidates"]["none"]["ece"]
    # Decisions are those after it.
    assert (val.probabilities.argmax(1) == val.labels).mean() > (val.logits.argmax(1) == val.labels).mean() + 0.03
    assert yaml.safe_load(yaml.safe_dump(found)) == found


@pytest.mark.usefixtures("without_report")
def test_decisions_lean_towards_what_is_rare_in_training(tmp_path: Path) -> None:
    """The bundle's own calibration does it, so that everything that predicts with it does."""
    overrides = [
        *FAST,
        "dataset.cache_dir=" + str(tmp_path),
        "trainer.max_epochs=1",
        "evaluation.calibration=temperature",
    ]
    for name, strength in (("plain", 0), ("raised", 0.7)):
        train(load_overrides([*overrides, f"evaluation.logit_adjustment={strength}"]), tmp_path / name)
    plain, raised = (load_bundle(str(tmp_path / name / "bundle")) for name in ("plain", "raised"))
    assert plain.description.weights_sha256 == raised.description.weights_sha256
    manifest = pd.read_parquet(tmp_path / "raised" / "manifest.parquet")
    shares = manifest[manifest["split"] == "train"]["label"].value_counts(normalize=True).reindex(EMOTIONS)
    found, temperature = raised.description.calibration, plain.description.calibration.temperature
    np.testing.assert_allclose(found.scale, 1 / temperature, rtol=1e-6)
    np.testing.assert_allclose(found.bias, -0.7 * np.log(shares), rtol=1e-6)
    predictions = pd.read_parquet(tmp_path / "raised" / "predictions_val.parquet")
    before = pd.read_parquet(tmp_path / "plain" / "predictions_val.parquet")
    columns = [f"p_{name}" for name in EMOTIONS]
    expected = before[columns] / shares.to_numpy() ** 0.7
    np.testing.assert_allclose(predictions[columns], expected.div(expected.sum(axis=1), axis=0), atol=1e-5)
    assert "rare in training" in (tmp_path / "raised" / "bundle" / "model_card.md").read_text()


def test_the_rule_can_be_computed_again_from_the_predictions() -> None:
    _, val = evaluate_drawn("auto")
    entries = fit_uncertainty(val, 0.8)
    rule = fit_confidence_rule(val.probabilities, val.labels, 0.8)
    assert entries["uncertainty"]["threshold"] == rule.threshold
    sure = val.probabilities.max(1).astype(float).round(6) >= rule.threshold
    assert (val.probabilities.argmax(1) == val.labels)[sure].mean() == pytest.approx(
        entries["uncertainty"]["precision"]
    )
    assert entries["prediction_sets"]["samples"] == 1400
    assert list(fit_uncertainty(val, None)) == ["prediction_sets"]
    assert yaml.safe_load(yaml.safe_dump(entries)) == entries


@pytest.mark.parametrize("method", ["auto", "temperature"])
def test_the_model_card_says_it(method: CalibrationMethod) -> None:
    choice, val = evaluate_drawn(method)
    metrics = {
        "temperature": choice.calibration.temperature,
        "calibration": build_calibration_metrics(choice, val),
        **fit_uncertainty(val, 0.8),
    }
    card = "\n".join(render_calibration(metrics))
    said = (
        "a scale and a bias for each class" if method == "auto" else f"one temperature ({metrics['temperature']:.3f})"
    )
    assert f"calibrated on validation by {said}: {choice.reason}." in card
    figures = metrics["calibration"]["candidates"]["temperature"]
    assert f"| temperature | {figures['log_loss']:.4f} | {figures['ece']:.4f} |" in card
    assert f"An answer of a confidence below {metrics['uncertainty']['threshold']:.3f} is `uncertain`." in card
    assert "(wanted: 80.0%)" in card
    hopeless = {**metrics, **fit_uncertainty(val, 0.999)}
    assert "No confidence reaches a precision of 0.999" in "\n".join(render_calibration(hopeless))
    assert render_calibration({"temperature": 1.0}) == []

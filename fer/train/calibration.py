"""Calibration and uncertainty fitted on validation, as bundle.yaml and metrics.json hold them."""

from dataclasses import asdict
from typing import Any

import numpy as np

from fer.bundle.calibration import CALIBRATION, UNCERTAINTY, dump_calibration, dump_uncertainty
from fer.bundle.metadata import BundleDescription
from fer.config import Config
from fer.data.manifest import Manifest
from fer.metrics.calibration import CalibrationChoice
from fer.metrics.scores import compute_log_loss
from fer.metrics.uncertainty import fit_confidence_rule, fit_set_thresholds
from fer.train.evaluation import EvaluationResult
from fer.train.logit_adjustment import compute_class_prior, compute_logit_offsets
from fer.train.metrics import compute_calibration_error
from fer.train.overfitting import select_splits
from fer.train.trainer import build_splits


def compute_decision_offsets(config: Config, manifest: Manifest) -> np.ndarray | None:
    """Compute what `evaluation.logit_adjustment` adds to calibrated logits, (classes,); None where it is off."""
    if not config.evaluation.logit_adjustment:
        return None
    train, _ = select_splits(config, *build_splits(manifest))
    return -compute_logit_offsets(compute_class_prior(train), config.evaluation.logit_adjustment)


def build_calibration_metrics(choice: CalibrationChoice, val: EvaluationResult) -> dict[str, Any]:
    """Return the entry `calibration` of a training's metrics.json: what was chosen, why, and how each candidate did.

    Args:
        choice: The calibration, fitted on validation.
        val: The evaluation of validation.
    """
    candidates = {name: _judge(probabilities, val.labels) for name, probabilities in choice.held_out.items()}
    return {
        **dump_calibration(choice.calibration),
        "reason": choice.reason,
        "folds": choice.folds,
        "candidates": candidates,
    }


def _judge(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {
        "log_loss": compute_log_loss(probabilities, labels),
        "ece": compute_calibration_error(probabilities, labels),
    }


def fit_uncertainty(val: EvaluationResult, precision_target: float | None) -> dict[str, Any]:
    """Return the entries of bundle.yaml on uncertainty, fitted on the calibrated probabilities of validation.

    Args:
        val: The evaluation of validation.
        precision_target: The wanted precision of answers that are not uncertain; None has no such rule.
    """
    rule = None
    if precision_target is not None:
        rule = fit_confidence_rule(val.probabilities, val.labels, precision_target)
    return dump_uncertainty(rule, fit_set_thresholds(val.probabilities, val.labels))


def build_bundle_metrics(description: BundleDescription) -> dict[str, Any]:
    """Return the entries of metrics.json on calibration and uncertainty where a bundle is only evaluated."""
    rule = description.confidence_rule
    return {
        CALIBRATION: dump_calibration(description.calibration),
        **({} if rule is None else {UNCERTAINTY: asdict(rule)}),
    }

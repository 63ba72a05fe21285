"""Calibration of a network's confidences: temperature scaling, and per-class vector scaling where it is better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import log_softmax, softmax

from fer.metrics.scores import compute_log_losses

# How a calibration is found: by the better method, or by temperature alone.
CalibrationMethod = Literal["auto", "temperature"]

TEMPERATURE_RANGE = (0.05, 20.0)
# Of vector scaling, relative to the temperature: what perfectly separated classes are held back by.
SCALE_RANGE, BIAS_RANGE = (0.2, 5.0), (-5.0, 5.0)
# Weight of the squared distance from plain temperature scaling, against the log-loss summed over all images.
PENALTY = 1.0
FOLDS = 5
# Below so many images of any class its scale and bias would follow single images.
MIN_CLASS_IMAGES = 10


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities.

    Args:
        temperature: What logits are divided by before the softmax, where there is no vector scaling.
        scale: Vector scaling: the factor (C,) of each class's logit; None without it.
        bias: And what is added to it afterwards, (C,).
    """

    temperature: float
    scale: tuple[float, ...] | None = None
    bias: tuple[float, ...] | None = None

    @property
    def method(self) -> Literal["temperature", "vector"]:
        """The method by which probabilities are calibrated."""
        return "temperature" if self.scale is None else "vector"

    def compute_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Compute class probabilities (N, C) float32 of logits (N, C), in float64."""
        if self.scale is None:
            return compute_probabilities(logits, self.temperature)
        return softmax(logits.astype(np.float64) * self.scale + np.array(self.bias), axis=1).astype(np.float32)

    def shift(self, offsets: np.ndarray) -> "Calibration":
        """Return the calibration that adds ``offsets`` (C,) to the calibrated logits."""
        scale = self.scale or (1 / self.temperature,) * len(offsets)
        bias = np.add(self.bias or 0.0, offsets)
        return Calibration(self.temperature, scale, tuple(map(float, bias)))


@dataclass(frozen=True)
class CalibrationChoice:
    """A calibration, and how it did against the others on images that it was not fitted on.

    Args:
        calibration: Fitted on all images.
        reason: A sentence that says why it was chosen.
        folds: Of the cross-validation; 0 where there were too few images for one.
        held_out: By candidate (``none``, ``temperature``, ``vector``) the probabilities (N, C) of each image by what
            was fitted on the other folds.
    """

    calibration: Calibration
    reason: str
    folds: int
    held_out: Mapping[str, np.ndarray]

    def shift(self, offsets: np.ndarray) -> "CalibrationChoice":
        """Return the choice with ``offsets`` (C,) added to the calibrated logits; candidates stay as they were."""
        reason = f"{self.reason}; then logits are shifted towards classes that are rare in training"
        return replace(self, calibration=self.calibration.shift(offsets), reason=reason)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature that minimises the log-loss (arXiv:1706.04599).

    Args:
        logits: (N, C), of validation images.
        labels: (N,) indices of their classes.

    Returns:
        The temperature, within TEMPERATURE_RANGE.
    """
    # Slow to import, and only training needs it.
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(labels)), labels].mean())

    result = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURE_RANGE)), method="bounded")
    return float(np.exp(result.x))


def compute_probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Compute class probabilities (N, C) float32 of logits (N, C) at a temperature, in float64."""
    return softmax(logits.astype(np.float64) / temperature, axis=1).astype(np.float32)


def fit_vector_scaling(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fit a scale and a bias for each class that minimise the log-loss (vector scaling of arXiv:1706.04599).

    They start from the best temperature, are drawn back to it by PENALTY, and stay within SCALE_RANGE and BIAS_RANGE,
    so that classes without images and perfectly separated ones have finite values.

    Args:
        logits: (N, C), of validation images.
        labels: (N,) indices of their classes.

    Returns:
        Scales and biases of the logits as they are, and the temperature.
    """
    from scipy.optimize import minimize

    count, classes = logits.shape
    temperature = fit_temperature(logits, labels)
    tempered = logits.astype(np.float64) / temperature
    rows = np.arange(count)
    start = np.concatenate([np.ones(classes), np.zeros(classes)])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax(tempered * parameters[:classes] + parameters[classes:], axis=1)
        slopes = np.exp(logs)
        slopes[rows, labels] -= 1
        distance = parameters - start
        gradient = np.concatenate([(slopes * tempered).sum(0), slopes.sum(0)])
        return (
            (PENALTY * (distance**2).sum() - logs[rows, labels].sum()) / count,
            (2 * PENALTY * distance + gradient) / count,
        )

    bounds = [SCALE_RANGE] * classes + [BIAS_RANGE] * classes
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-12, "gtol": 1e-8}).x
    scale, bias = found[:classes] / temperature, found[classes:]
    return Calibration(temperature, tuple(map(float, scale)), tuple(map(float, bias)))


def choose_calibration(logits: np.ndarray, labels: np.ndarray, method: CalibrationMethod) -> CalibrationChoice:
    """Fit the calibration that has the lower log-loss on held-out folds.

    Vector scaling has to be better by more than the standard error of the difference, and needs MIN_CLASS_IMAGES
    images of every class; otherwise it is the temperature, which changes no prediction.

    Args:
        logits: (N, C), of validation images.
        labels: (N,) indices of their classes.
        method: ``temperature`` considers nothing else.
    """
    counts = np.bincount(labels, minlength=logits.shape[1])
    fitters = {"none": lambda *_: Calibration(1.0), "temperature": _fit_temperature_scaling}
    enough = int(counts.min()) >= MIN_CLASS_IMAGES
    if method == "auto" and enough:
        fitters["vector"] = fit_vector_scaling
    folds = min(FOLDS, len(labels)) if len(labels) > 1 else 0
    held_out = {name: _predict_held_out(logits, labels, fit, folds) for name, fit in fitters.items()} if folds else {}
    if method == "temperature":
        return CalibrationChoice(_fit_temperature_scaling(logits, labels), "it was asked for", folds, held_out)
    if not enough:
        reason = (
            f"scale and bias of each class need {MIN_CLASS_IMAGES} validation images of every class, and one has "
            f"{counts.min()}"
        )
        return CalibrationChoice(_fit_temperature_scaling(logits, labels), reason, folds, held_out)
    losses = {name: compute_log_losses(values.astype(np.float64), labels) for name, values in held_out.items()}
    gains = losses["temperature"] - losses["vector"]
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    compared = f"{gain:+.4f} against the temperature alone, standard error {error:.4f}"
    if gain > error:
        reason = f"scale and bias of each class lower the log-loss of held-out images (gain {compared})"
        return CalibrationChoice(fit_vector_scaling(logits, labels), reason, folds, held_out)
    reason = f"scale and bias of each class gain no more than the standard error on held-out images (gain {compared})"
    return CalibrationChoice(_fit_temperature_scaling(logits, labels), reason, folds, held_out)


def _fit_temperature_scaling(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    return Calibration(fit_temperature(logits, labels))


def _predict_held_out(
    logits: np.ndarray, labels: np.ndarray, fit: Callable[[np.ndarray, np.ndarray], Calibration], count: int
) -> np.ndarray:
    """Probabilities (N, C) of each image by the calibration of the other folds."""
    folds = assign_folds(labels, count)
    result = np.empty(logits.shape, np.float32)
    for fold in range(count):
        held = folds == fold
        result[held] = fit(logits[~held], labels[~held]).compute_probabilities(logits[held])
    return result


def assign_folds(labels: np.ndarray, count: int) -> np.ndarray:
    """Deal the images (N,) of each class to ``count`` folds in turn, in an order that is always the same."""
    order = np.random.default_rng(0).permutation(len(labels))
    folds = np.empty(len(labels), np.int64)
    # The images of all classes are dealt in one go, so that folds are equally large.
    folds[order[np.argsort(labels[order], kind="stable")]] = np.arange(len(labels)) % count
    return folds

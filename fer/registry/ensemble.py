"""From several models to one ensemble, whose weights, calibration and figures follow from what their runs predicted."""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer.bundle.calibration import CALIBRATION, dump_calibration, dump_uncertainty
from fer.bundle.ensemble import build_ensemble_content, build_equal_weights, check_members, write_ensemble
from fer.bundle.ensemble_card import list_licence_terms, render_ensemble_card
from fer.bundle.metadata import MODEL_CARD_FILE, BundleDescription, read_description
from fer.config.ensemble import EnsembleWeights
from fer.core.documents import read_json_object
from fer.core.io import atomic_write, write_text
from fer.core.run_layout import BUNDLE_DIR, MANIFEST_PARQUET, METRICS_JSON, format_predictions_name
from fer.errors import ModelError
from fer.metrics.bootstrap import resample_confusion
from fer.metrics.calibration import Calibration, fit_temperature
from fer.metrics.classification import compute_confusion_matrix
from fer.metrics.evaluation import DECISION_METRICS, summarize_confusion, summary_metrics
from fer.metrics.mixture import compute_mixture, fit_mixture_weights
from fer.metrics.scores import LEAST_PROBABILITY, build_score_terms, finish_scores
from fer.metrics.uncertainty import fit_confidence_rule, fit_set_thresholds
from fer.monitoring.drift import BASELINE
from fer.registry.ensemble_baseline import NoBaselineError, derive_baseline
from fer.registry.run_artifacts import read_split_table

SPLIT_TITLES = {"val": "validation", "test": "test"}
_KEYS = ["sample_id", "content_hash", "label"]
log = logging.getLogger(__name__)


class _NotSharedError(Exception):
    """The members' runs have no predictions of the same images; the message says which and why."""


@dataclass(frozen=True)
class _SharedPredictions:
    """What M members answered for the same N images: `images` (N rows of _KEYS), (M, N, C), labels (N,)."""

    images: pd.DataFrame
    probabilities: np.ndarray
    labels: np.ndarray


def build_ensemble(
    models: Sequence[Path],
    names: Sequence[str],
    folder: Path,
    weighting: EnsembleWeights,
    precision_target: float | None,
) -> Path:
    """Write the bundle of an ensemble, and what its members' runs tell of it.

    Where all runs have predictions of the same validation images, one temperature of the mean is fitted on them, which
    changes no answer, and the thresholds of uncertainty are; the figures of validation and test likewise need no
    network, and neither does the baseline of monitoring, where the members have one.

    Args:
        models: Directories of the members' runs or bundles.
        names: What the user calls them.
        folder: Directory like that of a run: bundle/, and metrics.json, predictions and manifest of the test part where
            they are known. What it held before is replaced.
        weighting: ``equal``, or ``validation`` for the weights of the least log-loss.
        precision_target: The wanted precision of answers that are not uncertain; None has no such rule.

    Returns:
        ``folder``.

    Raises:
        ModelError: A model cannot be read, they cannot be one ensemble, or weights are to be fitted on predictions
            that are not there.
    """
    members = [read_description(str(model)) for model in models]
    check_members(members, names)
    weights, entries, metrics = build_equal_weights(len(members)), dict[str, Any](), dict[str, Any]()
    answers = None
    try:
        shared = _read_shared_predictions(members, names, "val")
    except _NotSharedError as error:
        if weighting == "validation":
            raise ModelError(
                f"ensemble.weights=validation: {error}; name runs of train.py on the same data and split, or use "
                "ensemble.weights=equal"
            ) from None
        log.info("Confidences of the mean are not calibrated: %s", error)
    else:
        if weighting == "validation":
            weights = fit_mixture_weights(shared.probabilities, shared.labels).tolist()
        entries = _fit_on_validation(shared, weights, precision_target)
        metrics["val"] = _evaluate(shared, weights, entries["temperature"], members[0].classes)
        answers = _calibrate(shared, weights, entries["temperature"])
    shutil.rmtree(folder, ignore_errors=True)
    try:
        shared = _read_shared_predictions(members, names, "test")
    except _NotSharedError as error:
        log.info("The ensemble comes without test figures: %s", error)
    else:
        temperature = entries.get("temperature", 1.0)
        metrics["test"] = _evaluate(shared, weights, temperature, members[0].classes)
        answers = _calibrate(shared, weights, temperature)
        _write_test_predictions(folder, shared, answers, members[0].classes)
    entries |= {
        "metrics": {split: summary_metrics(metrics.get(split)) for split in SPLIT_TITLES},
        "licence_terms": list_licence_terms(members),
    }
    content = build_ensemble_content(members, weights, entries)
    write_ensemble(folder / BUNDLE_DIR, members, content)
    _write_baseline(folder / BUNDLE_DIR, members, names, answers)
    metrics |= {
        "temperature": content["temperature"],
        "weights_sha256": content["weights_sha256"],
        "ensemble": content["members"],
    }
    write_text(folder / METRICS_JSON, json.dumps(metrics, indent=2) + "\n")
    card = render_ensemble_card(content["architecture"], read_description(str(folder)), metrics)
    write_text(folder / BUNDLE_DIR / MODEL_CARD_FILE, card)
    log.info("Ensemble: %s", ", ".join(f"{weight:.3f} × {name}" for weight, name in zip(weights, names, strict=True)))
    return folder


def _write_baseline(
    bundle: Path, members: Sequence[BundleDescription], names: Sequence[str], answers: np.ndarray | None
) -> None:
    """Write what drift is measured from, by what the members have and the ensemble's answers to the same pictures."""
    try:
        if answers is None:
            raise NoBaselineError("its members come without predictions of the same pictures")
        content = derive_baseline(members, names, answers)
    except NoBaselineError as error:
        log.info(
            "The ensemble comes without a baseline, so that no drift is measured: %s; "
            "inference.monitor.baseline=RUN compares with an earlier run of infer.py",
            error,
        )
    else:
        write_text(bundle / BASELINE, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _read_shared_predictions(
    members: Sequence[BundleDescription], names: Sequence[str], split: str
) -> _SharedPredictions:
    """Read what the runs of all members predicted for a split. Raises _NotSharedError and ModelError."""
    title, columns = SPLIT_TITLES[split], [f"p_{name}" for name in members[0].classes]
    tables: list[pd.DataFrame] = []
    for name, member in zip(names, members, strict=True):
        run = member.folder.parent
        table = read_split_table(run, split) if _is_run(run, member) else None
        if table is None or not set(columns) <= set(table.columns) or table.empty:
            raise _NotSharedError(f"{name} comes without the {title} predictions of its training")
        table = table.sort_values("sample_id", ignore_index=True)
        if tables and not table[_KEYS].equals(tables[0][_KEYS]):
            raise _NotSharedError(f"the {title} images of {name}, or their labels, are not those of {names[0]}")
        tables.append(table)
    labels = tables[0]["label"].map({name: number for number, name in enumerate(members[0].classes)})
    return _SharedPredictions(
        tables[0][_KEYS],
        np.stack([table[columns].to_numpy(np.float64) for table in tables]),
        labels.to_numpy(np.int64),
    )


def _is_run(folder: Path, member: BundleDescription) -> bool:
    """Whether a directory is the run that has trained a member: files beside a bundle may be anybody's."""
    try:
        metrics = read_json_object(folder / METRICS_JSON)
    except (OSError, ValueError):
        return False
    return member.folder.name == BUNDLE_DIR and metrics.get("weights_sha256") == member.weights_sha256


def _fit_on_validation(
    shared: _SharedPredictions, weights: Sequence[float], precision_target: float | None
) -> dict[str, Any]:
    """Entries of bundle.yaml: the temperature of the mean, and the thresholds of its confidences."""
    temperature = fit_temperature(_compute_logarithms(shared, weights), shared.labels)
    probabilities, rule = _calibrate(shared, weights, temperature), None
    if precision_target is not None:
        rule = fit_confidence_rule(probabilities, shared.labels, precision_target)
    return {
        "temperature": temperature,
        CALIBRATION: dump_calibration(Calibration(temperature)),
        **dump_uncertainty(rule, fit_set_thresholds(probabilities, shared.labels)),
    }


def _compute_logarithms(shared: _SharedPredictions, weights: Sequence[float]) -> np.ndarray:
    return np.log(compute_mixture(shared.probabilities, np.array(weights)).clip(LEAST_PROBABILITY))


def _calibrate(shared: _SharedPredictions, weights: Sequence[float], temperature: float) -> np.ndarray:
    """What the ensemble answers for the images, (N, C)."""
    return Calibration(temperature).compute_probabilities(_compute_logarithms(shared, weights))


def _evaluate(
    shared: _SharedPredictions, weights: Sequence[float], temperature: float, classes: Sequence[str]
) -> dict[str, Any]:
    """Those entries of a split in metrics.json that the gate, model cards and registries have."""
    probabilities = _calibrate(shared, weights, temperature)
    confusion = compute_confusion_matrix(shared.labels, probabilities.argmax(1), len(classes))
    decisions = summarize_confusion(confusion, resample_confusion(confusion))
    scores = finish_scores(build_score_terms(probabilities, shared.labels, None).sum(0))
    return {
        "samples": len(shared.labels),
        **{name: decisions[name] for name in DECISION_METRICS},
        "log_loss_calibrated": float(scores["log_loss"]),
        "ece_calibrated": float(scores["ece"]),
        "per_class": dict(zip(classes, decisions["per_class"], strict=True)),
        "confusion_matrix": confusion.tolist(),
    }


def _write_test_predictions(
    folder: Path, shared: _SharedPredictions, probabilities: np.ndarray, classes: Sequence[str]
) -> None:
    """Write the files by which the gate compares models on images that they have in common."""
    predictions = shared.images[["sample_id", "label"]].assign(
        **{f"p_{name}": probabilities[:, column] for column, name in enumerate(classes)}
    )
    tables = {
        format_predictions_name("test"): predictions,
        MANIFEST_PARQUET: shared.images[["sample_id", "content_hash"]],
    }
    for name, table in tables.items():
        with atomic_write(folder / name) as temporary:
            table.to_parquet(temporary, index=False)

"""The audits that `evaluation` asks for, at the end of a training or of a test of a model."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fer.audit.groups import Predictions, check_group_columns, compute_group_metrics
from fer.audit.robustness import choose_rows, measure_robustness
from fer.audit.slices import build_slices, measure_images
from fer.bundle.ensemble_network import EnsembleNetwork
from fer.config import Config
from fer.core.extras import require_packages
from fer.metrics.calibration import Calibration
from fer.models.clip_network import ClipNetwork
from fer.models.network import FaceNetwork
from fer.runs.detector_choice import find_landmark_detector
from fer.train.evaluation import EvaluationResult, predict
from fer.train.inputs import PreparedData
from fer.train.label_issues import write_label_issues

log = logging.getLogger(__name__)


def check_audit(config: Config) -> None:
    """Check that what the audits need is installed and can be read. Raises UserError."""
    if config.evaluation.slices:
        find_landmark_detector(config.extraction)
    if config.evaluation.label_issues:
        require_packages("cleanlab", purpose="evaluation.label_issues=true")


def check_audited_data(config: Config, data: PreparedData) -> None:
    """Check, before hours of training, that the data have the groups. Raises DataError."""
    check_group_columns(config.evaluation.groups, data.manifest.samples)


def audit(
    config: Config,
    data: PreparedData,
    images: np.ndarray,
    network: FaceNetwork | ClipNetwork | EnsembleNetwork,
    calibration: Calibration,
    results: Mapping[str, EvaluationResult],
    metrics: dict[str, Any],
    directory: Path,
) -> None:
    """Add to the metrics what the audits find, and write the sheet of doubtful labels.

    Args:
        config: The configuration.
        data: The data.
        images: Those of the store, as the network takes them.
        network: The network, or those of an ensemble.
        calibration: That of the results' probabilities: a scale and a bias of each class change decisions.
        results: The evaluation of each split.
        metrics: Content of metrics.json, which gains entries.
        directory: The run directory.
    """
    cfg = config.evaluation
    for split, result in results.items():
        predictions = Predictions(result.labels, result.probabilities.argmax(1), len(result.classes))
        if cfg.groups:
            groupings = {name: result.samples[name].to_numpy(dtype=object) for name in cfg.groups}
            metrics[split]["groups"] = compute_group_metrics(groupings, predictions, cfg.min_group_size)
        if cfg.slices:
            detector = find_landmark_detector(config.extraction)
            measures = measure_images(data.store.images, result.samples, data.sources, detector)
            slices, left_out = build_slices(measures)
            metrics[split]["slices"] = compute_group_metrics(slices, predictions, cfg.min_group_size)
            metrics[split]["slices_left_out"] = left_out
    judged = next((split for split in ("test", "val") if split in results), None)
    # Of clips it was refused before anything started.
    if cfg.robustness and judged and not isinstance(network, ClipNetwork):
        result = results[judged]
        rows = choose_rows(len(result.labels), cfg.robustness_limit, config.seed)
        metrics[judged]["robustness"] = measure_robustness(
            images[result.samples.index.to_numpy()[rows]],
            result.labels[rows],
            lambda batch: calibration.compute_probabilities(
                predict(network, batch, np.arange(len(batch)))[:, : len(result.classes)]
            ).argmax(1),
            config.seed,
        )
    if cfg.label_issues and results:
        tables = [result.build_predictions() for result in results.values()]
        metrics["label_issues"] = write_label_issues(tables, data, directory, config.name)

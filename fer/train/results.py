"""What a training leaves for people: predictions, metrics.json, the report, and the figures in the log."""

import logging
from typing import Any

from fer.config import Config
from fer.core.run_layout import format_predictions_name
from fer.data.image_store import ImageStore
from fer.data.manifest import Manifest
from fer.runs.run_directory import Run
from fer.train.evaluation import EvaluationResult
from fer.train.fit import FitResult
from fer.train.report import write_report

log = logging.getLogger(__name__)


def write_results(
    config: Config,
    run: Run,
    store: ImageStore,
    manifest: Manifest,
    results: dict[str, EvaluationResult],
    metrics: dict[str, Any],
    fit_result: FitResult | None,
) -> None:
    """Write predictions, metrics.json and report.html, and say what came out."""
    for part, result in results.items():
        result.write_predictions(run.directory / format_predictions_name(part))
    run.write_metrics(metrics)
    notes = []
    if "test" in config.trainer.stages and "test" not in results:
        notes.append("The data have no test part: the figures are those of validation, on which the epoch was chosen.")
        log.warning("Test: there is no test part; validation is reported")
    write_report(config, run, store, manifest, results, metrics, fit_result, notes)
    for part, word in (("val", "Validation"), ("test", "Test")):
        if part in results:
            split_metrics = metrics[part]
            log.info(
                "%s (%d images): accuracy %s, balanced accuracy %s, macro-F1 %s",
                *(word, split_metrics["samples"]),
                *(_format_interval(split_metrics[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")),
            )


def _format_interval(metric: dict[str, float]) -> str:
    """`0.861 [0.848, 0.873]`: a figure and its 95 % interval."""
    return f"{metric['value']:.4f} [{metric['low']:.3f}, {metric['high']:.3f}]"


def build_metrics(
    config: Config, results: dict[str, EvaluationResult], temperature: float, fit_result: FitResult | None
) -> dict[str, Any]:
    """The content of metrics.json, less the weights' hash."""
    return {
        "monitor": config.trainer.early_stopping.monitor,
        "best_epoch": fit_result.best_epoch if fit_result else None,
        "epochs": len(fit_result.history) if fit_result else 0,
        "temperature": temperature,
        **{part: results[part].metrics() if part in results else None for part in ("val", "test")},
    }

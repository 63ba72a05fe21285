"""What a training leaves for people: predictions, metrics.json, the report, and the metrics in the log."""

import logging
from collections.abc import Sequence
from typing import Any

from fer.config import Config
from fer.core.run_layout import format_predictions_name
from fer.metrics.protocols import describe_protocol
from fer.reports.training import ReportExplanations
from fer.runs.run_directory import Run
from fer.train.evaluation import EvaluationResult
from fer.train.fit_result import FitResult
from fer.train.inputs import PreparedData
from fer.train.overfitting import describe_overfitting
from fer.train.report import write_report

log = logging.getLogger(__name__)


def write_first_results(run: Run, results: dict[str, EvaluationResult], metrics: dict[str, Any]) -> None:
    """Write predictions and metrics.json before audits and explanations, which take minutes and may be killed."""
    for split, result in results.items():
        result.write_predictions(run.directory / format_predictions_name(split))
    run.write_metrics(metrics)


def write_results(
    config: Config,
    run: Run,
    data: PreparedData,
    results: dict[str, EvaluationResult],
    metrics: dict[str, Any],
    fit_result: FitResult | None,
    remarks: Sequence[str] = (),
    explanations: ReportExplanations | None = None,
    explained_model: str | None = None,
) -> None:
    """Write metrics.json and report.html of a run, and log what came out.

    Args:
        config: The run's configuration.
        run: The run.
        data: The data it used.
        results: The evaluation of each split.
        metrics: Content of metrics.json.
        fit_result: The training; None where a model was only evaluated.
        remarks: What else a reader must know about the figures, for log and report.
        explanations: Where the network looked; None where that was not asked.
        explained_model: URI of the network whose maps a reader may ask for; None for the model of the run itself.
    """
    run.write_metrics(metrics)
    notes = describe_overfitting(config)
    if "test" in config.trainer.stages and "test" not in results:
        # A scale and a bias of each class raise accuracy on the images that they were fitted on.
        notes.append(
            "The data have no test part: the figures are those of validation, on which the epoch was chosen"
            + (" and the calibration fitted." if fit_result else ".")
        )
        log.warning("Test: there is no test part; validation is reported")
    for remark in remarks:
        log.warning("%s", remark)
    unit = "images" if data.store.clips is None else "clips"
    notes += [*remarks, *describe_missed_classes(metrics, unit)]
    write_report(config, run, data, results, metrics, fit_result, notes, explanations, explained_model)
    for split, title in (("val", "Validation"), ("test", "Test")):
        if split in results:
            split_metrics = metrics[split]
            log.info(
                "%s (%d %s): accuracy %s, balanced accuracy %s, macro-F1 %s",
                *(title, split_metrics["samples"], unit),
                *(_format_interval(split_metrics[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")),
            )


def describe_missed_classes(metrics: dict[str, Any], unit: str = "images") -> list[str]:
    """Say which classes the model never recognises, of samples that are images or clips."""
    split = next((name for name in ("test", "val") if metrics[name]), None)
    if split is None:
        return []
    classes = metrics[split]["per_class"]
    missed = [name for name, row in classes.items() if row["samples"] and not row["recall"]["value"]]
    if not missed:
        return []
    return [f"No {unit.removesuffix('s')} of {', '.join(missed)} is recognised: recall is 0 on the {split} part."]


def _format_interval(metric: dict[str, float]) -> str:
    """`0.861 [0.848, 0.873]`: a metric and its 95 % interval."""
    return f"{metric['value']:.4f} [{metric['low']:.3f}, {metric['high']:.3f}]"


def build_metrics(
    config: Config, results: dict[str, EvaluationResult], temperature: float, fit_result: FitResult | None
) -> dict[str, Any]:
    """Return the content of metrics.json, less the weights' hash.

    Args:
        config: The run's configuration.
        results: The evaluation of each split; a split without images is null.
        temperature: The temperature by which the probabilities are calibrated.
        fit_result: The training; None where a model was only evaluated.
    """
    splits = {split: results[split].metrics() if split in results else None for split in ("val", "test")}
    protocol, dataset = config.evaluation.protocol, config.dataset
    return {
        "monitor": config.trainer.early_stopping.monitor,
        "best_epoch": fit_result.best_epoch if fit_result else None,
        "epochs": fit_result.history[-1]["epoch"] if fit_result and fit_result.history else 0,
        "temperature": temperature,
        **splits,
        "protocol": describe_protocol(protocol, splits, dataset.on_leak, dataset.exclude is not None)
        if protocol
        else None,
        **({"embeddings": fit_result.embedded.facts} if fit_result and fit_result.embedded else {}),
    }

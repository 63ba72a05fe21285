"""What a training leaves for people: predictions, metrics.json, the report, and the figures in the log."""

import logging
from typing import Any

from fer.config import Config
from fer.data.image_store import Store
from fer.data.manifest import Manifest
from fer.runs.run_directory import Run
from fer.train.evaluation import Judgement
from fer.train.fit import Fitted
from fer.train.report import write_report

log = logging.getLogger(__name__)


def conclude(
    config: Config,
    run: Run,
    store: Store,
    manifest: Manifest,
    judged: dict[str, Judgement],
    metrics: dict[str, Any],
    fitted: Fitted | None,
) -> None:
    """Write predictions, metrics.json and report.html, and say what came out."""
    for part, judgement in judged.items():
        judgement.save(run.directory / f"predictions_{part}.parquet")
    run.write_metrics(metrics)
    notes = []
    if "test" in config.trainer.stages and "test" not in judged:
        notes.append("The data have no test part: the figures are those of validation, on which the epoch was chosen.")
        log.warning("Test: there is no test part; validation is reported")
    write_report(config, run, store, manifest, judged, metrics, fitted, notes)
    for part, word in (("val", "Validation"), ("test", "Test")):
        if part in judged:
            figures = metrics[part]
            log.info(
                "%s (%d images): accuracy %s, balanced accuracy %s, macro-F1 %s",
                *(word, figures["samples"]),
                *(with_bounds(figures[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")),
            )


def with_bounds(figure: dict[str, float]) -> str:
    """`0.861 [0.848, 0.873]`: a figure and its 95 % interval."""
    return f"{figure['value']:.4f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def metrics_of(
    config: Config, judged: dict[str, Judgement], temperature: float, fitted: Fitted | None
) -> dict[str, Any]:
    """The content of metrics.json, less the weights' hash."""
    return {
        "monitor": config.trainer.early_stopping.monitor,
        "best_epoch": fitted.best_epoch if fitted else None,
        "epochs": len(fitted.history) if fitted else 0,
        "temperature": temperature,
        **{part: judged[part].figures() if part in judged else None for part in ("val", "test")},
    }

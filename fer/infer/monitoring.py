"""Monitoring of a finished run of infer.py: its baseline and labels, and monitoring.json."""

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fer.aws.client import AwsCalls, CloudError
from fer.config import Config, SageMakerAws
from fer.core.io import write_text
from fer.errors import DataError, first_line
from fer.infer.chunk_store import FOLDER
from fer.monitoring.cloudwatch import alarms, publish
from fer.monitoring.drift import BASELINE, NEEDED, baseline_of, read_baseline
from fer.monitoring.ground_truth import read_labels
from fer.monitoring.report import monitoring_of
from fer.registry.resolve import registered
from fer.runs.run_directory import RUN_YAML, Run

log = logging.getLogger(__name__)

MONITORING = "monitoring.json"
# Where a run keeps what came with a registered or packaged model.
MODEL = "model"


def write_monitoring(config: Config, run: Run, table: pd.DataFrame, videos: pd.DataFrame) -> dict[str, Any]:
    """Compare the emotion table with what is ordinary, and write monitoring.json. Raises UserError."""
    limits = config.inference.monitor
    classes = [str(column)[2:] for column in table if str(column).startswith("p_")]
    kept = run.directory / FOLDER / BASELINE
    baseline, name = None, None
    if limits.baseline is not None:
        baseline, name = baseline_of_run(Path(limits.baseline), classes), str(limits.baseline)
    elif kept.is_file():
        baseline, name = read_baseline(kept), "the model's training"
    labels = config.extraction.labels
    monitoring = monitoring_of(
        table,
        videos,
        baseline,
        read_labels(Path(labels), videos["video"].tolist()) if labels else None,
        float(run.provenance.get("judging_seconds") or 0),
        limits,
        {
            "model": config.model_uri,
            "baseline": name,
            "retraining_command": retraining_command(config.model_uri, run.directory / FOLDER / MODEL),
        },
    )
    write_text(run.directory / MONITORING, json.dumps(monitoring, indent=2, allow_nan=False) + "\n")
    return monitoring


def baseline_of_run(run: Path, classes: Sequence[str]) -> dict[str, Any]:
    """The baseline that an earlier run of infer.py makes. Raises DataError."""
    path = run / "predictions.parquet"
    try:
        return baseline_of(pd.read_parquet(path, columns=list(NEEDED)), classes)
    except DataError as error:
        raise DataError(f"inference.monitor.baseline={run}: {error}") from None
    except (OSError, ValueError) as error:
        # A file that is no Parquet, and one without these columns, raise ValueErrors.
        raise DataError(
            f"inference.monitor.baseline={run}: cannot be read ({first_line(error)}); name a finished run of infer.py"
        ) from None


def retraining_command(model_uri: str | None, saved: Path | None = None) -> str:
    """The command that trains the model anew with the settings that made it.

    They are those of ``model_uri`` where it is a run directory or its bundle; otherwise of ``saved``, a directory that
    holds the run.yaml that came with the model; otherwise RUN stands for the directory.
    """
    places = [] if model_uri is None else [Path(model_uri), Path(model_uri).parent]
    if saved is not None:
        places.append(saved)
    found = next((place for place in places if (place / RUN_YAML).is_file()), None)
    return f"python train.py --config-dir {'RUN' if found is None else shlex.quote(str(found))} --config-name run"


def publish_batch(config: Config, monitoring: Mapping[str, Any], calls: AwsCalls | None = None) -> None:
    """Send the figures where the configuration wants it. A failure loses no result, so it is only told."""
    aws = config.aws
    if not isinstance(aws, SageMakerAws) or not aws.cloudwatch.publish:
        return
    chosen, limits, uri = aws.cloudwatch, config.inference.monitor, str(config.model_uri)
    model = registered(uri)["name"] if uri.startswith("models:") else config.registry.name
    try:
        calls = calls or AwsCalls(aws.region)
        publish(calls, monitoring, chosen.namespace, chosen.dimensions, model)
        if chosen.alarms:
            alarms(calls, limits, chosen.namespace, chosen.dimensions, model, chosen.alarm_topic)
    except CloudError as error:
        log.warning("CloudWatch has no figures of this batch: %s", error)

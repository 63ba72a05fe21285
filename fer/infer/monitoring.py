"""Monitoring of a finished run of infer.py: its baseline and labels, and monitoring.json."""

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fer.aws.client import AwsClient, CloudError
from fer.config import Config, SageMakerAws
from fer.core.installation import format_command
from fer.core.io import write_text
from fer.core.run_layout import MONITORING_JSON, PARTS_DIR, RUN_YAML, VIDEO_PREDICTIONS
from fer.errors import DataError, shorten_error
from fer.monitoring.cloudwatch import publish_metrics, put_alarms
from fer.monitoring.drift import BASELINE, NEEDED, build_baseline, read_baseline
from fer.monitoring.ground_truth import read_labels
from fer.monitoring.report import build_monitoring
from fer.registry.resolve import parse_registry_uri
from fer.runs.run_directory import Run

log = logging.getLogger(__name__)

# Where a run keeps what came with a registered or packaged model.
MODEL = "model"


def write_monitoring(config: Config, run: Run, table: pd.DataFrame, videos: pd.DataFrame) -> dict[str, Any]:
    """Compare the emotion table with what is ordinary, and write monitoring.json. Raises UserError."""
    limits = config.inference.monitor
    classes = [str(column)[2:] for column in table if str(column).startswith("p_")]
    saved_baseline = run.directory / PARTS_DIR / BASELINE
    baseline, name = None, None
    if limits.baseline is not None:
        baseline, name = build_run_baseline(Path(limits.baseline), classes), str(limits.baseline)
    elif saved_baseline.is_file():
        baseline, name = read_baseline(saved_baseline), "the model's training"
    labels = config.extraction.labels
    monitoring = build_monitoring(
        table,
        videos,
        baseline,
        read_labels(Path(labels), videos["video"].tolist()) if labels else None,
        float(run.provenance.get("judging_seconds") or 0),
        limits,
        {
            "model": config.model_uri,
            "baseline": name,
            "retraining_command": format_retraining_command(config.model_uri, run.directory / PARTS_DIR / MODEL),
        },
    )
    write_text(run.directory / MONITORING_JSON, json.dumps(monitoring, indent=2, allow_nan=False) + "\n")
    return monitoring


def build_run_baseline(run: Path, classes: Sequence[str]) -> dict[str, Any]:
    """The baseline that an earlier run of infer.py makes. Raises DataError."""
    path = run / f"{VIDEO_PREDICTIONS}.parquet"
    try:
        return build_baseline(pd.read_parquet(path, columns=list(NEEDED)), classes)
    except DataError as error:
        raise DataError(f"inference.monitor.baseline={run}: {error}") from None
    except (OSError, ValueError) as error:
        # A file that is no Parquet, and one without these columns, raise ValueErrors.
        raise DataError(
            f"inference.monitor.baseline={run}: cannot be read ({shorten_error(error)}); name a finished run of "
            "infer.py"
        ) from None


def format_retraining_command(model_uri: str | None, model_directory: Path | None = None) -> str:
    """The command that trains the model anew with the settings that made it.

    They are those of ``model_uri`` where it is a run directory or its bundle; otherwise of ``saved``, a directory that
    holds the run.yaml that came with the model; otherwise RUN stands for the directory.
    """
    candidates = [] if model_uri is None else [Path(model_uri), Path(model_uri).parent]
    if model_directory is not None:
        candidates.append(model_directory)
    directory = next((place for place in candidates if (place / RUN_YAML).is_file()), None)
    saved = "RUN" if directory is None else shlex.quote(str(directory))
    return f"{format_command('train.py')} --config-dir {saved} --config-name run"


def publish_batch(config: Config, monitoring: Mapping[str, Any], client: AwsClient | None = None) -> None:
    """Send the figures where the configuration wants it. A failure loses no result, so it is only told."""
    aws = config.aws
    if not isinstance(aws, SageMakerAws) or not aws.cloudwatch.publish:
        return
    cfg, limits, uri = aws.cloudwatch, config.inference.monitor, str(config.model_uri)
    model = parse_registry_uri(uri)["name"] if uri.startswith("models:") else config.registry.name
    try:
        client = client or AwsClient(aws.region)
        publish_metrics(client, monitoring, cfg.namespace, cfg.dimensions, model)
        if cfg.alarms:
            put_alarms(client, limits, cfg.namespace, cfg.dimensions, model, cfg.alarm_topic)
    except CloudError as error:
        log.warning("CloudWatch has no figures of this batch: %s", error)

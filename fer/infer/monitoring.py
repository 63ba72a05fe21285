"""Monitoring of a finished run of infer.py: its baseline and labels, monitoring.json, and CloudWatch."""

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import ListConfig, OmegaConf

from fer.aws.client import AwsClient, CloudError
from fer.aws.settings import connect
from fer.bundle.locate import PRETRAINED_DIR, names_pretrained
from fer.config import Config, SageMakerAws
from fer.core.installation import format_command
from fer.core.io import write_text
from fer.core.parquet import read_parquet
from fer.core.places import hide_places_within
from fer.core.run_layout import MONITORING_JSON, PARTS_DIR, RUN_YAML, VIDEO_PREDICTIONS
from fer.emotions import list_emotions
from fer.errors import DataError, shorten_error
from fer.monitoring.cloudwatch import publish_metrics, put_alarms
from fer.monitoring.drift import BASELINE, NEEDED, build_baseline, read_baseline
from fer.monitoring.ground_truth import read_labels
from fer.monitoring.report import build_monitoring
from fer.registry.resolve import parse_registry_uri
from fer.runs.run_directory import Run

log = logging.getLogger(__name__)

# Below PARTS_DIR, where a run keeps what came with a registered or packaged model.
MODEL = "model"


def write_monitoring(config: Config, run: Run, table: pd.DataFrame, videos: pd.DataFrame) -> dict[str, Any]:
    """Compare a batch with its baseline and its labels, and write monitoring.json.

    Args:
        config: The configuration of infer.py.
        run: The run.
        table: Its emotion table.
        videos: Its videos.parquet.

    Returns:
        The content of monitoring.json.

    Raises:
        UserError: The baseline or the labels cannot be used.
    """
    limits = config.inference.monitor
    saved_baseline = run.directory / PARTS_DIR / BASELINE
    baseline, name = None, None
    if limits.baseline is not None:
        baseline, name = build_run_baseline(Path(limits.baseline), list_emotions(table)), str(limits.baseline)
    elif saved_baseline.is_file():
        baseline, name = read_baseline(saved_baseline), "the model's training"
    labels = None
    if config.extraction.labels:
        labels = read_labels(Path(config.extraction.labels), videos["video"].tolist())
    monitoring = build_monitoring(
        table,
        videos,
        baseline,
        labels,
        float(run.provenance.get("judging_seconds") or 0),
        limits,
        {
            "model": None if config.model_uri is None else config.format_model_uri(),
            "baseline": name,
            "retraining_command": format_retraining_command(config.model_uri, run.directory / PARTS_DIR / MODEL),
        },
    )
    write_text(
        run.directory / MONITORING_JSON, json.dumps(hide_places_within(monitoring), indent=2, allow_nan=False) + "\n"
    )
    return monitoring


def build_run_baseline(run: Path, classes: Sequence[str]) -> dict[str, Any]:
    """Build a baseline from an earlier run of infer.py.

    Args:
        run: The run directory.
        classes: The model's classes.

    Returns:
        The content of baseline.json.

    Raises:
        DataError: The run cannot be read, or has no faces or other classes.
    """
    path = run / f"{VIDEO_PREDICTIONS}.parquet"
    try:
        return build_baseline(read_parquet(path, NEEDED), classes)
    except DataError as error:
        raise DataError(f"inference.monitor.baseline={run}: {error}") from None
    except (OSError, ValueError) as error:
        # A file that is no Parquet, and one without these columns, raise ValueErrors.
        raise DataError(
            f"inference.monitor.baseline={run}: cannot be read ({shorten_error(error)}); name a finished run of "
            "infer.py"
        ) from None


def format_retraining_command(model_uri: str | Sequence[str] | None, model_directory: Path | None = None) -> str:
    """Format the command that retrains the model with the configuration that made it.

    Args:
        model_uri: The configuration is looked for here, in case it is a run directory or its bundle. Of an ensemble, a
            command for each of its models.
        model_directory: And then here, where the run.yaml lies that came with the model.

    Returns:
        The command, in which RUN stands for the directory where it was not found, and … for values to be named.
    """
    if model_uri is not None and not isinstance(model_uri, str):
        return " && ".join(map(format_retraining_command, model_uri))
    candidates = []
    if model_uri is not None:
        folder = PRETRAINED_DIR if names_pretrained(model_uri) else Path(model_uri)
        candidates = [folder, folder.parent]
    if model_directory is not None:
        candidates.append(model_directory)
    directory = next((path for path in candidates if (path / RUN_YAML).is_file()), None)
    saved, needed = "RUN" if directory is None else shlex.quote(str(directory)), ""
    members = None if directory is None else OmegaConf.select(OmegaConf.load(directory / RUN_YAML), "model_uri")
    if isinstance(members, ListConfig):
        # The run has evaluated an ensemble, and trained nothing.
        return format_retraining_command([str(member) for member in members])
    if directory == PRETRAINED_DIR:
        # It names no data and no weights, which lie elsewhere on every machine.
        keys = OmegaConf.missing_keys(OmegaConf.load(directory / RUN_YAML))
        needed = "".join(f" {key}=…" for key in sorted(keys))
    return f"{format_command('train.py')} --config-dir {saved} --config-name run{needed}"


def publish_batch(config: Config, monitoring: Mapping[str, Any], client: AwsClient | None = None) -> None:
    """Send the metrics to CloudWatch where the configuration asks for it.

    A failure loses no result, so it is only logged.

    Args:
        config: The configuration of infer.py.
        monitoring: The content of monitoring.json.
        client: Sends them; a new one where it is None.
    """
    aws = config.aws
    if not isinstance(aws, SageMakerAws) or not aws.cloudwatch.publish:
        return
    cfg, limits, uri = aws.cloudwatch, config.inference.monitor, str(config.model_uri)
    model = parse_registry_uri(uri)["name"] if uri.startswith("models:") else config.registry.name
    try:
        client = client or connect(aws)
        publish_metrics(client, monitoring, cfg.namespace, cfg.dimensions, model)
        if cfg.alarms:
            put_alarms(client, limits, cfg.namespace, cfg.dimensions, model, cfg.alarm_topic, aws.tags)
    except CloudError as error:
        log.warning("CloudWatch has no figures of this batch: %s", error)

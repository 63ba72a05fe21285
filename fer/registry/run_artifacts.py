"""What is registered of a run, or of a bundle alone: metrics, settings, test predictions, provenance."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fer.bundle.metadata import DESCRIPTION_FILE, BundleDescription, read_description
from fer.bundle.metrics_schema import check_metrics
from fer.core.documents import read_json, read_yaml
from fer.core.io import compute_sha256
from fer.core.parquet import read_parquet
from fer.core.run_layout import MANIFEST_PARQUET, METRICS_JSON, PROVENANCE_JSON, RUN_YAML, format_predictions_name
from fer.errors import ModelError, shorten_error


@dataclass(frozen=True)
class RunArtifacts:
    """A bundle, and what its run adds.

    Args:
        description: The bundle.
        metrics: Content of metrics.json, or those that the bundle repeats.
        settings: Content of the training's run.yaml, empty where there is no such run.
        table: Test predictions with a row for each image: sample_id, content_hash, label, p_<emotion>. None where
            there are none.
        files: Files of the run to store with the version, by name.
        facts: Hashes of configuration and data, commit; as far as they are known.
    """

    description: BundleDescription
    metrics: dict[str, Any]
    settings: dict[str, Any]
    table: pd.DataFrame | None
    files: dict[str, Path]
    facts: dict[str, str]


def read_run_artifacts(folder: Path) -> RunArtifacts:
    """Read the directory of a run or of a bundle.

    Raises:
        ModelError: A file is missing or cannot be read, or the metrics are those of other weights.
    """
    description = read_description(str(folder))
    content = description.content
    facts = {"run_yaml_sha256": content.get("config_sha256"), "data_fingerprint": content.get("data_fingerprint")}
    if description.folder == folder:
        described = _check_metrics(description.folder / DESCRIPTION_FILE, content.get("metrics") or {})
        return RunArtifacts(description, described, {}, None, {}, _drop_empty(facts))
    files = {name: folder / name for name in (RUN_YAML, METRICS_JSON) if (folder / name).is_file()}
    metrics = _read_mapping(folder / METRICS_JSON) if METRICS_JSON in files else content.get("metrics") or {}
    metrics = _check_metrics(folder / METRICS_JSON, metrics)
    if metrics.get("weights_sha256", description.weights_sha256) != description.weights_sha256:
        raise ModelError(f"{folder / METRICS_JSON}: is of other weights than {description.folder}; train again")
    if RUN_YAML in files:
        facts["run_yaml_sha256"] = compute_sha256(files[RUN_YAML])
    provenance = _read_mapping(folder / PROVENANCE_JSON) if (folder / PROVENANCE_JSON).is_file() else {}
    facts |= {key: provenance.get(key) for key in ("git_commit", "git_diff_sha256")}
    # The settings of a run that evaluated an ensemble are not those by which its networks were trained.
    settings = _read_mapping(folder / RUN_YAML) if RUN_YAML in files and not description.members else {}
    return RunArtifacts(description, metrics, settings, read_split_table(folder, "test"), files, _drop_empty(facts))


def _drop_empty(facts: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items() if value}


def _read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON or YAML file. Raises ModelError."""
    try:
        content = read_yaml(path) if path.suffix == ".yaml" else read_json(path)
        if not isinstance(content, dict):
            raise ValueError("no mapping")
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({shorten_error(error)}); restore the run") from None
    return content


def _check_metrics(path: Path, metrics: Any) -> dict[str, Any]:
    """Return the metrics of a file, which the gate relies on. Raises ModelError."""
    try:
        check_metrics(metrics)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: holds no metrics of train.py ({shorten_error(error)}); restore the run") from None
    return dict(metrics)


def read_split_table(run: Path, split: str) -> pd.DataFrame | None:
    """Return a run's predictions of a split with the hash of each image; None where it has none. Raises ModelError.

    Args:
        run: The run directory.
        split: ``val`` or ``test``.
    """
    path = run / format_predictions_name(split)
    if not path.is_file() or not (run / MANIFEST_PARQUET).is_file():
        return None
    predictions = read_table(path)
    manifest = read_table(run / MANIFEST_PARQUET)
    try:
        table = predictions.merge(manifest[["sample_id", "content_hash"]], on="sample_id", validate="many_to_one")
        columns = [name for name in table.columns if name.startswith("p_")]
        return table[["sample_id", "content_hash", "label", *columns]]
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path}: does not fit {MANIFEST_PARQUET} ({shorten_error(error)}); train again") from None


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet file. Raises ModelError."""
    try:
        return read_parquet(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({shorten_error(error)}); restore it") from None

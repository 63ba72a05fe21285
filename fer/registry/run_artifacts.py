"""What a run, or a bundle alone, tells a registry: figures, settings, test predictions, where it comes from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fer.bundle.metadata import BundleDescription, read_description
from fer.core.io import compute_sha256
from fer.errors import ModelError, shorten_error

RUN_YAML, METRICS, PROVENANCE, MANIFEST = "run.yaml", "metrics.json", "provenance.json", "manifest.parquet"
PREDICTIONS = "predictions_test.parquet"


@dataclass(frozen=True)
class RunArtifacts:
    """A bundle's ``description``, and of its run, where there is one: ``metrics`` and ``settings``, the content of
    metrics.json and run.yaml, ``table`` (content_hash, label, p_<emotion>, a row a test image), ``files`` to keep.
    """

    description: BundleDescription
    metrics: dict[str, Any]
    settings: dict[str, Any]
    table: pd.DataFrame | None
    files: dict[str, Path]
    facts: dict[str, str]


def read_run_artifacts(folder: Path) -> RunArtifacts:
    """Read a run's directory, or a bundle's. Raises ModelError, also where the figures are of other weights."""
    description = read_description(str(folder))
    content = description.content
    known = {"run_yaml_sha256": content.get("config_sha256"), "data_fingerprint": content.get("data_fingerprint")}
    if description.folder == folder:
        return RunArtifacts(description, dict(content.get("metrics") or {}), {}, None, {}, _drop_empty(known))
    files = {name: folder / name for name in (RUN_YAML, METRICS) if (folder / name).is_file()}
    metrics = _read_mapping(folder / METRICS) if METRICS in files else dict(content.get("metrics") or {})
    if metrics.get("weights_sha256", description.weights_sha256) != description.weights_sha256:
        raise ModelError(f"{folder / METRICS}: is of other weights than {description.folder}; train again")
    if RUN_YAML in files:
        known["run_yaml_sha256"] = compute_sha256(files[RUN_YAML])
    provenance = _read_mapping(folder / PROVENANCE) if (folder / PROVENANCE).is_file() else {}
    known |= {key: provenance.get(key) for key in ("git_commit", "git_diff_sha256")}
    settings = _read_mapping(folder / RUN_YAML) if RUN_YAML in files else {}
    return RunArtifacts(description, metrics, settings, _build_test_table(folder), files, _drop_empty(known))


def _drop_empty(facts: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items() if value}


def _read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a JSON or YAML file. Raises ModelError."""
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("no mapping")
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ModelError(f"{path}: cannot be read ({shorten_error(error)}); restore the run") from None
    return content


def _build_test_table(run: Path) -> pd.DataFrame | None:
    """The test predictions of a run and the hash of each image; None where it has none. Raises ModelError."""
    if not (run / PREDICTIONS).is_file() or not (run / MANIFEST).is_file():
        return None
    predictions = read_table(run / PREDICTIONS)
    manifest = read_table(run / MANIFEST)
    try:
        table = predictions.merge(manifest[["sample_id", "content_hash"]], on="sample_id", validate="many_to_one")
        columns = [name for name in table.columns if name.startswith("p_")]
        return table[["sample_id", "content_hash", "label", *columns]]
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"{run / PREDICTIONS}: does not fit {MANIFEST} ({shorten_error(error)}); train again"
        ) from None


def read_table(path: Path) -> pd.DataFrame:
    """Raises ModelError."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({shorten_error(error)}); restore it") from None

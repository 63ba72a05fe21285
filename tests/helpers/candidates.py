"""Test tables and candidates for tests of the registries; without PyTorch, so that processes start fast."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.core.io import compute_sha256
from fer.emotions import EMOTIONS
from fer.registry.base import Candidate, ModelVersion
from fer.registry.gate import APPROVED, Status, Verdict
from tests.helpers.aws_simulator.simulator import Simulated

NAME = "fer-test"
BUCKET = "models-of-tests"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fer:1"
SETTINGS = {"seed": 0, "dataset": {"sources": {"drawn": {"kind": "synthetic"}}}, "optimizer": {"lr": 0.001}}
FIGURE = {"value": 0.9, "low": 0.85, "high": 0.95}
# 140 images, 20 of each class, 18 of them right and 2 taken for the next class.
METRICS: dict[str, Any] = {
    "val": None,
    "test": {
        **{"samples": 140, "accuracy": FIGURE, "balanced_accuracy": FIGURE, "macro_f1": FIGURE, "ece_calibrated": 0.1},
        "per_class": {name: {"samples": 20, "precision": FIGURE, "recall": FIGURE, "f1": FIGURE} for name in EMOTIONS},
        "confusion_matrix": (18 * np.eye(7, dtype=int) + 2 * np.roll(np.eye(7, dtype=int), 1, 1)).tolist(),
    },
}


def table(right: np.ndarray, first: int = 0) -> pd.DataFrame:
    """A test table: image ``first + n`` is judged rightly where ``right[n]``."""
    count = len(right)
    labels = np.arange(first, first + count) % 7
    predicted = np.where(right, labels, (labels + 1) % 7)
    probabilities = np.full((count, 7), 0.05)
    probabilities[np.arange(count), predicted] = 0.7
    return pd.DataFrame(
        {
            "sample_id": [f"drawn/{number}" for number in range(first, first + count)],
            "content_hash": [f"hash-{number}" for number in range(first, first + count)],
            "label": [EMOTIONS[label] for label in labels],
            **{f"p_{name}": probabilities[:, column] for column, name in enumerate(EMOTIONS)},
        }
    )


def candidate(folder: Path, mark: str = "1", status: Status = APPROVED, name: str = NAME) -> Candidate:
    """A candidate whose files are text; ``mark`` tells one from another."""
    files = {key: folder / mark / key for key in ("model.tar.gz", "run.yaml", "quality.json", "model_card.md")}
    for key, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{key} {mark}")
    table(np.arange(140) % 10 != 0).to_parquet(folder / mark / "test.parquet")
    return Candidate(
        name=name,
        verdict=Verdict(status, (f"Verdict {mark}.",), {"accuracy": 0.9, "macro_f1": 0.8}),
        sha256=compute_sha256(files["model.tar.gz"]),
        fingerprint=f"fingerprint-{mark}",
        files={**files, "test.parquet": folder / mark / "test.parquet"},
        metrics=METRICS,
        description={"architecture": "mobilenetv2_035", "image_size": 48, "classes": list(EMOTIONS)},
        settings=SETTINGS,
        facts={"git_commit": f"commit-{mark}", "data_fingerprint": "d" * 64, "run_yaml_sha256": "a" * 64},
    )


def replace_package(version: ModelVersion, request: pytest.FixtureRequest) -> None:
    """Put something else in the place of a version's package, in a directory or in the simulated S3."""
    if version.package.startswith("s3://"):
        aws: Simulated = request.getfixturevalue("aws")
        key = version.package.removeprefix(f"s3://{BUCKET}/")
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"something else")
    else:
        Path(version.package).write_bytes(b"something else")

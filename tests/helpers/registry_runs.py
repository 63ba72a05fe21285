"""Runs for tests of the gate and of registering."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from fer.bundle.io import FaceFormat, build_description, save_bundle
from fer.bundle.model_card import render_model_card
from fer.bundle.reference_samples import ReferenceSamples, write_samples
from fer.emotions import EMOTIONS
from fer.models.network import FaceNetwork
from fer.serving import Predictor
from fer.train.metrics import compute_split_metrics
from tests.helpers.candidates import SETTINGS, table
from tests.helpers.networks import SMALL, faces, lively


def metrics_of(judged: pd.DataFrame) -> dict[str, Any]:
    """metrics.json of a run with these test predictions."""
    probabilities = judged[[f"p_{name}" for name in EMOTIONS]].to_numpy(np.float32)
    labels = judged["label"].map({name: number for number, name in enumerate(EMOTIONS)}).to_numpy()
    votes = np.full(probabilities.shape, np.nan)
    return {
        "val": None,
        "test": compute_split_metrics(probabilities, probabilities, labels, votes, ["drawn"] * len(labels), EMOTIONS),
    }


def small_run(folder: Path, right: np.ndarray, mark: str = "1") -> Path:
    """A run of a small network that nobody trained, with the test predictions of ``table(right)``."""
    judged = table(right)
    metrics = metrics_of(judged)
    text = yaml.safe_dump(SETTINGS)
    network = lively(FaceNetwork(SMALL, 7, 48, 0.0))
    facts = {"metrics": {}, "data_fingerprint": f"data-{mark}", "config_sha256": "0"}
    description = build_description(network, EMOTIONS, FaceFormat(48, False), 1.5, facts)
    metrics["weights_sha256"] = save_bundle(folder / "bundle", network, description)
    images = faces(3, 48)
    write_samples(
        folder / "bundle", ReferenceSamples(images, Predictor.load(str(folder / "bundle")).predict(list(images)))
    )
    (folder / "bundle" / "model_card.md").write_text(render_model_card("small", description, metrics, ["drawn"], text))
    (folder / "run.yaml").write_text(text)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "provenance.json").write_text(json.dumps({"git_commit": "c" * 40}))
    judged.drop(columns="content_hash").to_parquet(folder / "predictions_test.parquet")
    judged[["sample_id", "content_hash"]].to_parquet(folder / "manifest.parquet")
    return folder

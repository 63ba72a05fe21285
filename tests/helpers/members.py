"""Small models for tests of ensembles: runs with bundles, and with predictions of validation and test."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fer.bundle.io import FaceFormat, build_description, save_bundle
from fer.bundle.model_card import render_model_card
from fer.bundle.predictor import Predictor
from fer.bundle.reference_samples import ReferenceSamples, write_samples
from fer.emotions import EMOTIONS
from fer.models.network import FaceNetwork
from tests.helpers.networks import SMALL, faces, lively, one_thread

FACTS = {"metrics": {"val": None, "test": None}, "data_fingerprint": "f" * 64, "config_sha256": "c" * 64}


def save_member(
    folder: Path,
    mark: int,
    native: FaceFormat = FaceFormat(48, False),  # noqa: B008
    classes: Sequence[str] = EMOTIONS,
    affect: bool = False,
    image_size: int = 48,
) -> Path:
    """The run of a network that differs by ``mark``, as a training leaves it, without predictions."""
    with one_thread():
        network = lively(FaceNetwork(SMALL, len(classes), image_size, 0.0, affect=affect))
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(mark)
            classifier = network.body.get_submodule("classifier")
            classifier.weight.add_(torch.randn_like(classifier.weight) * classifier.weight.std())  # type: ignore[operator, union-attr, arg-type]
        description = build_description(network, tuple(classes), native, 1 + mark / 10, FACTS)
        digest = save_bundle(folder / "bundle", network, description)
        images = faces(3, 48)
        answers = Predictor.load(str(folder)).predict(list(images))
    write_samples(folder / "bundle", ReferenceSamples(images, answers))
    notes = [f"drawn {mark}", "drawn by all"]
    config = "dataset: {sources: {drawn: {kind: synthetic}}}"
    card = render_model_card(f"member {mark}", description, {"val": None, "test": None}, notes, config)
    (folder / "bundle" / "model_card.md").write_text(card, encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps({"val": None, "test": None, "weights_sha256": digest}))
    return folder


def draw_answers(count: int, skill: float, seed: int, classes: Sequence[str] = EMOTIONS) -> pd.DataFrame:
    """Predictions of ``count`` images; the larger the skill, the likelier is the right class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(EMOTIONS)
    logits = random.normal(size=(count, len(EMOTIONS))) + skill * np.eye(len(EMOTIONS))[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return pd.DataFrame(
        {
            "sample_id": [f"drawn/{number}" for number in range(count)],
            "label": [EMOTIONS[label] for label in labels],
            **{f"p_{name}": probabilities[:, EMOTIONS.index(name)].astype(np.float32) for name in classes},
        }
    )


def save_answers(run: Path, val: pd.DataFrame | None, test: pd.DataFrame | None) -> None:
    """Write predictions and manifest of a run; images of validation have other ids than those of the test part."""
    parts = []
    for split, table in (("val", val), ("test", test)):
        if table is not None:
            table = table.assign(sample_id=split + table["sample_id"])
            table.to_parquet(run / f"predictions_{split}.parquet")
            parts.append(table[["sample_id"]].assign(content_hash="hash-" + table["sample_id"]))
    pd.concat(parts).to_parquet(run / "manifest.parquet")

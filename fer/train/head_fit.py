"""The fit of a classical classifier on the features of a frozen encoder."""

import json
import logging
import time
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fer.config import Config
from fer.core.io import write_text
from fer.core.run_layout import HISTORY_CSV
from fer.data.datamodule import Split
from fer.metrics.calibration import compute_probabilities
from fer.metrics.classification import compute_confusion_matrix, compute_metrics
from fer.models.fitted_heads import HeadBody
from fer.train.callbacks import HISTORY_COLUMNS
from fer.train.embedding_cache import Change, EmbeddedHead, EmbeddingCache, compute_logits
from fer.train.fit_result import FitResult
from fer.train.head_conversion import convert_estimator
from fer.train.head_estimators import fit_estimator
from fer.train.inputs import PreparedData
from fer.train.module_factory import build_encoder
from fer.train.plugins import build_augmentation
from fer.train.trainer import build_splits

# No logarithm of 0.
LEAST = 1e-12
log = logging.getLogger(__name__)


def fit_head(config: Config, data: PreparedData, directory: Path, device: str) -> FitResult:
    """Fit the head of ``model.head`` on embeddings of the training part, which are computed where the cache has none.

    Args:
        config: The run's configuration, with ``model.kind=embedding_head``.
        data: Its data.
        directory: The run directory, which gets history.csv: one row, of epoch 1.
        device: ``cpu``, ``cuda`` or ``mps``, of the encoder.

    Raises:
        UserError: The weights of the encoder cannot be used, or the data do not suffice.
    """
    start, head_config = time.monotonic(), config.model.head
    network, weights_sha256 = build_encoder(config)
    cache = EmbeddingCache(config.dataset.cache_dir, network.to(device), data.store)
    train, val = build_splits(data.manifest)
    features = _embed_training(config, cache, train.rows)
    repeats = len(features) // len(train.rows)
    log.info("Fitting %s on %d embeddings of %d features", head_config.kind, *features.shape)
    pipeline = fit_estimator(
        head_config,
        features,
        np.tile(train.targets, (repeats, 1)),
        np.tile(train.weights, repeats),
        config.seed,
        torch.get_num_threads(),
    )
    head = convert_estimator(head_config.kind, pipeline, train.targets.shape[1])
    cast(HeadBody, network.body).head = head
    seconds = time.monotonic() - start
    row = {
        # A fit is one epoch, in which nothing takes steps of a learning rate.
        **{"epoch": 1, "lr": 0.0},
        **_judge("train", compute_logits(head, features[: len(train.rows)]), train),
        **_judge("val", compute_logits(head, cache.embed(val.rows)), val),
        **{"seconds": round(seconds, 3), "images_per_second": round(len(features) / seconds, 1)},
    }
    row["val_objective"] = row["val_loss"]
    write_text(directory / HISTORY_CSV, pd.DataFrame([row], columns=HISTORY_COLUMNS).to_csv(index=False))
    return FitResult(network, [row], 1, False, round(seconds, 1), weights_sha256, EmbeddedHead(cache, head, features))


def _embed_training(config: Config, cache: EmbeddingCache, rows: np.ndarray) -> np.ndarray:
    """Features of the training images as they are, then of each of their changed copies."""
    # Mixing would make an image of two labels.
    augmentation = build_augmentation(config, mixup=0, cutmix=0)
    settings = json.dumps(config.dataset.augment.model_dump(), sort_keys=True)
    side, classes = config.model.image_size, config.dataset.classes

    def build_change(copy: int) -> Change:
        def change(images: Tensor, batch: int) -> Tensor:
            no_targets = images.new_zeros((len(images), classes), dtype=torch.float32)
            return augmentation(images, no_targets, side, (config.seed, copy, batch))[0]

        return change

    copies = range(1, config.model.head.copies + 1)
    return np.concatenate(
        [cache.embed(rows), *(cache.embed(rows, build_change(n), f"{settings} {config.seed} {n}") for n in copies)]
    )


def _judge(split: str, logits: np.ndarray, truth: Split) -> dict[str, float]:
    """Figures of history.csv on a split, against its targets; of training those that there are."""
    probabilities = compute_probabilities(logits, 1.0).clip(LEAST)
    labels = truth.targets.argmax(1)
    values = compute_metrics(compute_confusion_matrix(labels, logits.argmax(1), truth.targets.shape[1]))
    names = ("accuracy",) if split == "train" else ("accuracy", "balanced_accuracy", "macro_f1")
    loss = -(truth.targets * np.log(probabilities)).sum(1).mean()
    return {f"{split}_loss": float(loss), **{f"{split}_{name}": float(values[name]) for name in names}}

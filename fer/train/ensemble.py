"""Evaluating a bundle that may be an ensemble, and keeping the one that `model_uri=[A,B]` names in the run."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer.bundle.ensemble import write_ensemble_description
from fer.bundle.ensemble_card import render_ensemble_card
from fer.bundle.ensemble_network import EnsembleNetwork
from fer.bundle.io import open_bundle
from fer.bundle.metadata import MODEL_CARD_FILE, BundleDescription, read_description
from fer.bundle.predictor import Predictor
from fer.config import Config
from fer.core.io import write_text
from fer.core.run_layout import BUNDLE_DIR
from fer.errors import ConfigError
from fer.metrics.evaluation import summary_metrics
from fer.models.clip_network import ClipNetwork
from fer.models.fitted_heads import NO_GRADIENTS
from fer.models.network import FaceNetwork
from fer.registry.reference_faces import write_reference_samples
from fer.train.baseline import write_baseline
from fer.train.evaluation import EvaluationResult
from fer.train.inputs import PreparedData


def load_network(
    config: Config, folder: Path, device: str
) -> tuple[FaceNetwork | ClipNetwork | EnsembleNetwork, BundleDescription]:
    """Load the network of a bundle, or those of an ensemble, with PyTorch.

    Args:
        config: The configuration of the run that evaluates it.
        folder: Directory of the bundle, or of its run.
        device: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ModelError: It cannot be loaded.
        ConfigError: Maps are asked for of an ensemble, or of trees.
    """
    description = read_description(str(folder))
    if not description.members:
        if config.trainer.explain and description.head and not description.head.has_gradients:
            raise ConfigError(f"trainer.explain=true: {NO_GRADIENTS}; use trainer.explain=false")
        return open_bundle(description).network.to(device), description
    if config.trainer.explain:
        raise ConfigError(
            f"trainer.explain=true: model_uri={config.format_model_uri()} is an ensemble, and maps are of one network; "
            "use trainer.explain=false, and fer explain with one of its members"
        )
    network = Predictor.load(str(folder), device=device).network
    assert isinstance(network, EnsembleNetwork), "a bundle with members has several networks"
    return network, description


def keep_ensemble(
    name: str,
    run: Path,
    built: Path,
    data: PreparedData,
    results: Mapping[str, EvaluationResult],
    metrics: dict[str, Any],
) -> BundleDescription:
    """Move the bundle of an ensemble into the run that has evaluated it, with the run's figures.

    Args:
        name: Title of its model card.
        run: The run directory.
        built: Directory in the run where ``fetch_model`` has built the ensemble; it is removed with what was fetched.
        data: The data.
        results: The evaluation of each split.
        metrics: Content of metrics.json, which gains the entry ``ensemble``.

    Returns:
        The ensemble's description at its new place.
    """
    bundle = run / BUNDLE_DIR
    shutil.rmtree(bundle, ignore_errors=True)
    os.replace(built / BUNDLE_DIR, bundle)
    shutil.rmtree(built.parent)
    content = dict(read_description(str(bundle)).content)
    metrics["ensemble"] = content["members"]
    figures = {split: summary_metrics(metrics[split]) for split in ("val", "test")}
    write_ensemble_description(bundle, {**content, "metrics": figures})
    write_reference_samples(bundle)
    write_baseline(bundle, data.store, results["test"] if "test" in results else results["val"])
    description = read_description(str(bundle))
    write_text(bundle / MODEL_CARD_FILE, render_ensemble_card(name, description, metrics))
    return description

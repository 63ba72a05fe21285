"""The stage embed of train.py: features of a data set by a model or a network of timm, as files and as a page."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from fer.bundle.io import load_bundle, require_face_network
from fer.config import Config
from fer.core.io import compute_sha256
from fer.core.run_layout import EMBEDDINGS_HTML, EMBEDDINGS_NPY
from fer.data.image_store import convert_images
from fer.data.sources import Source
from fer.errors import ModelError, UserError
from fer.explain.embeddings import EmbeddedData, write_embeddings, write_projection
from fer.models.embeddings import predict_embeddings
from fer.registry.resolve import fetch_model
from fer.runs.run_directory import Run
from fer.train.embedding_cache import EmbeddingCache
from fer.train.encoder import match_colour
from fer.train.inputs import PreparedData, prepare_data, record_data
from fer.train.module_factory import build_encoder

log = logging.getLogger(__name__)


def embed_data(config: Config, run: Run, device: str, sources: list[Source] | None) -> None:
    """Write embeddings of all images of the configuration's data, and metrics.json.

    They are of the model of ``model_uri``, or where that is null of the network of ``model``, which classifies nothing.

    Args:
        config: The configuration of train.py with ``trainer.stages=[embed]``.
        run: The run.
        device: ``cpu``, ``cuda`` or ``mps``.
        sources: The data sets, where they were read already.

    Raises:
        UserError: The model has other classes than the data, or its outputs are not finite.
    """
    if config.model_uri is None:
        embedded, weights_sha256 = _embed_by_encoder(config, run, device, sources)
    else:
        embedded, weights_sha256 = _embed_by_model(config, run, device, sources)
    index = write_embeddings(run.directory, embedded, weights_sha256)
    log.info("Embedded %d images, %d features each: %s", *embedded.embeddings.shape, run.directory / EMBEDDINGS_NPY)
    write_projection(run.directory, embedded, index, config.name, config.seed)
    log.info("Map: %s", run.directory / EMBEDDINGS_HTML)
    metrics: dict[str, Any] = {
        "best_epoch": None,
        "val": None,
        "test": None,
        "embeddings": {
            "images": len(embedded.embeddings),
            "dimensions": int(embedded.embeddings.shape[1]),
            "sha256": compute_sha256(run.directory / EMBEDDINGS_NPY),
        },
        "weights_sha256": weights_sha256,
    }
    run.write_metrics(metrics)


def _embed_by_encoder(
    config: Config, run: Run, device: str, sources: list[Source] | None
) -> tuple[EmbeddedData, str | None]:
    """Features by the network of ``model``, and the SHA-256 of its file of weights; None of random weights."""
    network, weights_sha256 = build_encoder(config)
    data = prepare_data(config, network.image_size, sources)
    record_data(run, data)
    cache = EmbeddingCache(config.dataset.cache_dir, network.to(device), match_colour(config, data).store)
    embeddings = cache.embed(data.manifest.samples.index.to_numpy())
    return _join(data, embeddings, None), weights_sha256


def _embed_by_model(
    config: Config, run: Run, device: str, sources: list[Source] | None
) -> tuple[EmbeddedData, str | None]:
    """Features and answers by the model of ``model_uri``, and the SHA-256 of its weights."""
    bundle = load_bundle(str(fetch_model(config, run.directory / "model").bundle))
    description, network = bundle.description, require_face_network(bundle, "trainer.stages=[embed]")
    if (count := len(description.classes)) != config.dataset.classes:
        raise UserError(f"model_uri={config.model_uri}: has {count} classes; set dataset.classes={count}")
    data = prepare_data(config, network.image_size, sources)
    record_data(run, data)
    samples = data.manifest.samples
    images = convert_images(data.store, description.faces.side, description.faces.colour)
    embeddings, logits = predict_embeddings(network.to(device), images, samples.index.to_numpy())
    if not (np.isfinite(embeddings).all() and np.isfinite(logits).all()):
        raise ModelError(f"model_uri={config.model_uri}: the network's outputs are not finite; use another model")
    return _join(data, embeddings, description.calibration.compute_probabilities(logits)), description.weights_sha256


def _join(data: PreparedData, embeddings: np.ndarray, probabilities: np.ndarray | None) -> EmbeddedData:
    return EmbeddedData(
        samples=data.manifest.samples,
        classes=data.manifest.classes,
        embeddings=embeddings,
        probabilities=probabilities,
        images=data.store.images,
        images_file=_get_file(data.store.images),
    )


def _get_file(images: np.ndarray) -> str | None:
    """The file that images are mapped from."""
    name = getattr(images, "filename", None)
    return None if name is None else str(Path(name).absolute())

"""The stage embed of train.py: features of a data set by an existing model, as files and as a page."""

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
from fer.train.inputs import prepare_data, record_data

log = logging.getLogger(__name__)


def embed_data(config: Config, run: Run, device: str, sources: list[Source] | None) -> None:
    """Write embeddings of all images of the configuration's data by the model of ``model_uri``, and metrics.json.

    Args:
        config: The configuration of train.py with ``trainer.stages=[embed]``.
        run: The run.
        device: ``cpu``, ``cuda`` or ``mps``.
        sources: The data sets, where they were read already.

    Raises:
        UserError: The model has other classes than the data, or its outputs are not finite.
    """
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
    embedded = EmbeddedData(
        samples=samples,
        classes=data.manifest.classes,
        embeddings=embeddings,
        probabilities=description.calibration.compute_probabilities(logits),
        images=data.store.images,
        images_file=_get_file(data.store.images),
    )
    index = write_embeddings(run.directory, embedded, description.weights_sha256)
    log.info("Embedded %d images, %d features each: %s", *embeddings.shape, run.directory / EMBEDDINGS_NPY)
    write_projection(run.directory, embedded, index, config.name, config.seed)
    log.info("Map: %s", run.directory / EMBEDDINGS_HTML)
    metrics: dict[str, Any] = {
        "best_epoch": None,
        "val": None,
        "test": None,
        "embeddings": {
            "images": len(embeddings),
            "dimensions": int(embeddings.shape[1]),
            "sha256": compute_sha256(run.directory / EMBEDDINGS_NPY),
        },
        "weights_sha256": description.weights_sha256,
    }
    run.write_metrics(metrics)


def _get_file(images: np.ndarray) -> str | None:
    """The file that images are mapped from."""
    name = getattr(images, "filename", None)
    return None if name is None else str(Path(name).absolute())

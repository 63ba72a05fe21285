"""The encoder of a network with a head, started from a model of single faces."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError
from safetensors.torch import load_file

from fer.bundle.clip_io import ENCODER
from fer.bundle.metadata import WEIGHTS_FILE, BundleDescription, read_description
from fer.config import Config
from fer.data.image_store import convert_images
from fer.errors import ModelError, shorten_error
from fer.models.clip_network import ClipNetwork
from fer.models.fitted_heads import HeadBody
from fer.models.network import FaceNetwork, list_classifiers, load_body_state
from fer.models.temporal_network import TemporalBody
from fer.registry.resolve import fetch_model
from fer.train.inputs import PreparedData
from fer.train.model_keys import choose_model, name_key

log = logging.getLogger(__name__)


def load_encoder(config: Config, network: FaceNetwork | ClipNetwork) -> str:
    """Start the encoder of a network from the body of the model that ``model.encoder`` names.

    Its classifier is left out, so that its classes may be any; normalisation and colour become that model's. Of a
    network of single faces ``match_colour`` does the latter.

    Args:
        config: The configuration, whose model.encoder is not null.
        network: The network, whose body has an encoder with random weights.

    Returns:
        SHA-256 of the model's weights.

    Raises:
        UserError: The model cannot be fetched.
        ModelError: It is damaged, of another architecture, or itself one of clips.
    """
    uri, body = str(config.model.encoder), network.body
    assert isinstance(body, HeadBody | TemporalBody), "only these have an encoder"
    with _fetch_encoder(config) as description:
        if description.temporal is not None:
            raise ModelError(f"model.encoder={uri}: is a model of clips; name one of single faces")
        if description.architecture != network.name:
            raise ModelError(
                f"model.encoder={uri}: is {description.architecture}, and model.name={network.name}; use "
                f"model.name={description.architecture}, or another encoder"
            )
        path = description.folder / WEIGHTS_FILE
        try:
            state = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path}: cannot be loaded ({shorten_error(error)})") from None
    if description.head is not None:
        state = {key.removeprefix(ENCODER): value for key, value in state.items() if key.startswith(ENCODER)}
    classifiers = list_classifiers(cast(Any, body.encoder).pretrained_cfg)
    count = load_body_state(body.encoder, network.name, classifiers, state, f"model.encoder={uri}")
    network.set_normalisation(description.mean, description.std)
    if isinstance(network, ClipNetwork):
        network.set_gray(not description.faces.colour)
    log.info("The encoder starts from %s (%d tensors)", uri, count)
    return description.weights_sha256


@contextmanager
def _fetch_encoder(config: Config) -> Iterator[BundleDescription]:
    """The description of the model of ``model.encoder``, whose files are there until the context is left."""
    with tempfile.TemporaryDirectory(prefix="fer-encoder-") as folder:
        with name_key("model.encoder"):
            bundle = fetch_model(choose_model(config, str(config.model.encoder)), Path(folder)).bundle
            description = read_description(str(bundle))
        yield description


def match_colour(config: Config, data: PreparedData) -> PreparedData:
    """Return data whose images are gray where the encoder of a head knows gray faces alone.

    A network with a fitted head then states that it takes gray faces, and every face is brought to that first.

    Args:
        config: The configuration.
        data: The data, which are returned as they are for other networks and encoders.
    """
    store = data.store
    if config.model.kind != "embedding_head" or config.model.encoder is None or not store.colour:
        return data
    with _fetch_encoder(config) as description:
        if description.faces.colour:
            return data
    log.info("The encoder knows gray faces alone: the images become gray")
    gray = replace(store, images=convert_images(store, store.side, colour=False), colour=False)
    return replace(data, store=gray)

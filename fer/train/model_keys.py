"""Models that other keys than ``model_uri`` name, in the same forms."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fer.config import Config
from fer.errors import UserError
from fer.registry.resolve import check_model_is_there, pin_model_uri


def choose_model(config: Config, uri: str) -> Config:
    """Return the configuration with another ``model_uri``."""
    return config.model_copy(update={"model_uri": uri})


@contextmanager
def name_key(key: str) -> Iterator[None]:
    """Say ``key`` in messages about a model, which is otherwise named by ``model_uri``."""
    try:
        yield
    except UserError as error:
        raise type(error)(re.sub(r"^model_uri", key, str(error))) from None


def pin_models(config: Config) -> Config:
    """Return the configuration with URIs of teachers and encoder that will always mean the same models.

    Raises:
        UserError: There is no such model, version or alias.
        ConfigError: A URI has none of the allowed forms.
    """
    model = config.model
    with name_key("model.teacher"):
        teachers = tuple(_pin(config, uri) for uri in model.teacher)
    with name_key("model.encoder"):
        encoder = None if model.encoder is None else _pin(config, model.encoder)
    return config.model_copy(update={"model": model.model_copy(update={"teacher": teachers, "encoder": encoder})})


def check_models_are_there(config: Config) -> None:
    """Check that teachers and encoder name models, as far as this machine alone knows, without PyTorch.

    Raises:
        UserError: As ``check_model_is_there``.
    """
    with name_key("model.teacher"):
        for uri in config.model.teacher:
            check_model_is_there(choose_model(config, uri))
    if config.model.encoder is not None:
        with name_key("model.encoder"):
            check_model_is_there(choose_model(config, config.model.encoder))


def _pin(config: Config, uri: str) -> str:
    return str(pin_model_uri(choose_model(config, uri)).model_uri)

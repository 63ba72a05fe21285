"""Section `ensemble`: how several models are one, and the list of them in `model_uri`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from fer.config.base import Section, expand_local_path

# Also those of a bundle (`fer.bundle.metadata`).
MIN_MODELS, MAX_MODELS = 2, 10
ModelUri = Annotated[str, Field(min_length=1)]
ModelUris = Annotated[tuple[ModelUri, ...], Field(min_length=MIN_MODELS, max_length=MAX_MODELS)]
EnsembleWeights = Literal["equal", "validation"]


class Ensemble(Section):
    """How the models of `model_uri=[A,B,…]` are one."""

    weights: EnsembleWeights = Field(
        "equal",
        description="What each model counts in the mean of calibrated probabilities: `equal`, or `validation`, the "
        "weights of the least log-loss on validation images that all of the models' runs have predictions of; a single "
        "model is not concerned",
    )


def check_model_uri(value: Any) -> Any:
    """Return the names of one model or of several, `~` and variables in paths expanded; null as it is.

    Raises:
        ValueError: They are no texts, or too few or too many.
    """
    if value is None:
        return None
    uris = list(value) if isinstance(value, list | tuple) else [value]
    if not all(isinstance(uri, str) and uri for uri in uris):
        raise ValueError("must name a model, or be a list of such names")
    if isinstance(value, str):
        return expand_local_path(value)
    if not MIN_MODELS <= len(uris) <= MAX_MODELS:
        raise ValueError(
            f"a list, of which the mean is taken, has {MIN_MODELS} to {MAX_MODELS} models; name one without []"
        )
    if twice := next((uri for uri in uris if uris.count(uri) > 1), None):
        raise ValueError(f"names {twice} twice; ensemble.weights=validation weighs models")
    return tuple(expand_local_path(uri) for uri in uris)

"""Facial-expression experiments from one declarative configuration.

Examples:
    >>> from fer import Predictor
    >>> predictor = Predictor.load("outputs/train/2026-01-31/12-00-00-run")
    >>> predictor.predict([image])  # (images, classes) probabilities in the order of ``predictor.classes``
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer.bundle.predictor import Predictor
    from fer.config.compose import load_overrides as load_config

__all__ = ["Predictor", "__version__", "load_config"]
__version__ = "0.2.0"

# Imported when they are asked for: `import fer` brings neither PyTorch nor Hydra.
_LAZY = {"Predictor": ("fer.bundle.predictor", "Predictor"), "load_config": ("fer.config.compose", "load_overrides")}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    from fer.core.installation import describe_name_clash

    if not name.startswith("_") and (clash := describe_name_clash()):
        raise ImportError(clash)
    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""A client of the server: `fer client`, and ``Client`` for programs. It needs neither PyTorch nor the model."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer.client.client import Answer, Client

__all__ = ["Answer", "Client"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("fer.client.client"), name)

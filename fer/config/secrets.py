"""Secrets in a configuration: run.yaml, reports and trackers would keep them, so that they are refused."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fer.errors import ConfigError

_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSW|CREDENTIAL", re.IGNORECASE)
# Shorter values are no secrets, and would be found in many a text.
_MIN_LENGTH = 8
# user:password@ in an address, and parameters that sign or open it.
_ADDRESS = re.compile(
    r"://[^/\s@:]*:[^/\s@]+@|://[^/\s:@]{20,}@"
    r"|[?&](?:[\w.-]*(?:token|secret|password|passwd|signature|credential)|(?:api[-_]?|access[-_]?)?key|sig)=[^&\s]+",
    re.IGNORECASE,
)


def refuse_secrets(config: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> None:
    """Refuse texts that hold a secret of the environment.

    Args:
        config: The resolved configuration.
        environment: Variables; those whose names tell of secrets count.

    Raises:
        ConfigError: Names the key, and not the secret.
    """
    secrets = {
        value: name for name, value in environment.items() if _SECRET_NAME.search(name) and len(value) >= _MIN_LENGTH
    }
    for key, text in _iter_texts(config, ""):
        if name := next((name for value, name in secrets.items() if value in text), None):
            raise ConfigError(
                f"{key}: holds what the environment variable {name} is set to, which run.yaml and reports would keep; "
                "leave it in the environment"
            )


def refuse_secret_addresses(config: Mapping[str, Any]) -> None:
    """Refuse an address with a password or a token. Raises ConfigError, which names the key alone."""
    for key, text in _iter_texts(config, ""):
        if _ADDRESS.search(text):
            raise ConfigError(
                f"{key}: is an address with a password or token, which run.yaml and reports would keep; put that into "
                "the environment"
            )


def _iter_texts(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield dotted key and value of each text."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _iter_texts(value, f"{key}.{name}".lstrip("."))
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _iter_texts(value, key)
    elif isinstance(node, str):
        yield key, node

"""Settings of the server from environment variables, which is how containers are configured."""

from collections.abc import Mapping
from dataclasses import dataclass

from fer.errors import ConfigError

# Where SageMaker unpacks a model package, and the port that it connects to.
MODEL_DIR = "/opt/ml/model"
PORT = 8080


@dataclass(frozen=True)
class Settings:
    """Settings of the server.

    Args:
        model: Directory of an unpacked package, a bundle or a run.
        port: Port to listen on, 0 for one that is free.
        flip: Average the probabilities of each face and its mirror image.
        threads: CPU threads for one batch; None lets ONNX Runtime choose.
    """

    model: str
    port: int
    flip: bool
    threads: int | None


def load_settings(env: Mapping[str, str]) -> Settings:
    """Read SM_MODEL_DIR, PORT, FER_FLIP and FER_THREADS; an empty one counts as not set. Raises ConfigError."""
    flip = env.get("FER_FLIP") or "0"
    if flip not in ("0", "1"):
        raise ConfigError(f"FER_FLIP={flip}: must be 0 or 1")
    threads = env.get("FER_THREADS")
    return Settings(
        model=env.get("SM_MODEL_DIR") or MODEL_DIR,
        port=_parse_int("PORT", env.get("PORT") or str(PORT), 0, 65535),
        flip=flip == "1",
        threads=_parse_int("FER_THREADS", threads, 1, 1024) if threads else None,
    )


def _parse_int(name: str, text: str, minimum: int, maximum: int) -> int:
    if not (text.isdecimal() and text.isascii() and len(text) < 9 and minimum <= int(text) <= maximum):
        raise ConfigError(f"{name}={text}: must be a whole number from {minimum} to {maximum}")
    return int(text)

"""Settings of the server from environment variables, which is how containers are configured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from fer.errors import ConfigError

# Where SageMaker unpacks a model package, and the port that it connects to.
MODEL_DIR = "/opt/ml/model"
PORT = 8080
# The largest body of a request, which fer/serving/requests.py has in bytes, and how long a stopped server may go on
# with what it has begun.
MAX_BODY_MB, STOP_S = 100, 120
# Those of the predictor's runtimes that need no PyTorch.
ServedRuntime = Literal["onnx", "openvino"]


@dataclass(frozen=True)
class Settings:
    """Settings of the server.

    Args:
        model: Directory of an unpacked package, a bundle or a run.
        port: Port to listen on, 0 for one that is free.
        flip: Average the probabilities of each face and its mirror image.
        threads: CPU threads for one batch; None lets the runtime choose.
        runtime: What computes the network.
        max_body_mb: Largest body of a request, MiB.
        stop_s: Seconds from the signal to stop to the end of the process; by then whoever sent it may kill it.
    """

    model: str
    port: int
    flip: bool
    threads: int | None
    runtime: ServedRuntime
    max_body_mb: int = MAX_BODY_MB
    stop_s: int = STOP_S


def load_settings(env: Mapping[str, str]) -> Settings:
    """Read SM_MODEL_DIR, PORT and the variables FER_…; an empty one counts as not set.

    Raises:
        ConfigError: One has a value that cannot be.
    """
    flip = env.get("FER_FLIP") or "0"
    if flip not in ("0", "1"):
        raise ConfigError(f"FER_FLIP={flip}: must be 0 or 1")
    threads = env.get("FER_THREADS")
    runtime = env.get("FER_RUNTIME") or "onnx"
    if runtime not in get_args(ServedRuntime):
        raise ConfigError(f"FER_RUNTIME={runtime}: must be {' or '.join(get_args(ServedRuntime))}")
    return Settings(
        model=env.get("SM_MODEL_DIR") or MODEL_DIR,
        port=_parse_int("PORT", env.get("PORT") or str(PORT), 0, 65535),
        flip=flip == "1",
        threads=_parse_int("FER_THREADS", threads, 1, 1024) if threads else None,
        runtime=cast(ServedRuntime, runtime),
        max_body_mb=_parse_int("FER_MAX_BODY_MB", env.get("FER_MAX_BODY_MB") or str(MAX_BODY_MB), 1, MAX_BODY_MB),
        stop_s=_parse_int("FER_STOP_S", env.get("FER_STOP_S") or str(STOP_S), 5, 3600),
    )


def _parse_int(name: str, text: str, minimum: int, maximum: int) -> int:
    if not (text.isdecimal() and text.isascii() and len(text) < 9 and minimum <= int(text) <= maximum):
        raise ConfigError(f"{name}={text}: must be a whole number from {minimum} to {maximum}")
    return int(text)

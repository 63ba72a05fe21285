"""What PyTorch's two formats share: the file of facts inside, and how what was loaded is run."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from fer.export.formats.base import Runner

FACTS_FILE = "fer.json"


def build_torch_runner(module: Callable[..., Any]) -> Runner:
    """Return the runner of a module that returns a tensor or a tuple of some."""

    @torch.inference_mode()
    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        result = module(*(torch.from_numpy(np.ascontiguousarray(values)) for values in inputs.values()))
        return [output.numpy() for output in (result if isinstance(result, tuple) else (result,))]

    return run


@contextmanager
def ignore_warnings() -> Iterator[None]:
    """PyTorch warns that TorchScript is deprecated, of shapes that do not vary, and of weights that share memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

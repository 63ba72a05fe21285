"""A bundle's network in PyTorch: what half precision changes."""

from pathlib import Path

import numpy as np
import pytest

from fer.bundle.predictor import Predictor
from fer.bundle.runtimes import Runtime
from fer.errors import ModelError
from tests.helpers.networks import faces


def test_half_precision_is_close_to_full_and_not_the_same(runs: dict[str, Path]) -> None:
    images = list(faces(12, 48))
    full, half = (Predictor.load(str(runs["gray"]), half=half).predict(images) for half in (False, True))
    assert half.dtype == np.float32
    np.testing.assert_allclose(half.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(half, full, atol=2e-2)
    assert not np.array_equal(half, full)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_other_runtimes_have_no_half_precision(runtime: Runtime, runs: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match=rf"^inference\.runtime={runtime}: computes in full precision; use inf"):
        Predictor.load(str(runs["gray"]), runtime=runtime, half=True)

"""Classification on a CUDA device: the CPU's figures, in full and half precision. Skipped where there is no GPU."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fer.bundle.predictor import Predictor
from fer.config.compose import load_overrides
from fer.infer.device import describe_plan, load_predictor
from tests.helpers.networks import faces

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize(("precision", "tolerance"), [("32", 1e-4), ("16", 2e-2)])
def test_a_gpu_gives_the_probabilities_of_the_cpu(runs: dict[str, Path], precision: str, tolerance: float) -> None:
    bundle = str(runs["gray"])
    images = list(faces(300, 48))
    config = load_overrides([f"inference.precision={precision}"], "infer").inference
    predictor, plan = load_predictor(bundle, config, 1)
    assert describe_plan(plan) == {
        "runtime": "torch",
        "device": torch.cuda.get_device_name(),
        "precision": precision,
        "batch_size": 256,
    }
    ours = predictor.predict(images, batch_size=plan.batch_size)
    theirs = Predictor.load(bundle).predict(images)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=tolerance)

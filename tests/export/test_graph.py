"""The exported graph answers what the bundle's predictor does, and ensembles have none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fer.bundle.ensemble import compose_ensemble
from fer.bundle.io import Bundle, FaceFormat, load_bundle
from fer.bundle.predictor import Predictor
from fer.bundle.torch_backend import TorchNetwork
from fer.errors import ModelError
from fer.export.graph import build_graph, check_kind
from fer.metrics.calibration import Calibration
from fer.models.network import FaceNetwork
from tests.helpers.networks import faces, lively
from tests.helpers.served_runs import run_of

VECTOR = Calibration(1.0, tuple(np.linspace(0.5, 2, 7).tolist()), tuple(np.linspace(-1, 1, 7).tolist()))


def load(folder: Path, colour: bool, **options: bool) -> Bundle:
    return load_bundle(
        str(run_of(folder, lively(FaceNetwork("test_resnet", 7, 64, 0.0, **options)), FaceFormat(40, colour)))
    )


@pytest.mark.parametrize(
    ("colour", "options", "calibration"),
    [
        (False, {}, None),
        (True, {"flip": True}, VECTOR),
        (False, {"flip": True, "affect": True}, VECTOR),
        (True, {"affect": True}, None),
    ],
)
def test_the_graph_answers_as_the_predictor(
    tmp_path: Path, colour: bool, options: dict[str, bool], calibration: Calibration | None
) -> None:
    bundle = load(tmp_path, colour, **options)
    if calibration is not None:
        bundle = Bundle(bundle.network, replace(bundle.description, calibration=calibration))
    images = faces(5, 40, 3 if colour else 1)
    expected = Predictor(bundle.description, TorchNetwork(bundle)).predict_all(list(images))
    graph = build_graph(bundle)
    with torch.inference_mode():
        found = graph.module(torch.from_numpy(images))
    outputs = found if isinstance(found, tuple) else (found,)
    assert len(outputs) == len(graph.outputs)
    np.testing.assert_allclose(np.concatenate([output.numpy() for output in outputs], 1), expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.05


def test_the_facts_say_what_goes_in_and_comes_out(tmp_path: Path) -> None:
    bundle = load(tmp_path, False, affect=True)
    facts = build_graph(bundle).facts
    assert facts["input"].startswith("faces: (N, 40, 40, 1) uint8, gray")
    assert "affect: (N, 2)" in facts["output"]
    assert facts["bundle_sha256"] == bundle.description.sha256


def test_ensembles_are_refused(tmp_path: Path) -> None:
    members = [load(tmp_path / name, colour).description for name, colour in (("one", False), ("other", True))]
    check_kind(members[0])
    with pytest.raises(ModelError, match=r"is an ensemble, .* export its members one by one, or a network that has"):
        check_kind(compose_ensemble(members, ["one", "other"]))

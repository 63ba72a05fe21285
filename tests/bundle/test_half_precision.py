"""Bundles in half precision: which tensors are rounded, what it changes, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fer.bundle.half_precision import compare_precision, write_half_bundle
from fer.bundle.io import FaceFormat, load_bundle
from fer.bundle.metadata import read_description
from fer.bundle.predictor import Predictor
from fer.errors import ModelError
from fer.models.network import FaceNetwork
from tests.helpers.networks import SMALL, faces, lively
from tests.helpers.served_runs import run_of


@pytest.fixture
def bundle(network: FaceNetwork, tmp_path: Path) -> Path:
    return run_of(tmp_path / "run", network, FaceFormat(48, False)) / "bundle"


def test_kernels_are_rounded_and_vectors_stay(bundle: Path, tmp_path: Path) -> None:
    write_half_bundle(bundle, tmp_path / "half", config_sha256="1", note="more")
    full, half = (load_file(folder / "weights.safetensors") for folder in (bundle, tmp_path / "half"))
    assert full.keys() == half.keys()
    for name, tensor in full.items():
        rounded = tensor.dim() >= 2
        assert half[name].dtype == (torch.float16 if rounded else tensor.dtype)
        assert torch.equal(half[name], tensor.half() if rounded else tensor)
    before, after = read_description(str(bundle)).content, read_description(str(tmp_path / "half")).content
    assert {key for key in after if before.get(key) != after[key]} == {
        *("config_sha256", "note", "weights_precision", "weights_sha256")
    }
    assert {parameter.dtype for parameter in load_bundle(str(tmp_path / "half")).network.parameters()} == {
        torch.float32
    }


def test_what_it_changes_is_measured(bundle: Path, tmp_path: Path) -> None:
    write_half_bundle(bundle, tmp_path / "half")
    full, half = Predictor.load(str(bundle)), Predictor.load(str(tmp_path / "half"))
    images = faces(20, 48, 1)
    before, after = full.predict(list(images)), half.predict(list(images))
    labels = before.argmax(1)
    labels[:5] = (labels[:5] + 1) % 7
    difference = compare_precision(full, half, images, labels)
    assert 0 < difference.max_probability_difference == np.abs(before - after).max() < 5e-3
    assert (difference.images, difference.accuracy_full) == (20, 0.75)
    assert difference.accuracy_half == (after.argmax(1) == labels).mean()
    assert difference.changed_answers == (before.argmax(1) != after.argmax(1)).sum()
    unknown = compare_precision(full, half, images)
    assert (unknown.accuracy_full, unknown.accuracy_half) == (None, None)
    same = compare_precision(full, full, images, labels)
    assert (same.max_probability_difference, same.changed_answers) == (0, 0)


def test_statistics_beyond_float16_are_kept_and_weights_beyond_it_refused(tmp_path: Path) -> None:
    network = lively(FaceNetwork(SMALL, 7, 48, 0.0))
    state = network.body.state_dict()
    variance = next(name for name in state if name.endswith("running_var"))
    kernel = next(name for name in state if state[name].dim() == 4)
    state[variance][0] = 1e6
    network.body.load_state_dict(state)
    run = run_of(tmp_path / "run", network, FaceFormat(48, False))
    write_half_bundle(run / "bundle", tmp_path / "half")
    assert load_file(tmp_path / "half" / "weights.safetensors")[variance][0] == 1e6
    state[kernel][0, 0, 0, 0] = 1e6
    network.body.load_state_dict(state)
    run_of(run, network, FaceFormat(48, False))
    with pytest.raises(ModelError) as raised:
        write_half_bundle(run / "bundle", tmp_path / "beyond")
    assert str(raised.value) == f"{kernel}: holds a weight of 1e+06, which float16 cannot"
    assert not (tmp_path / "beyond").exists()

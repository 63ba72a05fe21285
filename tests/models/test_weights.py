"""Starting weights: the right file loads, and every wrong one is a sentence that runs no code."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fer.core.io import compute_sha256
from fer.errors import ModelError
from fer.models.network import FaceNetwork, load_pretrained_weights, read_state_dict
from tests.helpers.networks import SMALL, faces

pytestmark = pytest.mark.slow

Make = Callable[[], FaceNetwork]


def fresh(name: str = SMALL, classes: int = 7) -> FaceNetwork:
    return FaceNetwork(name, classes, 48, 0.0)


def refusal(network: FaceNetwork, path: Path, sha256: str | None = None) -> str:
    before = {key: value.clone() for key, value in network.body.state_dict().items()}
    with pytest.raises(ModelError) as raised:
        load_pretrained_weights(network, str(path), sha256)
    # Nothing is loaded by halves.
    assert all(torch.equal(value, before[key]) for key, value in network.body.state_dict().items())
    return str(raised.value)


@pytest.fixture(scope="module")
def state(network: FaceNetwork) -> dict[str, Tensor]:
    return {key: value.contiguous() for key, value in network.body.state_dict().items()}


def written(state: dict[str, Any], path: Path, form: str) -> Path:
    if form == "safetensors":
        save_file(state, path)
    elif form == "lightning":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "pth")
    return path


@pytest.mark.parametrize("form", ["safetensors", "pth", "legacy", "lightning"])
def test_the_right_file_loads(form: str, state: dict[str, Tensor], network: FaceNetwork, tmp_path: Path) -> None:
    path = written(state, tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth"), form)
    loaded = fresh()
    digest = compute_sha256(path)
    assert load_pretrained_weights(loaded, str(path), None) == digest
    assert load_pretrained_weights(loaded, str(path), digest) == digest
    images = torch.from_numpy(faces(3, 48))
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(images), network(images))


@pytest.mark.parametrize(("name", "two"), [(SMALL, False), ("repvit_m0_9", True)])
def test_a_classifier_of_another_size_starts_at_random(name: str, two: bool, tmp_path: Path) -> None:
    published = fresh(name, 1000)
    path = written(dict(published.body.state_dict()), tmp_path / "w.pth", "pth")
    network = fresh(name)
    own = {key: value.clone() for key, value in network.body.state_dict().items()}
    load_pretrained_weights(network, str(path), None)
    heads = {f"{module}.{kind}" for module in network.classifier_names for kind in ("weight", "bias")}
    assert len(heads) == (4 if two else 2)
    for key, value in network.body.state_dict().items():
        assert torch.equal(value, own[key] if key in heads else published.body.state_dict()[key]), key


def test_published_imagenet_weights_load(imagenet_weights: Path) -> None:
    published = load_file(imagenet_weights)
    thousand = fresh("mobilenetv2_100", 1000)
    load_pretrained_weights(thousand, str(imagenet_weights), None)
    assert torch.equal(thousand.body.state_dict()["classifier.weight"], published["classifier.weight"])
    seven = fresh("mobilenetv2_100")
    load_pretrained_weights(seven, str(imagenet_weights), None)
    assert torch.equal(seven.body.state_dict()["conv_head.weight"], published["conv_head.weight"])
    assert seven.body.state_dict()["classifier.weight"].shape == (7, 1280)


def test_weights_of_another_architecture_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = written(state, tmp_path / "w.safetensors", "safetensors")
    network = fresh("test_resnet")
    message = refusal(network, path)
    assert message.startswith(f"model.weights={path}: not weights of test_resnet (")
    assert message.endswith("choose the matching model.name, or other weights")
    wider = refusal(fresh("mobilenetv2_050"), path)
    assert "tensors do not fit, 0 are missing, such as " in wider


@pytest.mark.parametrize("change", ["missing", "additional", "other shape"])
def test_weights_that_fit_only_in_part_are_refused(change: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    changed = dict(state)
    wrong = {"missing": "(0 tensors do not fit, 1 are missing, such as conv_stem.weight)"}.get(change)
    if change == "missing":
        del changed["conv_stem.weight"]
    elif change == "additional":
        changed["extra.weight"] = torch.zeros(2)
        wrong = "(1 tensors do not fit, 0 are missing, such as extra.weight)"
    else:
        changed["conv_stem.weight"] = torch.zeros(2, 3, 3, 3)
        wrong = "(1 tensors do not fit, 0 are missing, such as conv_stem.weight)"
    path = written(changed, tmp_path / "w.safetensors", "safetensors")
    assert refusal(fresh(), path) == (
        f"model.weights={path}: not weights of {SMALL} {wrong}; choose the matching model.name, or other weights"
    )


def test_another_sha256_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = written(state, tmp_path / "w.safetensors", "safetensors")
    assert refusal(fresh(), path, "0" * 64) == (
        f"model.weights={path}: has the SHA-256 {compute_sha256(path)}, but model.weights_sha256 asks for {'0' * 64}"
    )


@pytest.mark.parametrize("form", ["safetensors", "pth", "legacy"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_file_is_a_sentence(form: str, kept: float, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = written(state, tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth"), form)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    message = refusal(fresh(), path)
    assert message.startswith(
        (f"model.weights={path}: cannot be read as weights (", f"model.weights={path}: is damaged")
    )


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><p>404", b"version https://git-lfs", bytes(100), b"\x80\x02}"])
def test_files_of_other_kinds_are_a_sentence(content: bytes, tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        message = refusal(fresh(), tmp_path / name)
        assert message.startswith(f"model.weights={tmp_path / name}: ")
        # PyTorch's own words advise to load such a file with safety off.
        assert "weights_only" not in message


class Hostile:
    """Makes a directory when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["pth", "legacy"])
def test_a_file_that_would_run_code_is_refused_and_does_not(
    form: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    trap = tmp_path / "sprung"
    path = written({**state, "extra": Hostile(trap)}, tmp_path / "w.pth", form)
    assert refusal(fresh(), path) == (
        f"model.weights={path}: is damaged, or holds more than tensors, which could run code; save the weights' "
        "state_dict alone"
    )
    assert not trap.exists()
    # The trap is real: loading without care springs it.
    torch.load(path, weights_only=False)
    assert trap.is_dir()


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    assert "holds more than tensors" in refusal(fresh(), tmp_path / "w.pth")


@pytest.mark.parametrize(
    "content", [[torch.zeros(2)], {"a": 1}, {"state_dict": {"a": [torch.zeros(1)]}}, torch.zeros(2)]
)
def test_a_file_without_a_table_of_tensors_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError) as raised:
        read_state_dict(tmp_path / "w.pth")
    assert str(raised.value) == f"model.weights={tmp_path / 'w.pth'}: holds no table of tensors"

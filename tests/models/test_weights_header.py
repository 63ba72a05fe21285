"""Starting weights are known by the header of their file, without PyTorch."""

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from fer.errors import ModelError
from fer.models.layouts import LAYOUTS
from fer.models.weights_header import check_weights_header, compute_layout, read_shapes
from tests.helpers.paths import PROJECT


def write_weights(path: Path, name: str, classes: int = 10) -> Path:
    save_file(timm.create_model(name, num_classes=classes).state_dict(), path)
    return path


@pytest.mark.parametrize(
    "name", ["mobilenetv2_050", "mobilenetv3_small_050", "resnet18", "convnext_atto", "ghostnet_100"]
)
def test_the_layouts_are_those_of_timm(name: str) -> None:
    with torch.device("meta"):
        state = timm.create_model(name, num_classes=3).state_dict()
    assert compute_layout({key: tuple(value.shape) for key, value in state.items()}) == LAYOUTS[name]


def test_weights_of_the_same_network_pass_whatever_their_classifier(tmp_path: Path) -> None:
    for classes in (7, 1000):
        check_weights_header(write_weights(tmp_path / "w.safetensors", "mobilenetv2_050", classes), "mobilenetv2_050")


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "w.safetensors", "mobilenetv2_050")
    with pytest.raises(ModelError, match="not weights of mobilenetv2_100.*use model.name=mobilenetv2_050"):
        check_weights_header(path, "mobilenetv2_100")
    # What is not in the table is left to the network itself.
    check_weights_header(path, "vit_tiny_patch16_224")


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-7], lambda data: data + b"x", lambda _: b"", lambda _: b"text " * 40]
)
def test_a_damaged_file_is_a_sentence(damage: object, tmp_path: Path) -> None:
    path = write_weights(tmp_path / "w.safetensors", "mobilenetv2_050")
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ModelError, match="cannot be read as weights"):
        read_shapes(path)


def test_nothing_heavy_is_imported_for_it() -> None:
    heavy = "('torch', 'cv2', 'pandas', 'timm')"
    code = f"import sys, fer.train.preconditions; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

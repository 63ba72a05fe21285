"""The network: its preprocessing, its logits, and which names it takes."""

import math
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax
from timm.models import _registry
from torch import nn

from fer.errors import ModelError
from fer.models.network import FaceNetwork, create_body, predict_logits
from tests.helpers.networks import SMALL, faces


def logits_of(network: FaceNetwork, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(images)


def test_bytes_and_floats_gray_and_repeated_gray_are_the_same(network: FaceNetwork) -> None:
    gray = torch.from_numpy(faces(6, 48, channels=1))
    expected = logits_of(network, gray)
    assert expected.shape == (6, 7)
    assert expected.std(0).min() > 0.1
    torch.testing.assert_close(logits_of(network, gray.expand(-1, -1, -1, 3)), expected)
    torch.testing.assert_close(logits_of(network, gray.permute(0, 3, 1, 2).float() / 255), expected)
    colour = torch.from_numpy(faces(6, 48))
    as_float = logits_of(network, colour.permute(0, 3, 1, 2).float() / 255)
    torch.testing.assert_close(as_float, logits_of(network, colour))
    assert (as_float - expected).abs().max() > 0.1


def test_channels_are_told_apart(network: FaceNetwork) -> None:
    colour = torch.from_numpy(faces(6, 48))
    assert (logits_of(network, colour) - logits_of(network, colour.flip(-1))).abs().max() > 0.1


def test_the_normalisation_is_that_of_the_architecture(network: FaceNetwork) -> None:
    """ImageNet's means and deviations for one, 0.5 for the other."""
    black, white = torch.zeros(1, 48, 48, 1, dtype=torch.uint8), torch.full((1, 48, 48, 3), 255, dtype=torch.uint8)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(network.preprocess(black)[0, :, 5, 7], -mean / deviation, rtol=1e-5)
    np.testing.assert_allclose(network.preprocess(white)[0, :, 5, 7], (1 - mean) / deviation, rtol=1e-5)
    other = FaceNetwork("tf_mobilenetv3_small_minimal_100", 7, 48, 0.0)
    assert other.preprocess(black).unique().tolist() == [-1.0]
    assert other.preprocess(white).unique().tolist() == [1.0]


@pytest.mark.parametrize("side", [24, 96, 100])
def test_other_sizes_are_resized_smoothly(network: FaceNetwork, side: int) -> None:
    images = torch.from_numpy(faces(3, side + side % 8, seed=2)[:, :side, :side].copy())
    resized = F.interpolate(images.permute(0, 3, 1, 2).float() / 255, (48, 48), mode="bilinear", antialias=True)
    assert network.preprocess(images).shape == (3, 3, 48, 48)
    torch.testing.assert_close(logits_of(network, images), logits_of(network, resized))


def test_shrinking_averages_and_picks_no_single_pixels(network: FaceNetwork) -> None:
    board = (np.indices((96, 96)).sum(0) % 2 * 255).astype(np.uint8)[None, ..., None]
    shown = network.preprocess(torch.from_numpy(board)) * network.std + network.mean
    assert shown[..., 2:-2, 2:-2].min() > 0.49
    assert shown[..., 2:-2, 2:-2].max() < 0.51


@pytest.mark.parametrize(("mean", "std"), [([0.5], [0.5]), ([0.5] * 3, [0.5, 0.5, 0.0]), ([0.5] * 3, [0.5] * 2)])
def test_an_impossible_normalisation_is_refused(network: FaceNetwork, mean: list[float], std: list[float]) -> None:
    with pytest.raises(ValueError, match="^normalisation takes three means and three deviations above 0$"):
        network.set_normalisation(mean, std)


def test_logits_do_not_depend_on_the_batch(network: FaceNetwork) -> None:
    images = faces(37, 48)
    rows = np.arange(37)
    expected = predict_logits(network, images, rows, batch_size=37)
    assert expected.dtype == np.float32
    for size in (1, 2, 16, 36, 500):
        found = predict_logits(network, images, rows, batch_size=size)
        # What is promised to 1e-5 are probabilities; logits are up to ten times as large.
        np.testing.assert_allclose(softmax(found, axis=1), softmax(expected, axis=1), atol=1e-5)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_rows_are_judged_in_the_order_that_is_asked_for(make_network: Callable[[], FaceNetwork]) -> None:
    images = faces(10, 48)
    network = make_network()
    network.train()
    some = predict_logits(network, images, np.array([7, 0, 7]))
    assert not network.training
    expected = predict_logits(network, images, np.arange(10))
    np.testing.assert_allclose(some, expected[[7, 0, 7]], atol=1e-4)
    assert predict_logits(network, images, np.array([], int)).shape == (0, 7)


def test_the_memory_order_changes_nothing() -> None:
    images = torch.from_numpy(faces(4, 48))
    found = []
    for channels_last in (True, False):
        torch.manual_seed(3)
        network = FaceNetwork(SMALL, 7, 48, 0.0, channels_last).eval()
        assert network.preprocess(images).is_contiguous(memory_format=network.memory_format)
        found.append(logits_of(network, images))
    assert network.memory_format == torch.contiguous_format
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


def test_dropout_acts_in_training_alone() -> None:
    images = torch.from_numpy(faces(8, 48))
    network = FaceNetwork(SMALL, 7, 48, 0.5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    network.train()
    assert (logits_of(network, images) - logits_of(network, images)).abs().max() > 1e-4
    network.eval()
    assert torch.equal(logits_of(network, images), logits_of(network, images))


def test_the_first_loss_is_that_of_guessing() -> None:
    torch.manual_seed(0)
    network = FaceNetwork(SMALL, 7, 48, 0.0)
    logits = logits_of(network.train(), torch.from_numpy(faces(32, 48)))
    loss = F.cross_entropy(logits, torch.arange(32) % 7)
    assert loss.item() == pytest.approx(math.log(7), abs=0.1)


@pytest.mark.parametrize("classes", [7, 8])
@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "mobilenetv3_small_050"])
def test_architectures_of_every_family_take_any_size(name: str, classes: int) -> None:
    network = FaceNetwork(name, classes, 64, 0.1).eval()
    assert logits_of(network, torch.from_numpy(faces(2, 40, 1))).shape == (2, classes)


def test_some_architectures_have_two_classifiers(network: FaceNetwork) -> None:
    assert network.classifier_names == ("classifier",)
    two = FaceNetwork("repvit_m0_9", 7, 32, 0.0)
    assert two.classifier_names == ("head.head.l", "head.head_dist.l")
    assert all(two.body.get_submodule(name).out_features == 7 for name in two.classifier_names)


def test_a_new_network_is_ready_to_train() -> None:
    assert all(module.training for module in FaceNetwork(SMALL, 7, 48, 0.1).modules())


def test_an_architecture_without_logits_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders give a map of features; those of timm are too large for a test, so this one is put among them."""

    def features(**_: Any) -> nn.Module:
        return nn.Conv2d(3, 7, 3)

    monkeypatch.setitem(_registry._model_entrypoints, "features", features)
    with pytest.raises(ModelError) as raised:
        create_body("features", 7, 48, 0.0)
    assert str(raised.value) == (
        "model.name=features: cannot be built for 48 pixels (it gives an output of (1, 7, 46, 46), not logits "
        "of 7 classes)"
    )


def test_a_size_that_an_architecture_does_not_take_is_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"^model.name=levit_128s: cannot be built for 40 pixels \(.+\)$"):
        create_body("levit_128s", 7, 40, 0.0)
    with pytest.raises(ModelError, match=r"cannot be built for 48 pixels \(Invalid pretrained tag \(nonsense\)"):
        create_body("test_resnet.nonsense", 7, 48, 0.0)


@pytest.mark.parametrize(
    "form", ["hf_hub:{}", "hf-hub:{}", "local-dir:{}", "{}", "mobilenetv2_1O0", "timm/resnet18", ""]
)
def test_only_names_of_timm_are_ever_resolved(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """timm itself would fetch a repository, or read a directory, that a name points to."""

    def connect(*_: object) -> None:
        raise AssertionError("a name opened a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    (tmp_path / "config.json").write_text('{"architecture": "test_resnet", "num_classes": 7}')
    name = form.format(tmp_path)
    with pytest.raises(ModelError) as raised:
        create_body(name, 7, 48, 0.0)
    assert str(raised.value) == f"model.name={name}: no architecture of timm has this name"


def test_the_mean_over_a_face_and_its_mirror_image(network: FaceNetwork) -> None:
    both = FaceNetwork(SMALL, 7, 48, 0.0, flip=True).eval()
    both.body.load_state_dict(network.body.state_dict())
    images = torch.from_numpy(faces(4, 48))
    expected = (logits_of(network, images) + logits_of(network, images.flip(2))) / 2
    torch.testing.assert_close(logits_of(both, images), expected)
    torch.testing.assert_close(logits_of(both, images.flip(2)), expected)
    assert (expected - logits_of(network, images)).abs().max() > 0.01


def test_mirror_images_take_no_part_in_training(make_network: Callable[[], FaceNetwork]) -> None:
    plain, both = make_network(), make_network()
    both.flip = True
    images = torch.from_numpy(faces(4, 48))
    assert torch.equal(plain(images), both(images))

"""Networks of clips: masks, a frozen encoder, gray, and what a checkpoint keeps."""

import numpy as np
import pytest
import torch

from fer.config import temporal
from fer.errors import ModelError
from fer.models import clip_format
from fer.models.clip_format import TemporalFormat
from fer.models.clip_network import ClipNetwork, predict_clip_outputs
from fer.models.temporal_network import TemporalNetwork
from fer.models.video3d import VideoNetwork, download_video_weights
from tests.helpers.clip_networks import CLASSES, SIZE, TINY, build_clip_network, build_video_network, draw_windows


@pytest.fixture(scope="module", params=["temporal", "video3d"])
def network(request: pytest.FixtureRequest) -> ClipNetwork:
    return build_clip_network() if request.param == "temporal" else build_video_network()


@torch.no_grad()
def test_pixels_of_frames_that_are_not_there_change_no_bit(network: ClipNetwork) -> None:
    clips, mask = draw_windows()
    other = clips.clone()
    other[~mask] = 255
    assert torch.equal(network(clips, mask), network(other, mask))
    whole = torch.ones_like(mask)
    assert not torch.allclose(network(clips, whole), network(other, whole), atol=1e-3)


@torch.no_grad()
def test_the_two_steps_are_the_whole(network: ClipNetwork) -> None:
    clips, mask = draw_windows()
    features = network.encode(clips.flatten(0, 1)).unflatten(0, mask.shape)
    assert features.shape[2] == network.features
    torch.testing.assert_close(network.judge(features, mask), network(clips, mask))
    pixels = clips.permute(0, 1, 4, 2, 3).float() / 255
    torch.testing.assert_close(network(pixels, mask), network(clips, mask))


def test_windows_of_a_store_are_predicted_in_any_batch(network: ClipNetwork) -> None:
    clips, mask = draw_windows()
    images = clips.flatten(0, 1).numpy()
    frames = np.arange(len(images)).reshape(mask.shape)
    single = predict_clip_outputs(network, images, frames, mask.numpy(), batch_size=1)
    np.testing.assert_allclose(single, predict_clip_outputs(network, images, frames, mask.numpy()), atol=1e-5)
    assert predict_clip_outputs(network, images, frames[:0], mask.numpy()[:0]).shape == (0, len(CLASSES))


def test_a_frozen_encoder_keeps_weights_and_statistics_and_costs_no_gradient() -> None:
    temporal_format = TemporalFormat("temporal", 6, 0.125, "causal", "gru", 16, 1)
    network = TemporalNetwork(TINY, 3, SIZE, 0.1, temporal_format, head_drop_rate=0.1, frozen=True).train()
    before = {name: value.clone() for name, value in network.body.encoder.state_dict().items()}
    clips, mask = draw_windows()
    network(clips, mask).sum().backward()
    assert all(parameter.grad is None for parameter in network.body.encoder.parameters())
    assert not network.body.encoder.training and network.body.head.training
    after = network.body.encoder.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert TemporalNetwork(TINY, 3, SIZE, 0.1, temporal_format).body.encoder.training


@torch.no_grad()
def test_a_gray_encoder_sees_colour_in_gray_and_a_checkpoint_keeps_that() -> None:
    clips, mask = draw_windows()
    network = build_clip_network()
    network.set_gray(True)
    network.set_normalisation((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    luma = (clips.float() @ torch.tensor([0.299, 0.587, 0.114]))[..., None] / 255
    torch.testing.assert_close(network(luma.permute(0, 1, 4, 2, 3), mask), network(clips, mask))
    copy = build_clip_network()
    copy.load_state_dict(network.state_dict())
    assert copy.format.gray
    assert torch.equal(copy(clips, mask), network(clips, mask))


def test_the_answer_for_a_window_is_the_mean_of_those_for_its_frames() -> None:
    network = build_clip_network("lstm")
    clips, mask = draw_windows()
    frames = network.compute_frame_outputs(clips, mask)
    means = torch.stack([frames[row][mask[row]].mean(0) for row in range(len(mask))])
    torch.testing.assert_close(means, network(clips, mask))


def test_configuration_and_bundles_know_the_same_networks() -> None:
    assert temporal.VIDEO_ARCHITECTURES == clip_format.VIDEO_ARCHITECTURES
    with pytest.raises(ModelError, match="allowed are r3d_18"):
        VideoNetwork("resnet50", 3, SIZE, 0.0, TemporalFormat("video3d", 6, 0.125, "causal"))


def test_weights_that_cannot_be_fetched_are_one_sentence(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError('invalid hash value (expected "b3b3357e", got "00000000")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(ModelError, match="the weights of r3d_18 cannot be fetched .*invalid hash"):
        download_video_weights("r3d_18")

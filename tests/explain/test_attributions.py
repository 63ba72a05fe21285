"""Attribution maps: what they add up to, what they equal by hand, and on what they do not depend."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fer.errors import ModelError, UserError
from fer.explain import attributions
from fer.explain.attributions import METHODS, TOLERANCE, Explainer, average_by_class
from fer.explain.feature_map import find_feature_map
from fer.explain.overlay import AGAINST, FOR, draw_overlay
from fer.explain.pipeline import choose_methods
from fer.models.embeddings import predict_embeddings
from fer.models.network import FaceNetwork
from tests.helpers.networks import faces, lively, one_thread

pytestmark = pytest.mark.slow

CLASSES = [2, 0, 5]


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def resnet() -> FaceNetwork:
    return lively(FaceNetwork("test_resnet", 7, 96, 0.0))


def test_integrated_gradients_add_up_to_the_difference_of_the_logits(resnet: FaceNetwork) -> None:
    explainer = Explainer(resnet)
    inputs = explainer.prepare(faces(3, 48))
    found = explainer.explain("integrated_gradients", inputs, CLASSES)
    with torch.no_grad():
        difference = resnet.body(inputs) - resnet.body(torch.zeros_like(inputs))
    expected = difference[range(3), CLASSES].numpy()
    assert np.abs(expected).min() > 0.05
    assert found.maps.shape == (3, 96, 96)
    np.testing.assert_allclose(found.differences, expected, atol=1e-5)
    np.testing.assert_allclose(found.maps.sum((1, 2)), expected, rtol=TOLERANCE)


def test_more_points_are_taken_where_the_attributions_do_not_add_up(resnet: FaceNetwork) -> None:
    inputs = Explainer(resnet).prepare(faces(3, 48))

    def compute_error(steps: int, max_steps: int) -> float:
        found = Explainer(resnet, 0, steps, max_steps).explain("integrated_gradients", inputs, CLASSES)
        assert found.differences is not None
        return float(np.abs(found.maps.sum((1, 2)) / found.differences - 1).max())

    assert compute_error(2, 2) > TOLERANCE > compute_error(2, 256)


def test_on_a_linear_network_gradients_are_its_weights() -> None:
    network = FaceNetwork("test_resnet", 7, 64, 0.0)
    network.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 7))
    explainer = Explainer(network)
    inputs = explainer.prepare(faces(2, 64))
    weights = network.body[1].weight.detach().view(7, 3, 64, 64)
    expected = (weights[[1, 4]] * inputs).sum(1).numpy()
    found = explainer.explain("integrated_gradients", inputs, [1, 4]).maps
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_grad_cam_weighs_the_channels_of_the_last_feature_map_by_the_classifier(resnet: FaceNetwork) -> None:
    """Behind the map stand only the mean over its cells and a linear classifier, so the gradient is known."""
    explainer = Explainer(resnet)
    inputs = explainer.prepare(faces(3, 48))
    body: object = resnet.body
    with torch.no_grad():
        features: Tensor = body.forward_features(inputs)  # type: ignore[attr-defined]
        weights = body.get_classifier().weight[CLASSES]  # type: ignore[attr-defined]
        cells = features.shape[2] * features.shape[3]
        coarse = torch.relu((features * weights[:, :, None, None]).sum(1, keepdim=True) / cells)
        expected = nn.functional.interpolate(coarse, (96, 96), mode="bilinear")[:, 0].numpy()
    found = explainer.explain("grad_cam", inputs, CLASSES)
    assert expected.max() > 0
    np.testing.assert_allclose(found.maps, expected, atol=1e-4 * expected.max())
    assert found.differences is None


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_the_same_again_and_depends_on_no_other_picture(resnet: FaceNetwork, method: str) -> None:
    explainer = Explainer(resnet, seed=7, steps=8, max_steps=8)
    inputs = explainer.prepare(faces(3, 48))
    states = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
    first = explainer.explain(method, inputs, CLASSES).maps
    np.testing.assert_array_equal(explainer.explain(method, inputs, CLASSES).maps, first)
    np.testing.assert_array_equal(explainer.explain(method, inputs[2:], CLASSES[2:]).maps, first[2:])
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert np.random.get_state()[1].tolist() == states[1]


def test_the_seed_changes_what_is_sampled(resnet: FaceNetwork) -> None:
    inputs = Explainer(resnet).prepare(faces(1, 48))
    first, second = (Explainer(resnet, seed, 8).explain("gradient_shap", inputs, [1]).maps for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_the_pictures_are_those_that_the_network_sees(resnet: FaceNetwork) -> None:
    explainer = Explainer(resnet)
    images = faces(2, 96)
    np.testing.assert_array_equal(explainer.restore_pictures(explainer.prepare(images)), images)


@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet", "test_resnet", "test_byobnet", "test_nfnet"])
def test_any_convolutional_architecture_has_a_map(name: str) -> None:
    network = FaceNetwork(name, 7, 96, 0.0)
    found = find_feature_map(network)
    assert (found.height, found.width) == (3, 3)
    explainer = Explainer(network)
    assert explainer.explain("grad_cam", explainer.prepare(faces(1, 48)), [3]).maps.shape == (1, 96, 96)


def test_frozen_weights_are_explained_too(resnet: FaceNetwork) -> None:
    explainer = Explainer(resnet)
    inputs = explainer.prepare(faces(1, 48))
    expected = explainer.explain("grad_cam", inputs, [2]).maps
    resnet.requires_grad_(False)
    try:
        np.testing.assert_allclose(explainer.explain("grad_cam", inputs, [2]).maps, expected, atol=1e-6)
    finally:
        resnet.requires_grad_(True)


def test_a_transformer_has_no_map_and_is_explained_by_the_other_methods() -> None:
    network = FaceNetwork("test_vit", 7, 160, 0.0)
    with pytest.raises(ModelError, match=r"^test_vit: Grad-CAM needs a convolutional feature map, .*transformers"):
        find_feature_map(network)
    explainer = Explainer(network, steps=2, max_steps=2)
    methods, notes = choose_methods(explainer)
    assert methods == ["integrated_gradients", "gradient_shap"]
    assert len(notes) == 1
    found = explainer.explain("integrated_gradients", explainer.prepare(faces(1, 48)), [0])
    assert np.isfinite(found.maps).all()


def test_a_map_of_one_cell_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^test_resnet: at 32 pixels the last feature map is a single cell"):
        find_feature_map(FaceNetwork("test_resnet", 7, 32, 0.0))


def test_a_missing_library_is_a_sentence(resnet: FaceNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer.core.extras._is_importable", lambda name: name != "captum")
    with pytest.raises(UserError, match=r"explanations: needs captum; install it with pip install"):
        Explainer(resnet)


def test_larger_pictures_are_computed_in_smaller_batches() -> None:
    sizes = {side: Explainer(FaceNetwork("test_resnet", 7, side, 0.0)).batch_size for side in (112, 224, 448)}
    assert sizes == {112: attributions.BATCH, 224: attributions.BATCH // 4, 448: attributions.BATCH // 16}


def test_averages_give_each_face_the_same_weight() -> None:
    maps = np.array([[[1.0, 0.0]], [[0.0, 300.0]], [[-2.0, 2.0]], [[0.0, 0.0]]])
    averages = average_by_class(maps, [4, 4, 1, 1])
    assert {label: count for label, (_, count) in averages.items()} == {1: 2, 4: 2}
    np.testing.assert_allclose(averages[4][0], [[0.5, 0.5]])
    np.testing.assert_allclose(averages[1][0], [[-0.25, 0.25]])


def test_an_overlay_shows_both_directions_and_nothing_where_there_is_nothing() -> None:
    picture = np.full((56, 56, 3), 100, np.uint8)
    values = np.zeros((56, 56))
    values[:20], values[36:] = 1.0, -1.0
    drawn = draw_overlay(picture, values).astype(float)
    assert np.abs(drawn[28, 28] - 100).max() <= 1
    for row, colour in ((5, FOR), (50, AGAINST)):
        np.testing.assert_allclose(drawn[row, 28], 0.25 * 100 + 0.75 * colour, atol=1)
    np.testing.assert_array_equal(draw_overlay(picture, np.zeros((56, 56))), picture)
    np.testing.assert_array_equal(draw_overlay(picture, np.full((56, 56), 3.0), coarse=True), picture)


def test_a_network_that_sees_both_sides_is_explained_by_both() -> None:
    network = lively(FaceNetwork("test_resnet", 7, 96, 0.0, flip=True))
    explainer = Explainer(network, steps=32, max_steps=256)
    images = faces(2, 48)
    inputs, mirrored = explainer.prepare(images), explainer.prepare(images[:, :, ::-1])
    found = explainer.explain("integrated_gradients", inputs, [2, 0])
    with torch.no_grad():
        logits = network(torch.from_numpy(images))
    expected = logits[range(2), [2, 0]].numpy() - network.body(torch.zeros(1, 3, 96, 96))[0, [2, 0]].detach().numpy()
    np.testing.assert_allclose(found.differences, expected, atol=1e-4)
    np.testing.assert_allclose(found.maps.sum((1, 2)), expected, rtol=TOLERANCE)
    for method in ("grad_cam", "integrated_gradients"):
        first, second = (explainer.explain(method, side, [2, 0]).maps for side in (inputs, mirrored))
        np.testing.assert_allclose(first, second[:, :, ::-1], atol=1e-2 * np.abs(first).max())
    embeddings, outputs = predict_embeddings(network, images, np.arange(2))
    classifier = network.body.get_classifier()  # type: ignore[operator]
    np.testing.assert_allclose(outputs, logits.numpy(), atol=1e-5)
    np.testing.assert_allclose(classifier(torch.from_numpy(embeddings)).detach().numpy(), logits.numpy(), atol=1e-4)

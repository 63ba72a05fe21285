"""The check with shuffled weights: real maps change, and a method that ignores the network is found out."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from fer.explain import sanity
from fer.explain.attributions import METHODS, Attributions, Explainer
from fer.explain.sanity import ALL, PARTS, SIMILAR, SanityCheck, check_sanity, correlate_ranks
from fer.models.network import FaceNetwork
from tests.helpers.networks import faces, lively, one_thread

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def check() -> SanityCheck:
    with one_thread():
        explainer = Explainer(lively(FaceNetwork("test_resnet", 7, 64, 0.0)), seed=1, steps=8, max_steps=8)
        return check_sanity(explainer, explainer.prepare(faces(3, 48)), [1, 4, 2], list(METHODS))


@pytest.mark.parametrize("method", METHODS)
def test_maps_change_when_weights_are_shuffled(check: SanityCheck, method: str) -> None:
    correlations = {row.part: row.correlation for row in check.rows if row.method == method}
    assert list(correlations) == list(PARTS)
    assert abs(correlations[ALL]) < SIMILAR
    assert check.maps[method].shape == (3, 64, 64)
    assert method not in check.list_suspects()


class EdgeDetector(Explainer):
    """Shows the picture, whatever the network."""

    def explain(self, method: str, inputs: Tensor, targets: Sequence[int]) -> Attributions:
        return Attributions(inputs.sum(1).numpy(), None)


def test_a_method_that_ignores_the_network_is_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity, "Explainer", EdgeDetector)
    explainer = EdgeDetector(FaceNetwork("test_resnet", 7, 48, 0.0))
    found = check_sanity(explainer, explainer.prepare(faces(2, 48)), [0, 1], ["grad_cam"])
    assert [row.correlation for row in found.rows] == [1.0] * len(PARTS)
    assert found.list_suspects() == ["grad_cam"]


class Blank(Explainer):
    """Finds nothing that speaks for any class."""

    def explain(self, method: str, inputs: Tensor, targets: Sequence[int]) -> Attributions:
        return Attributions(np.zeros((len(inputs), 48, 48)), None)


def test_empty_maps_are_not_suspected_but_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity, "Explainer", Blank)
    explainer = Blank(FaceNetwork("test_resnet", 7, 48, 0.0))
    found = check_sanity(explainer, explainer.prepare(faces(2, 48)), [0, 1], ["grad_cam"])
    assert (found.list_suspects(), found.empty) == ([], ["grad_cam"])


def test_the_network_itself_stays_as_it_was() -> None:
    with one_thread():
        network = lively(FaceNetwork("test_resnet", 7, 64, 0.0))
        before = {name: value.clone() for name, value in network.state_dict().items()}
        explainer = Explainer(network, steps=2, max_steps=2)
        inputs = explainer.prepare(faces(1, 48))
        first, second = (check_sanity(explainer, inputs, [3], ["gradient_shap"]).rows for _ in range(2))
    assert first == second
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_ranks_of_flat_maps() -> None:
    flat, ramp = np.ones((4, 4)), np.arange(16.0).reshape(4, 4)
    assert correlate_ranks(flat, ramp) == 0
    assert correlate_ranks(flat, 2 * flat) == 1
    assert correlate_ranks(ramp, ramp**3) == pytest.approx(1)
    assert correlate_ranks(ramp, -ramp) == pytest.approx(-1)

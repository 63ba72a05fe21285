"""The sanity check of attribution maps (arXiv:1810.03292): they must change when what was learnt is destroyed."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fer.core.progress import track_progress
from fer.explain.attributions import Explainer
from fer.models.fitted_heads import HeadBody
from fer.models.network import FaceNetwork

# Part of the layers, counted from the classifier, whose weights are shuffled; all layers come last.
PARTS = {"the classifier": 0.0, "the last half": 0.5, "all layers": 1.0}
ALL = "all layers"
# One shuffled network may look at some corner of every picture.
SHUFFLES = 3
# Above it, maps of a network that knows nothing are called like those of the trained one.
SIMILAR = 0.5
# So many pictures, from which the normalisation of shuffled layers learns its statistics.
_SETTLING_PICTURES = 16


@dataclass(frozen=True)
class SanityRow:
    """Maps of the trained network against those of one whose weights are partly shuffled.

    Attributes:
        method: One of METHODS.
        part: Which layers are shuffled, a key of PARTS.
        correlation: Spearman's rank correlation of the maps, averaged over the pictures and SHUFFLES.
        absolute: The same of the maps' absolute values.
    """

    method: str
    part: str
    correlation: float
    absolute: float


@dataclass(frozen=True)
class SanityCheck:
    """The outcome of the check.

    Attributes:
        rows: A row a method and part.
        pictures: How many pictures it was made with.
        maps: Method: the maps (N, side, side) of a network that is shuffled as a whole.
        empty: Methods whose maps of the trained network are the same everywhere: there is nothing to compare.
    """

    rows: list[SanityRow]
    pictures: int
    maps: dict[str, np.ndarray]
    empty: list[str]

    def list_suspects(self) -> list[str]:
        """Methods whose maps stay as they were although all weights are shuffled."""
        found = [row.method for row in self.rows if row.part == ALL and abs(row.correlation) > SIMILAR]
        return [method for method in found if method not in self.empty]


def check_sanity(explainer: Explainer, inputs: Tensor, targets: Sequence[int], methods: Sequence[str]) -> SanityCheck:
    """Compare maps of a network with those of the same network with shuffled weights.

    Weights are shuffled from the classifier downwards, each tensor in itself, and the batch statistics of shuffled
    layers learnt anew.

    Args:
        explainer: Explains the trained network, with the seed of the shuffling.
        inputs: (N, 3, side, side), normalised.
        targets: Index of the class to explain, for each picture.
        methods: Keys of METHODS.
    """
    trained = {method: explainer.explain(method, inputs, targets).maps for method in methods}
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    maps = {}
    networks = _iter_shuffled_networks(explainer.network, inputs, explainer.seed)
    for part, network in track_progress(networks, len(PARTS) * SHUFFLES, "Check with shuffled weights", "networks"):
        shuffled = Explainer(network, explainer.seed, explainer.steps, explainer.steps)
        for method in methods:
            maps[method] = shuffled.explain(method, inputs, targets).maps
            found.setdefault((method, part), []).extend(
                (correlate_ranks(first, second), correlate_ranks(np.abs(first), np.abs(second)))
                for first, second in zip(trained[method], maps[method], strict=True)
            )
    means = {key: np.mean(pairs, axis=0) for key, pairs in found.items()}
    rows = [
        SanityRow(method, part, float(means[method, part][0]), float(means[method, part][1]))
        for method in methods
        for part in PARTS
    ]
    empty = [method for method in methods if all(np.ptp(values) == 0 for values in trained[method])]
    return SanityCheck(rows, len(inputs), maps, empty)


def correlate_ranks(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two maps: 0 where one is the same everywhere, 1 where both are."""
    # Slow to import.
    from scipy.stats import spearmanr

    flat = [bool(np.ptp(values) == 0) for values in (first, second)]
    if any(flat):
        return float(all(flat))
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def _iter_shuffled_networks(network: FaceNetwork, inputs: Tensor, seed: int) -> Iterator[tuple[str, FaceNetwork]]:
    """Copies of a network of which more and more layers are shuffled, each part SHUFFLES times."""
    for part, fraction in PARTS.items():
        for number in range(SHUFFLES):
            generator = torch.Generator().manual_seed((seed * SHUFFLES + number) % 2**63)
            yield part, _shuffle_network(network, fraction, inputs, generator)


def _shuffle_network(network: FaceNetwork, fraction: float, inputs: Tensor, generator: torch.Generator) -> FaceNetwork:
    shuffled = copy.deepcopy(network)
    layers = _list_layers(shuffled)
    layers = layers[: max(1, round(fraction * len(layers)))]
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    if fraction == 1:
        # Some belong to no layer, such as the positions of a transformer.
        parameters += list(shuffled.body.parameters(recurse=False))
    with torch.no_grad():
        for parameter in parameters:
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
        _settle_statistics(shuffled, layers, inputs, generator)
    return shuffled


def _list_layers(network: FaceNetwork) -> list[nn.Module]:
    """Parts of the network with weights, from the classifier down; stages that stand in a sequence one by one."""
    layers: list[nn.Module] = []
    body = network.body
    children = [*body.encoder.children(), body.head] if isinstance(body, HeadBody) else body.children()
    for child in children:
        layers += list(child.children()) if isinstance(child, nn.Sequential | nn.ModuleList) else [child]
    return [layer for layer in reversed(layers) if any(True for _ in layer.parameters())]


def _settle_statistics(
    network: FaceNetwork, layers: Sequence[nn.Module], inputs: Tensor, generator: torch.Generator
) -> None:
    """Learn the batch statistics of shuffled layers anew: with those of the trained ones activations would run away."""
    norms = [
        module
        for layer in layers
        for module in layer.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return
    # Few pictures are not enough where a map is small: noisy copies stand beside them.
    copies = inputs.repeat(-(-_SETTLING_PICTURES // len(inputs)), 1, 1, 1)[:_SETTLING_PICTURES]
    noise = torch.randn(copies.shape, generator=generator).to(copies.device)
    for module in norms:
        module.reset_running_stats()
        module.momentum = None
        module.train()
    network.body(copies + 0.2 * noise)
    network.eval()

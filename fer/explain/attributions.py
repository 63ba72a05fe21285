"""Attribution maps by Captum: which pixels spoke for or against a class."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from fer.core.extras import require_packages
from fer.core.progress import track_progress
from fer.errors import ModelError
from fer.explain.feature_map import find_feature_map
from fer.models.fitted_heads import NO_GRADIENTS, has_gradients
from fer.models.network import FaceNetwork

GRAD_CAM, INTEGRATED_GRADIENTS, GRADIENT_SHAP = "grad_cam", "integrated_gradients", "gradient_shap"
# In the order in which they are shown.
METHODS: Mapping[str, str] = MappingProxyType(
    {GRAD_CAM: "Grad-CAM", INTEGRATED_GRADIENTS: "Integrated gradients", GRADIENT_SHAP: "GradientShap"}
)
# Points on the way from the baseline to the picture, doubled until the attributions add up; half of GradientShap's
# samples.
STEPS, MAX_STEPS = 50, 200
# Attributions that miss the difference of the logits by less than this fraction of it add up.
TOLERANCE = 0.05
# Pictures of 112 pixels computed at a time: their activations fill the memory, and larger pictures count for more.
BATCH, BATCH_SIDE = 16, 112
# GradientShap's noise, in deviations of the normalised picture, and its baselines: uniform grays from black to white.
NOISE, GRAYS = 0.1, 9


@dataclass(frozen=True)
class Attributions:
    """Maps of N pictures by one method.

    Attributes:
        maps: (N, side, side) float32 at the network's input size, summed over the channels. Positive pixels spoke for
            the class, negative ones against it; Grad-CAM has positive ones alone.
        differences: (N,) the class's logit less that of the baseline, which the attributions should add up to; None
            for Grad-CAM, of which this is not asked.
    """

    maps: np.ndarray
    differences: np.ndarray | None


class Explainer:
    """Explains the logits of a network, with respect to its normalised input.

    Args:
        network: The network, on any device; it is left in evaluation mode.
        seed: Seed of GradientShap.
        steps: Points on the way from the baseline, and half of GradientShap's samples.
        max_steps: How far the points are doubled where the attributions do not add up to the logit's difference.

    Raises:
        UserError: Captum is not installed.
        ModelError: The network ends in trees, which have no gradients.

    Examples:
        >>> explainer = Explainer(load_bundle("outputs/train/2026-01-31/12-00-00-demo").network)
        >>> explainer.explain("grad_cam", explainer.prepare(faces), [3]).maps.shape
        (1, 112, 112)
    """

    def __init__(self, network: FaceNetwork, seed: int = 0, steps: int = STEPS, max_steps: int = MAX_STEPS) -> None:
        require_packages("captum", purpose="explanations")
        if not has_gradients(network):
            raise ModelError(f"{network.name}: {NO_GRADIENTS}; use a model with another head")
        self.network, self.seed, self.steps, self.max_steps = network.eval(), seed, steps, max_steps

    def prepare(self, native: np.ndarray) -> Tensor:
        """Return the normalised input (N, 3, side, side) of native faces (N, h, w, C) uint8."""
        with torch.no_grad():
            return self.network.preprocess(torch.from_numpy(np.ascontiguousarray(native)).to(self.network.mean.device))

    @property
    def batch_size(self) -> int:
        """Pictures computed at a time."""
        return max(1, round(BATCH * (BATCH_SIDE / self.network.image_size) ** 2))

    def restore_pictures(self, inputs: Tensor) -> np.ndarray:
        """Return the pictures (N, side, side, 3) uint8 RGB that normalised inputs are."""
        pixels = (inputs * self.network.std + self.network.mean).clamp(0, 1) * 255
        return pixels.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def explain(
        self, method: str, inputs: Tensor, targets: Sequence[int], shows_progress: bool = False
    ) -> Attributions:
        """Compute the map of each picture.

        Args:
            method: One of METHODS.
            inputs: (N, 3, side, side) as ``prepare`` returns them.
            targets: Index of the class to explain, for each picture.
            shows_progress: Whether it is told how many are done.

        Raises:
            ModelError: Grad-CAM is asked of an architecture without a convolutional feature map.
        """
        compute = {GRAD_CAM: self._compute_grad_cam, INTEGRATED_GRADIENTS: self._integrate_gradients}.get(
            method, self._sample_gradients
        )
        # Each picture by itself: a map depends neither on the others nor on their number.
        rows: Iterable[int] = range(len(targets))
        if shows_progress:
            rows = track_progress(rows, len(targets), METHODS[method], "faces")
        results = [compute(inputs[row : row + 1].contiguous(), int(targets[row])) for row in rows]
        maps = [attribution.sum(1)[0].detach().float().cpu().numpy() for attribution, _ in results]
        differences = [difference for _, difference in results if difference is not None]
        side = self.network.image_size
        return Attributions(
            np.stack(maps) if maps else np.empty((0, side, side), np.float32),
            np.array(differences) if differences else None,
        )

    def _compute_grad_cam(self, picture: Tensor, target: int) -> tuple[Tensor, float | None]:
        if self.network.flip:
            # The feature map is of one picture: that of the mirror image is turned back.
            sides = [self._compute_one_grad_cam(picture, target), self._compute_one_grad_cam(picture.flip(3), target)]
            return (sides[0] + sides[1].flip(3)) / 2, None
        return self._compute_one_grad_cam(picture, target), None

    def _compute_one_grad_cam(self, picture: Tensor, target: int) -> Tensor:
        from captum.attr import LayerAttribution, LayerGradCam

        method = LayerGradCam(self.network.body, find_feature_map(self.network).module)
        with torch.enable_grad():
            # Where all weights are frozen the gradient still has a way to the map.
            coarse = method.attribute(picture.detach().requires_grad_(), target=target, relu_attributions=True)
        side = self.network.image_size
        enlarged: Tensor = LayerAttribution.interpolate(coarse, (side, side), interpolate_mode="bilinear")
        return enlarged

    def _integrate_gradients(self, picture: Tensor, target: int) -> tuple[Tensor, float | None]:
        """From a uniform gray, the mean of the normalisation."""
        from captum.attr import IntegratedGradients

        baseline = torch.zeros_like(picture)
        difference = self._compute_difference(picture, baseline, target)
        steps = self.steps
        while True:
            with torch.enable_grad():
                attribution = IntegratedGradients(self._compute_logits).attribute(
                    picture, baseline, target=target, n_steps=steps, internal_batch_size=self.batch_size
                )
            error = abs(float(attribution.sum()) - difference)
            if error <= TOLERANCE * abs(difference) or 2 * steps > self.max_steps:
                return attribution, difference
            steps *= 2

    def _sample_gradients(self, picture: Tensor, target: int) -> tuple[Tensor, float | None]:
        from captum.attr import GradientShap

        levels = torch.linspace(0, 1, GRAYS, device=picture.device).view(-1, 1, 1, 1)
        grays = ((levels - self.network.mean) / self.network.std).expand(-1, -1, *picture.shape[-2:]).contiguous()
        with _fix_randomness(self.seed), torch.enable_grad():
            method, total, samples = GradientShap(self._compute_logits), torch.zeros_like(picture), 2 * self.steps
            for start in range(0, samples, self.batch_size):
                count = min(self.batch_size, samples - start)
                total += count * method.attribute(picture, grays, n_samples=count, stdevs=NOISE, target=target)
        return total / samples, self._compute_difference(picture, grays, target)

    def _compute_difference(self, picture: Tensor, baselines: Tensor, target: int) -> float:
        """The logit of the picture less the mean one of the baselines."""
        with torch.no_grad():
            logits = self._compute_logits(picture)[0, target]
            return float(logits - self._compute_logits(baselines)[:, target].mean())

    def _compute_logits(self, inputs: Tensor) -> Tensor:
        """The network's logits of normalised inputs, over which it takes the mean with their mirror images or not."""
        logits: Tensor = self.network.body(inputs)
        return (logits + self.network.body(inputs.flip(3))) / 2 if self.network.flip else logits


@contextmanager
def _fix_randomness(seed: int) -> Iterator[None]:
    """Seed both generators that Captum draws from, and restore them afterwards."""
    state = np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            np.random.seed(seed)
            yield
    finally:
        np.random.set_state(state)


def average_by_class(maps: np.ndarray, targets: Sequence[int]) -> dict[int, tuple[np.ndarray, int]]:
    """Average the maps of each class.

    Each map is divided by the sum of its absolute values first, so that one of large values does not drown the others.

    Args:
        maps: (N, side, side).
        targets: The class that each explains.

    Returns:
        Class: its mean map (side, side), and of how many.
    """
    totals = np.abs(maps).sum((1, 2), keepdims=True)
    scaled = np.divide(maps, totals, out=np.zeros_like(maps), where=totals > 0)
    labels = np.asarray(targets)
    return {int(label): (scaled[labels == label].mean(0), int((labels == label).sum())) for label in np.unique(labels)}

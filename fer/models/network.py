"""The network: a timm architecture with its own preprocessing in front."""

import logging
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import httpx2
import numpy as np
import timm
import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file
from torch import Tensor, nn
from typing_extensions import override

from fer.core.io import compute_sha256
from fer.emotions import AFFECT
from fer.errors import ModelError, shorten_error

log = logging.getLogger(__name__)


class FaceNetwork(nn.Module):
    """A timm architecture that takes face images of any size and gives logits.

    The preprocessing is part of the network, so that training, evaluation and serving cannot differ: resizing to
    ``image_size``, gray repeated to three channels, the architecture's normalisation.

    Args:
        name: Name of an architecture of timm, such as ``mobilenetv2_100``.
        classes: Number of logits.
        image_size: Width and height of the body's input, pixels.
        drop_rate: Dropout before the classifier, 0 to 1.
        channels_last: Whether images and weights lie in memory with the channels last.
        flip: Whether logits are the mean of those of an image and its mirror image, other than in training.
        affect: Whether valence and arousal are outputs of the body, too, behind the logits.

    Raises:
        ModelError: timm has no such architecture, or it cannot be built for this size.

    Examples:
        >>> network = FaceNetwork("mobilenetv2_050", classes=7, image_size=96, drop_rate=0.2)
        >>> network(torch.zeros(2, 48, 48, 1, dtype=torch.uint8)).shape
        torch.Size([2, 7])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        classes: int,
        image_size: int,
        drop_rate: float,
        channels_last: bool = True,
        flip: bool = False,
        affect: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.classes = classes
        self.affect = affect
        self.image_size = image_size
        self.flip = flip
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.body = create_body(name, self.outputs, image_size, drop_rate)
        # timm's facts about the architecture's published weights: normalisation, classifier's name, repository.
        self.pretrained_cfg: dict[str, Any] = dict(cast(Any, self.body).pretrained_cfg)
        self.register_buffer("mean", torch.empty(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.empty(1, 3, 1, 1), persistent=False)
        self.set_normalisation(self.pretrained_cfg["mean"], self.pretrained_cfg["std"])
        self.to(memory_format=self.memory_format)

    @property
    def outputs(self) -> int:
        """Number of the body's outputs: logits, and behind them valence and arousal where it has learnt them."""
        return self.classes + len(AFFECT) * self.affect

    @property
    def classifier_names(self) -> tuple[str, ...]:
        """Names of the body's classifier modules; some architectures have two."""
        names = self.pretrained_cfg["classifier"]
        return (names,) if isinstance(names, str) else tuple(names or ())

    def set_normalisation(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set the means and deviations of the three channels, of images in 0 to 1.

        Raises:
            ValueError: They are not three each, or a deviation is not above 0.
        """
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError("normalisation takes three means and three deviations above 0")
        self.mean.copy_(torch.tensor(mean).view(1, 3, 1, 1))
        self.std.copy_(torch.tensor(std).view(1, 3, 1, 1))

    def preprocess(self, images: Tensor) -> Tensor:
        """Resize and normalise images for the body.

        Args:
            images: (N, h, w, C) uint8, or (N, C, h, w) floats in 0 to 1; C is 1 or 3.

        Returns:
            (N, 3, image_size, image_size) floats.
        """
        if images.dtype == torch.uint8:
            images = images.permute(0, 3, 1, 2).float() / 255
        if images.shape[-2:] != (self.image_size, self.image_size):
            images = nn.functional.interpolate(
                images, (self.image_size, self.image_size), mode="bilinear", antialias=True
            )
        return ((images - self.mean) / self.std).contiguous(memory_format=self.memory_format)

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images as ``preprocess`` takes them."""
        outputs = self.compute_outputs(images)
        return outputs[:, : self.classes] if self.affect else outputs

    def compute_outputs(self, images: Tensor) -> Tensor:
        """Logits and, before the hyperbolic tangent, valence and arousal: (N, outputs)."""
        pixels = self.preprocess(images)
        if self.flip and not self.training:
            return (self.body(pixels) + self.body(pixels.flip(3))) / 2
        return self.body(pixels)


@torch.inference_mode()
def predict_outputs(network: FaceNetwork, images: np.ndarray, rows: np.ndarray, batch_size: int = 128) -> np.ndarray:
    """Compute all outputs of the network for some of the images, on its device.

    Args:
        network: The network; it is left in evaluation mode.
        images: (M, h, w, C) uint8.
        rows: Indices of the images to compute.
        batch_size: Images at a time.

    Returns:
        (len(rows), outputs) float32: logits, and behind them what ``compute_affect`` takes.
    """
    device = network.mean.device
    network.eval()
    parts = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    batches = [
        network.compute_outputs(torch.from_numpy(images[part]).to(device)).float().cpu().numpy() for part in parts
    ]
    return np.concatenate(batches) if batches else np.empty((0, network.outputs), np.float32)


def predict_logits(network: FaceNetwork, images: np.ndarray, rows: np.ndarray, batch_size: int = 128) -> np.ndarray:
    """Compute the logits (len(rows), classes) alone, see ``predict_outputs``."""
    return predict_outputs(network, images, rows, batch_size)[:, : network.classes]


def create_body(name: str, classes: int, image_size: int, drop_rate: float) -> nn.Module:
    """Create a timm model with random weights and a classifier of ``classes``. Raises ModelError."""
    if not timm.is_model(name):
        raise ModelError(f"model.name={name}: no architecture of timm has this name")
    options: dict[str, Any] = {"num_classes": classes, "drop_rate": drop_rate}
    try:
        try:
            body = timm.create_model(name, img_size=image_size, **options)
        except TypeError:
            # Only architectures with a fixed input, such as transformers, take the size.
            body = timm.create_model(name, **options)
        # Some architectures fail only when they get an image of a size that they do not take.
        with torch.no_grad():
            shape = tuple(body.eval()(torch.zeros(1, 3, image_size, image_size)).shape)
        if shape != (1, classes):
            raise ValueError(f"it gives an output of {shape}, not logits of {classes} classes")
    except (RuntimeError, ValueError, AssertionError, TypeError, AttributeError) as error:
        raise ModelError(
            f"model.name={name}: cannot be built for {image_size} pixels ({shorten_error(error)})"
        ) from None
    classifier = cast(Any, body).get_classifier()
    if isinstance(classifier, nn.Linear):
        # timm's own start is meant for 1,000 classes: for 7 it gives logits, and a first loss, that are far too large.
        nn.init.normal_(classifier.weight, std=0.01)
        nn.init.zeros_(classifier.bias)
    return body.train()


def load_pretrained_weights(network: FaceNetwork, weights: str, sha256: str | None) -> str:
    """Load weights of the same architecture; a classifier of another size keeps its random start.

    Args:
        network: The network that gets the weights.
        weights: A .safetensors or .pth file, or ``pretrained`` for the weights of timm's hub.
        sha256: What the file's SHA-256 must be; None accepts any.

    Returns:
        The file's SHA-256.

    Raises:
        ModelError: The file cannot be had or read, or is of another architecture or another SHA-256.
    """
    path = _download_hub_weights(network) if weights == "pretrained" else Path(weights)
    digest = compute_sha256(path)
    if sha256 is not None and digest != sha256:
        raise ModelError(
            f"model.weights={weights}: has the SHA-256 {digest}, but model.weights_sha256 asks for {sha256}"
        )
    state = read_state_dict(path)
    body = network.body
    body_state = body.state_dict()
    classifier = {f"{name}.{kind}" for name in network.classifier_names for kind in ("weight", "bias")}
    fitting = {
        key: value for key, value in state.items() if key not in classifier or value.shape == body_state[key].shape
    }
    wrong = [key for key, value in fitting.items() if key not in body_state or value.shape != body_state[key].shape]
    missing = [key for key in body_state if key not in fitting and key not in classifier]
    if wrong or missing:
        example = (wrong or missing)[0]
        raise ModelError(
            f"model.weights={weights}: not weights of {network.name} ({len(wrong)} tensors do not fit, {len(missing)} "
            f"are missing, such as {example}); choose the matching model.name, or other weights"
        )
    body.load_state_dict(fitting, strict=False)
    log.info("Starting from %s (%d tensors)", weights, len(fitting))
    return digest


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file, or of a .pth file, which is unpickled for tensors only.

    Raises:
        ModelError: The file cannot be read, or holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # PyTorch's own words advise to load it nevertheless.
        raise ModelError(
            f"model.weights={path}: is damaged, or holds more than tensors, which could run code; save the weights' "
            "state_dict alone"
        ) from None
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise ModelError(f"model.weights={path}: cannot be read as weights ({shorten_error(error)})") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"model.weights={path}: holds no table of tensors")
    return state


def _download_hub_weights(network: FaceNetwork) -> Path:
    """Path of the architecture's published weights (.safetensors) in the hub's cache. Raises ModelError."""
    repository = network.pretrained_cfg.get("hf_hub_id")
    if not repository:
        raise ModelError(
            f"model.weights=pretrained: no weights are published for {network.name}; use model.weights=none"
        )
    try:
        path = Path(hf_hub_download(repository, "model.safetensors"))
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"model.weights=pretrained: the weights of {network.name} cannot be fetched from the hub "
            f"({shorten_error(error)}); with a network try again, otherwise give a file (model.weights=FILE) or start "
            "at random (model.weights=none)"
        ) from None
    # The hub names a large file by its SHA-256, and its client checks the length alone.
    name = path.resolve().name
    if len(name) == 64 and compute_sha256(path) != name:
        path.resolve().unlink()
        raise ModelError(
            f"model.weights=pretrained: the download of {repository} was damaged and is removed; try again"
        )
    return path

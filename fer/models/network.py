"""The network: a timm architecture with its own preprocessing in front."""

import logging
import pickle
from collections.abc import Mapping, Sequence
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
from fer.models.fitted_heads import HeadBody
from fer.models.preparation import PreparedNetwork

log = logging.getLogger(__name__)


class FaceNetwork(PreparedNetwork):
    """A timm architecture that takes face images of any size and gives logits.

    The preprocessing is part of the network: resizing to ``image_size``, gray repeated to three channels, the
    architecture's normalisation.

    Args:
        name: Name of an architecture of timm, such as ``mobilenetv2_100``.
        classes: Number of logits.
        image_size: Width and height of the body's input, pixels.
        drop_rate: Dropout before the classifier, 0 to 1.
        channels_last: Whether images and weights lie in memory with the channels last.
        flip: Whether logits are the mean of those of an image and its mirror image, other than in training.
        affect: Whether valence and arousal are outputs of the body, too, behind the logits.
        head: A fitted head in place of the architecture's classifier; ``nn.Identity()`` gives the features themselves.

    Raises:
        ModelError: timm has no such architecture, or it cannot be built for this size.

    Examples:
        >>> network = FaceNetwork("mobilenetv2_050", classes=7, image_size=96, drop_rate=0.2)
        >>> network(torch.zeros(2, 48, 48, 1, dtype=torch.uint8)).shape
        torch.Size([2, 7])
    """

    def __init__(
        self,
        name: str,
        classes: int,
        image_size: int,
        drop_rate: float,
        channels_last: bool = True,
        flip: bool = False,
        affect: bool = False,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__(name, classes, image_size, channels_last)
        self.affect = affect
        self.flip = flip
        body = create_body(name, self.outputs if head is None else 0, image_size, drop_rate)
        self.body = body if head is None else HeadBody(body, head)
        # timm's facts about the architecture's published weights: normalisation, classifier's name, repository.
        self.pretrained_cfg: dict[str, Any] = dict(cast(Any, self.body).pretrained_cfg)
        self.set_normalisation(self.pretrained_cfg["mean"], self.pretrained_cfg["std"])
        self.to(memory_format=self.memory_format)

    @property
    @override
    def outputs(self) -> int:
        """Number of the body's outputs: logits, and behind them valence and arousal where it has learnt them."""
        return self.classes + len(AFFECT) * self.affect

    @property
    @override
    def classifier_names(self) -> tuple[str, ...]:
        """Names of the body's classifier modules; some architectures have two."""
        return list_classifiers(self.pretrained_cfg)

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
    """Create a timm model with random weights and a classifier of ``classes``; 0 gives features. Raises ModelError."""
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
        if len(shape) != 2 or shape[1] != (classes or shape[1]):
            raise ValueError(f"it gives an output of {shape}, not logits of {classes} classes")
    except (RuntimeError, ValueError, AssertionError, TypeError, AttributeError) as error:
        raise ModelError(
            f"model.name={name}: cannot be built for {image_size} pixels ({shorten_error(error)})"
        ) from None
    classifier = cast(Any, body).get_classifier()
    if isinstance(classifier, nn.Linear):
        initialise_classifier(classifier)
    return body.train()


def initialise_classifier(classifier: nn.Linear) -> None:
    """Give a classifier small random weights, and no bias."""
    # timm's own start is meant for 1,000 classes: for 7 it gives logits, and a first loss, that are far too large.
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)


def list_classifiers(pretrained_cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """List the names of an architecture's classifier modules; some have two."""
    names = pretrained_cfg["classifier"]
    return (names,) if isinstance(names, str) else tuple(names or ())


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
    path = None
    if weights == "pretrained":
        path = download_hub_weights(network.name, network.pretrained_cfg)
    return load_body_weights(network.body, network.name, network.classifier_names, weights, sha256, path)


def load_body_weights(
    body: nn.Module, name: str, classifiers: Sequence[str], weights: str, sha256: str | None, path: Path | None = None
) -> str:
    """Load weights into the body of a network; a classifier of another size, or without any here, is left out.

    Args:
        body: What gets the weights.
        name: Name of its architecture.
        classifiers: Names of its classifier modules.
        weights: What names the weights in messages, and their file.
        sha256: What the file's SHA-256 must be; None accepts any.
        path: The file, where ``weights`` is none.

    Returns:
        The file's SHA-256.

    Raises:
        ModelError: The file cannot be read, or is of another architecture or another SHA-256.
    """
    path = path or Path(weights)
    digest = compute_sha256(path)
    if sha256 is not None and digest != sha256:
        raise ModelError(
            f"model.weights={weights}: has the SHA-256 {digest}, but model.weights_sha256 asks for {sha256}"
        )
    count = load_body_state(body, name, classifiers, read_state_dict(path), f"model.weights={weights}")
    log.info("Starting from %s (%d tensors)", weights, count)
    return digest


def load_body_state(
    body: nn.Module, name: str, classifiers: Sequence[str], state: Mapping[str, Tensor], title: str
) -> int:
    """Load tensors into the body of a network, see ``load_body_weights``.

    Args:
        body: What gets the weights.
        name: Name of its architecture.
        classifiers: Names of its classifier modules.
        state: The tensors by name.
        title: The key and value that name them, for messages.

    Returns:
        How many tensors were loaded.

    Raises:
        ModelError: They are of another architecture.
    """
    body_state = body.state_dict()
    classifier = {f"{module}.{kind}" for module in classifiers for kind in ("weight", "bias")}
    fitting = {
        key: value
        for key, value in state.items()
        if key not in classifier or (key in body_state and value.shape == body_state[key].shape)
    }
    wrong = [key for key, value in fitting.items() if key not in body_state or value.shape != body_state[key].shape]
    missing = [key for key in body_state if key not in fitting and key not in classifier]
    if wrong or missing:
        example = (wrong or missing)[0]
        raise ModelError(
            f"{title}: not weights of {name} ({len(wrong)} tensors do not fit, {len(missing)} are missing, such as "
            f"{example}); choose the matching model.name, or other weights"
        )
    body.load_state_dict(fitting, strict=False)
    return len(fitting)


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


def download_hub_weights(name: str, pretrained_cfg: Mapping[str, Any]) -> Path:
    """Return the path of an architecture's published weights (.safetensors) in the hub's cache. Raises ModelError."""
    repository = pretrained_cfg.get("hf_hub_id")
    if not repository:
        raise ModelError(f"model.weights=pretrained: no weights are published for {name}; use model.weights=none")
    try:
        path = Path(hf_hub_download(repository, "model.safetensors"))
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"model.weights=pretrained: the weights of {name} cannot be fetched from the hub "
            f"({shorten_error(error)}); with a network try again, otherwise give a file (model.weights=FILE) or start "
            "at random (model.weights=none)"
        ) from None
    # The hub names a large file by its SHA-256, and its client checks the length alone.
    digest = path.resolve().name
    if len(digest) == 64 and compute_sha256(path) != digest:
        path.resolve().unlink()
        raise ModelError(
            f"model.weights=pretrained: the download of {repository} was damaged and is removed; try again"
        )
    return path

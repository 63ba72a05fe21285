"""torchvision's networks whose convolutions go through space and time."""

import logging
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights, video
from typing_extensions import override

from fer.errors import ModelError, shorten_error
from fer.models.clip_format import VIDEO_ARCHITECTURES, TemporalFormat
from fer.models.clip_network import ClipNetwork
from fer.models.network import initialise_classifier

# Of Kinetics-400, on which the published weights were trained.
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
log = logging.getLogger(__name__)


class VideoNetwork(ClipNetwork):
    """A network of torchvision on windows of faces. Frames that are not there are of the mean colour.

    Args:
        name: One of VIDEO_ARCHITECTURES.
        classes: Number of logits.
        image_size: Width and height of the frames, pixels.
        drop_rate: Dropout before the classifier.
        format: The windows.

    Raises:
        ModelError: torchvision has no such architecture.
    """

    def __init__(self, name: str, classes: int, image_size: int, drop_rate: float, format: TemporalFormat) -> None:
        super().__init__(name, classes, image_size, False, format)
        self.body = create_video_body(name, classes, drop_rate)
        self.set_normalisation(MEAN, STD)

    @property
    @override
    def classifier_names(self) -> tuple[str, ...]:
        return ("fc",)

    @property
    @override
    def features(self) -> int:
        return 3 * self.image_size**2

    @override
    def encode(self, frames: Tensor) -> Tensor:
        """Prepare the pixels of frames, (M, 3 image_size²): convolutions through time need those of all frames."""
        return self.preprocess(frames).flatten(1)

    @override
    def judge(self, features: Tensor, mask: Tensor) -> Tensor:
        there = features.masked_fill(~mask[:, :, None], 0.0)
        pixels = there.view(-1, mask.shape[1], 3, self.image_size, self.image_size)
        return cast(Tensor, self.body(pixels.transpose(1, 2)))


def create_video_body(name: str, classes: int, drop_rate: float) -> nn.Module:
    """Create a network of torchvision with random weights and a classifier of ``classes``. Raises ModelError."""
    if name not in VIDEO_ARCHITECTURES:
        raise ModelError(f"model.name={name}: with model.kind=video3d allowed are {', '.join(VIDEO_ARCHITECTURES)}")
    body: Any = getattr(video, name)(num_classes=classes)
    # No weights are in it, so that names of weights stay torchvision's.
    body.avgpool = nn.Sequential(body.avgpool, nn.Dropout(drop_rate))
    initialise_classifier(body.fc)
    return cast(nn.Module, body)


def download_video_weights(name: str) -> Path:
    """Return the path of an architecture's weights for Kinetics-400, fetched once and checked. Raises ModelError."""
    url = get_model_weights(name).DEFAULT.url
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # torchvision's names of files end in the beginning of their SHA-256.
    digest = path.stem.rpartition("-")[2]
    log.info("Fetching %s once into %s", url, path)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise ModelError(
            f"model.weights=pretrained: the weights of {name} cannot be fetched from {url} ({shorten_error(error)}); "
            "with a network try again, otherwise give a file (model.weights=FILE) or start at random "
            "(model.weights=none)"
        ) from None
    return path

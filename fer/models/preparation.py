"""What every network does with faces before its body sees them."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PreparedNetwork(nn.Module):
    """A network whose preprocessing is part of it, so that training, evaluation and serving cannot differ.

    Faces are resized to ``image_size``, gray repeated to three channels, and normalised.

    Args:
        name: Name of the architecture.
        classes: Number of logits.
        image_size: Width and height of the body's input, pixels.
        channels_last: Whether images lie in memory with the channels last.
    """

    mean: Tensor
    std: Tensor
    body: nn.Module
    # Whether answers are the mean over a face and its mirror image, and whether valence and arousal are outputs, too.
    flip: bool = False
    affect: bool = False

    def __init__(self, name: str, classes: int, image_size: int, channels_last: bool) -> None:
        super().__init__()
        self.name = name
        self.classes = classes
        self.image_size = image_size
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.register_buffer("mean", torch.empty(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.empty(1, 3, 1, 1), persistent=False)

    @property
    def outputs(self) -> int:
        """Number of the body's outputs: the logits, and behind them others where it has learnt any."""
        return self.classes

    @property
    @abstractmethod
    def classifier_names(self) -> tuple[str, ...]:
        """Names of the body's modules that train while the rest is frozen."""

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

"""Networks of clips: windows of frames in, one answer for each window out."""

from abc import abstractmethod
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from fer.models.clip_format import TemporalFormat
from fer.models.preparation import PreparedNetwork

# ITU-R BT.601, as pictures are made gray elsewhere.
LUMA = (0.299, 0.587, 0.114)


class ClipNetwork(PreparedNetwork):
    """A network of clips, in two steps: what is computed of each frame by itself, and what joins a window's frames.

    In inference windows overlap, and the first step, which takes the time, is done once a frame.

    Args:
        name: Name of the architecture.
        classes: Number of logits.
        image_size: Width and height of the frames that the network sees, pixels.
        channels_last: Whether images lie in memory with the channels last.
        format: The windows.
    """

    def __init__(self, name: str, classes: int, image_size: int, channels_last: bool, format: TemporalFormat) -> None:
        super().__init__(name, classes, image_size, channels_last)
        self.format = format
        # An encoder that starts from a model has the normalisation of that model: checkpoints keep it.
        for buffer in ("mean", "std"):
            self.register_buffer(buffer, getattr(self, buffer))

    @property
    @abstractmethod
    def features(self) -> int:
        """Numbers that are computed of a frame by itself, D."""

    def set_gray(self, gray: bool) -> None:
        """Choose whether the network sees colour pictures in gray."""
        self.format = replace(self.format, gray=gray)

    @override
    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.format.gray)

    @override
    def set_extra_state(self, state: Tensor) -> None:
        self.set_gray(bool(state))

    @abstractmethod
    def encode(self, frames: Tensor) -> Tensor:
        """Compute the features (M, D) of frames, each by itself, (M, h, w, C) uint8 or (M, C, h, w) floats."""

    @abstractmethod
    def judge(self, features: Tensor, mask: Tensor) -> Tensor:
        """Compute the answers for windows.

        Args:
            features: (N, T, D) as ``encode`` gives them; those of frames that are not there may be anything.
            mask: (N, T) bool, which frames are there.

        Returns:
            Logits (N, outputs).
        """

    def encode_clips(self, clips: Tensor, mask: Tensor) -> Tensor:
        """Compute the features (N, T, D) of the frames that are there; zeros of the others, which nothing looks at."""
        features = self.encode(clips[mask])
        return features.new_zeros(*mask.shape, features.shape[1]).index_put((mask,), features)

    def compute_outputs(self, clips: Tensor, mask: Tensor) -> Tensor:
        """Compute the answers for windows.

        Args:
            clips: (N, T, h, w, C) uint8, or (N, T, C, h, w) floats in 0 to 1.
            mask: (N, T) bool, which frames are there.

        Returns:
            Logits (N, outputs).
        """
        return self.judge(self.encode_clips(clips, mask), mask)

    @override
    def forward(self, clips: Tensor, mask: Tensor) -> Tensor:
        return self.compute_outputs(clips, mask)

    @override
    def preprocess(self, images: Tensor) -> Tensor:
        if self.format.gray:
            images = _to_gray(images)
        return super().preprocess(images)


def _to_gray(images: Tensor) -> Tensor:
    """Images as ``preprocess`` takes them, (N, 1, h, w) floats in 0 to 1."""
    if images.dtype == torch.uint8:
        images = images.permute(0, 3, 1, 2).float() / 255
    if images.shape[1] == 1:
        return images
    return (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


@torch.inference_mode()
def predict_clip_outputs(
    network: ClipNetwork, images: np.ndarray, frames: np.ndarray, mask: np.ndarray, batch_size: int = 16
) -> np.ndarray:
    """Compute the outputs for windows of some of the images, on the network's device.

    Args:
        network: The network; it is left in evaluation mode.
        images: (M, h, w, C) uint8.
        frames: (N, T) rows of the images.
        mask: (N, T) bool, which frames are there.
        batch_size: Windows at a time.

    Returns:
        (N, outputs) float32.
    """
    device = network.mean.device
    network.eval()
    batches: list[np.ndarray] = []
    for start in range(0, len(frames), batch_size):
        part = slice(start, start + batch_size)
        clips, there = torch.from_numpy(images[frames[part]]).to(device), torch.from_numpy(mask[part]).to(device)
        batches.append(network.compute_outputs(clips, there).float().cpu().numpy())
    return np.concatenate(batches) if batches else np.empty((0, network.outputs), np.float32)

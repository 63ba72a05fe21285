"""A frame encoder, and a head that joins its features in time."""

from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from fer.models.clip_format import TemporalFormat
from fer.models.clip_network import ClipNetwork
from fer.models.network import create_body
from fer.models.temporal_heads import TemporalHead, build_head


class TemporalBody(nn.Module):
    """All weights of a temporal network: ``encoder``, ``head`` and ``classifier``.

    Args:
        encoder: From pixels (M, 3, h, w) to features (M, D).
        head: From features to states.
        classes: Number of logits.
        drop_rate: Dropout before the classifier.
    """

    encoder: nn.Module
    head: TemporalHead

    def __init__(self, encoder: nn.Module, head: TemporalHead, classes: int, drop_rate: float) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.drop = nn.Dropout(drop_rate)
        # At the small start of a frame network's classifier a head would get hardly a gradient for many epochs.
        self.classifier = nn.Linear(head.width, classes)


class TemporalNetwork(ClipNetwork):
    """A timm architecture as the encoder of frames, and a head over time.

    Args:
        name: timm's name of the encoder's architecture.
        classes: Number of logits.
        image_size: Width and height of the encoder's input, pixels.
        drop_rate: Dropout before the classifier.
        format: The windows and the head.
        head_drop_rate: Dropout within the head.
        frozen: Whether the encoder keeps its weights and the statistics of its batch norm.
        channels_last: Whether images and weights lie in memory with the channels last.

    Raises:
        ModelError: timm has no such architecture, or it cannot be built for this size.

    Examples:
        >>> format = TemporalFormat("temporal", 16, 0.125, "causal", "gru", hidden=128, layers=1)
        >>> network = TemporalNetwork("mobilenetv2_050", 7, 96, 0.2, format)
        >>> mask = torch.ones(2, 16, dtype=torch.bool)
        >>> network(torch.zeros(2, 16, 48, 48, 1, dtype=torch.uint8), mask).shape
        torch.Size([2, 7])
    """

    body: TemporalBody

    def __init__(
        self,
        name: str,
        classes: int,
        image_size: int,
        drop_rate: float,
        format: TemporalFormat,
        head_drop_rate: float = 0.0,
        frozen: bool = False,
        channels_last: bool = True,
    ) -> None:
        super().__init__(name, classes, image_size, channels_last, format)
        assert format.head is not None, "a temporal network has a head"
        encoder = create_body(name, 0, image_size, 0.0)
        self.pretrained_cfg: dict[str, Any] = dict(cast(Any, encoder).pretrained_cfg)
        self.set_normalisation(self.pretrained_cfg["mean"], self.pretrained_cfg["std"])
        with torch.no_grad():
            width = encoder.eval()(torch.zeros(1, 3, image_size, image_size)).shape[1]
        head = build_head(format.head, width, format.hidden, format.layers, head_drop_rate)
        self.body = TemporalBody(encoder, head, classes, drop_rate)
        self.frozen = frozen
        encoder.requires_grad_(not frozen)
        self.to(memory_format=self.memory_format)
        self.train()

    @property
    @override
    def classifier_names(self) -> tuple[str, ...]:
        return "head", "classifier"

    @property
    @override
    def features(self) -> int:
        return self.body.head.features

    @override
    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen:
            self.body.encoder.eval()
        return self

    @override
    def encode(self, frames: Tensor) -> Tensor:
        if not self.frozen:
            return cast(Tensor, self.body.encoder(self.preprocess(frames)))
        with torch.no_grad():
            return cast(Tensor, self.body.encoder(self.preprocess(frames)))

    @override
    def judge(self, features: Tensor, mask: Tensor) -> Tensor:
        _, whole = self.body.head(features, mask)
        return cast(Tensor, self.body.classifier(self.body.drop(whole)))

    def compute_frame_outputs(self, clips: Tensor, mask: Tensor) -> Tensor:
        """Compute an answer for each frame of windows.

        Args:
            clips: (N, T, h, w, C) uint8, or (N, T, C, h, w) floats in 0 to 1.
            mask: (N, T) bool, which frames are there; answers of others mean nothing.

        Returns:
            Logits (N, T, outputs).
        """
        return self.judge_frames(self.encode_clips(clips, mask), mask)

    def judge_frames(self, features: Tensor, mask: Tensor) -> Tensor:
        """Compute an answer (N, T, outputs) for each frame of windows, of features as ``judge`` takes them."""
        frames, _ = self.body.head(features, mask)
        return cast(Tensor, self.body.classifier(self.body.drop(frames)))

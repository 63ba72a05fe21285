"""What joins the features of a window's frames. A frame that is not there changes no answer."""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from typing_extensions import override

from fer.models.clip_format import HeadKind

ATTENTION_HEADS = 4


class TemporalHead(nn.Module):
    """From the features of frames to states: of each frame, and of the whole window.

    Args:
        features: Features of a frame, D.
        width: Numbers of a state, H.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.features = features
        self.width = width

    @override
    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Join frames.

        Args:
            features: (N, T, D); those of frames that are not there may be anything.
            mask: (N, T) bool, which frames are there.

        Returns:
            States (N, T, H) of the frames, those of frames that are not there without a meaning, and (N, H) of the
            windows: the mean of those that are there, which learns better than the state of the last one alone.
        """
        raise NotImplementedError


class FrameInputs(nn.Module):
    """Features of frames, each of the scale of 1, projected to a head's width.

    What changes within a clip is small beside what differs between people: by itself a norm over the features of a
    frame, instead of one feature over frames, would hide it.

    Args:
        features: Features of a frame.
        width: Numbers that are left of them.
        drop_rate: Dropout of the features.
    """

    def __init__(self, features: int, width: int, drop_rate: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)
        self.drop = nn.Dropout(drop_rate)
        self.project = nn.Linear(features, width)

    @override
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Project (N, T, features) to (N, T, width); frames that are not there are in no statistics."""
        features = blank_missing(features, mask)
        if self.training:
            normed = torch.zeros_like(features).index_put((mask,), self.norm(features[mask]).to(features.dtype))
        else:
            normed = self.norm(features.transpose(1, 2)).transpose(1, 2)
        return gelu(self.project(self.drop(normed)))


class MeanHead(TemporalHead):
    """The mean of the projected features: what a model of single faces sees of a clip. Their order is nothing to it.

    Args:
        features: Features of a frame.
        width: Numbers of its state.
        drop_rate: Dropout of the features.
    """

    def __init__(self, features: int, width: int, drop_rate: float) -> None:
        super().__init__(features, width)
        self.inputs = FrameInputs(features, width, drop_rate)

    @override
    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.inputs(features, mask)
        return frames, average_present(frames, mask)


class RecurrentHead(TemporalHead):
    """A GRU or an LSTM over the frames that are there, one after the other.

    Args:
        features: Features of a frame.
        width: Numbers of its state.
        layers: Layers of it.
        drop_rate: Dropout of the features, and between layers.
        kind: ``gru`` or ``lstm``.
    """

    def __init__(self, features: int, width: int, layers: int, drop_rate: float, kind: HeadKind) -> None:
        super().__init__(features, width)
        self.inputs = FrameInputs(features, width, drop_rate)
        between = drop_rate if layers > 1 else 0.0
        recurrent = nn.GRU if kind == "gru" else nn.LSTM
        self.recurrent = recurrent(width, width, layers, batch_first=True, dropout=between)

    @override
    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        inputs = self.inputs(features, mask)
        # Frames that are there move to the front, so that others are seen only after all of them.
        rank = mask.long().cumsum(1) - 1
        places = torch.arange(mask.shape[1], device=mask.device)
        chosen = ((rank[:, :, None] == places) & mask[:, :, None]).to(inputs.dtype)
        states, _ = self.recurrent(chosen.transpose(1, 2) @ inputs)
        frames = chosen @ states
        return frames, average_present(frames, mask)


class AttentionHead(TemporalHead):
    """A transformer encoder over time.

    Positions come from a convolution over neighbours (arXiv:2102.10882), which shows what changes from frame to frame;
    vectors for each place of a window learnt the training clips by heart.

    Args:
        features: Features of a frame.
        width: Width of the transformer.
        layers: Layers of it.
        drop_rate: Dropout of the features and of its branches.
    """

    def __init__(self, features: int, width: int, layers: int, drop_rate: float) -> None:
        super().__init__(features, width)
        self.inputs = FrameInputs(features, width, drop_rate)
        self.positions = nn.Conv1d(width, width, 3, padding=1, groups=width)
        self.blocks = nn.ModuleList(_AttentionBlock(width, drop_rate) for _ in range(layers))
        self.last_norm = nn.LayerNorm(width)

    @override
    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.inputs(features, mask)
        states = states + _convolve(self.positions, states, mask)
        for block in self.blocks:
            states = block(states, mask)
        states = self.last_norm(states)
        return states, average_present(states, mask)


class _AttentionBlock(nn.Module):
    """Attention to the frames that are there, then a perceptron, both with their norm first."""

    def __init__(self, width: int, drop_rate: float) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_parts, self.to_states = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.drop = nn.Dropout(drop_rate)

    @override
    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        length, width = states.shape[1:]
        parts = self.to_parts(self.norm_1(states)).view(-1, length, 3, ATTENTION_HEADS, width // ATTENTION_HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind()
        # Finite, so that a window without any frame gives numbers.
        bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -1e4)[:, None, None, :]
        joined = scaled_dot_product_attention(query, key, value, bias)
        states = states + self.drop(self.to_states(joined.transpose(1, 2).reshape(-1, length, width)))
        return states + self.drop(self.narrow(gelu(self.widen(self.norm_2(states)))))


class ConvolutionHead(TemporalHead):
    """Convolutions over time, each layer with twice the dilation of the one before (arXiv:1803.01271).

    Args:
        features: Features of a frame.
        width: Channels of it.
        layers: Layers of it, of two convolutions each.
        drop_rate: Dropout of the features and of its branches.
    """

    def __init__(self, features: int, width: int, layers: int, drop_rate: float) -> None:
        super().__init__(features, width)
        self.inputs = FrameInputs(features, width, drop_rate)
        self.blocks = nn.ModuleList(_ConvolutionBlock(width, 2**number, drop_rate) for number in range(layers))
        self.last_norm = nn.LayerNorm(width)

    @override
    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.inputs(features, mask)
        for block in self.blocks:
            states = block(states, mask)
        states = self.last_norm(states)
        return states, average_present(states, mask)


class _ConvolutionBlock(nn.Module):
    """Two convolutions over time beside a short cut."""

    def __init__(self, width: int, dilation: int, drop_rate: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.drop = nn.Dropout(drop_rate)

    @override
    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        inner = gelu(_convolve(self.first, self.norm(states), mask))
        return states + self.drop(_convolve(self.second, inner, mask))


def _convolve(convolution: nn.Conv1d, states: Tensor, mask: Tensor) -> Tensor:
    """Convolve states (N, T, H) over time; frames that are not there are zeros, as those beyond the window."""
    channels: Tensor = convolution(blank_missing(states, mask).transpose(1, 2))
    return channels.transpose(1, 2)


def blank_missing(features: Tensor, mask: Tensor) -> Tensor:
    """Features (N, T, D) with zeros for frames that are not there."""
    return features.masked_fill(~mask[:, :, None], 0.0)


def average_present(features: Tensor, mask: Tensor) -> Tensor:
    """Mean (N, D) of the features (N, T, D) of frames that are there; zeros where none is."""
    count = mask.sum(1, keepdim=True).clamp(min=1)
    return blank_missing(features, mask).sum(1) / count


def build_head(kind: HeadKind, features: int, hidden: int, layers: int, drop_rate: float) -> TemporalHead:
    """Build a head with random weights.

    Args:
        kind: Which.
        features: Features of a frame.
        hidden: Width of the head.
        layers: Layers of the head; the mean has none.
        drop_rate: Dropout within the head.
    """
    match kind:
        case "mean":
            return MeanHead(features, hidden, drop_rate)
        case "attention":
            return AttentionHead(features, hidden, layers, drop_rate)
        case "tcn":
            return ConvolutionHead(features, hidden, layers, drop_rate)
    return RecurrentHead(features, hidden, layers, drop_rate, kind)

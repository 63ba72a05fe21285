"""What a network answers for a batch, of faces or of clips, and what of it the loss is computed of."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fer.models.clip_network import ClipNetwork
from fer.models.network import FaceNetwork
from fer.models.temporal_network import TemporalNetwork


def compute_batch_outputs(
    network: FaceNetwork | ClipNetwork, batch: Mapping[str, Any], per_frame: bool = False
) -> tuple[Tensor, Tensor]:
    """Compute what a network answers for a batch.

    Args:
        network: The network.
        batch: ``images``, and with clips ``mask``.
        per_frame: Whether the loss of clips is one of each frame.

    Returns:
        Outputs (N, outputs), and those that the loss is computed of: the same, or (N, T, outputs) of frames.
    """
    if not isinstance(network, ClipNetwork):
        outputs = network.compute_outputs(batch["images"])
        return outputs, outputs
    features, mask = network.encode_clips(batch["images"], batch["mask"]), batch["mask"]
    if not per_frame or not isinstance(network, TemporalNetwork):
        outputs = network.judge(features, mask)
        return outputs, outputs
    frames = network.judge_frames(features, mask)
    with torch.no_grad():
        return network.judge(features, mask), frames


def spread_over_frames(outputs: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Make a sample of each frame of clips. Frames of a clip share its target, and its weight if they are there.

    Args:
        outputs: (N, T, outputs).
        batch: ``targets`` (N, columns), ``weights`` (N,) and ``mask`` (N, T).

    Returns:
        Outputs (N T, outputs), and ``targets`` and ``weights`` of as many.
    """
    there = batch["mask"].to(batch["weights"].dtype)
    weights = batch["weights"][:, None] * there / there.sum(1, keepdim=True).clamp(min=1)
    targets = batch["targets"].repeat_interleave(outputs.shape[1], dim=0)
    return outputs.flatten(0, 1), {"targets": targets, "weights": weights.flatten()}

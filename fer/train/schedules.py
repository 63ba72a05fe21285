"""The learning rate over the steps of a training."""

import math


def compute_lr_factor(kind: str, step: int, steps: int, warmup: float, final: float) -> float:
    """The learning rate at ``step`` of ``steps``, as a fraction of the largest.

    A warm-up over the share ``warmup`` of the steps (along a cosine from 1/25 for `one_cycle`, arXiv:1708.07120,
    linear otherwise), then constant, or down to ``final`` along a cosine.
    """
    warmup_steps = warmup * steps
    if step < warmup_steps:
        progress = step / warmup_steps
        return (
            1 / 25 + 24 / 25 * _cosine_decay(1 - progress) if kind == "one_cycle" else (step + 1) / (warmup_steps + 1)
        )
    if kind == "constant":
        return 1.0
    progress = (step - warmup_steps) / max(steps - 1 - warmup_steps, 1)
    return final + (1 - final) * _cosine_decay(min(progress, 1.0))


def _cosine_decay(progress: float) -> float:
    """From 1 to 0 along half a cosine while ``progress`` goes from 0 to 1."""
    return (1 + math.cos(math.pi * progress)) / 2

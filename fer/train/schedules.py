"""The learning rate over the steps of a training."""

import math


def rate_factor(kind: str, step: int, steps: int, warmup: float, final: float) -> float:
    """The learning rate at ``step`` of ``steps``, as a fraction of the largest.

    A warm-up over the share ``warmup`` of the steps (along a cosine from 1/25 for `one_cycle`, arXiv:1708.07120,
    linear otherwise), then constant, or down to ``final`` along a cosine.
    """
    rising = warmup * steps
    if step < rising:
        progress = step / rising
        return 1 / 25 + 24 / 25 * fall(1 - progress) if kind == "one_cycle" else (step + 1) / (rising + 1)
    if kind == "constant":
        return 1.0
    progress = (step - rising) / max(steps - 1 - rising, 1)
    return final + (1 - final) * fall(min(progress, 1.0))


def fall(progress: float) -> float:
    """From 1 to 0 along half a cosine while ``progress`` goes from 0 to 1."""
    return (1 + math.cos(math.pi * progress)) / 2

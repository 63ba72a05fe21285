"""The learning rate over the steps of a training, as a fraction of the largest rate."""

import math
from collections.abc import Callable

# The fraction in the warm-up, from (step, warm-up steps).
WarmUp = Callable[[int, float], float]
# The fraction after it, from (progress from 0 to 1, fraction at the last step).
Decay = Callable[[float, float], float]


def _warm_up_linearly(step: int, warmup_steps: float) -> float:
    return (step + 1) / (warmup_steps + 1)


def _warm_up_along_cosine(step: int, warmup_steps: float) -> float:
    """From 1/25 (arXiv:1708.07120)."""
    return 1 / 25 + 24 / 25 * _fall_along_cosine(1 - step / warmup_steps)


def _decay_along_cosine(progress: float, final: float) -> float:
    return final + (1 - final) * _fall_along_cosine(progress)


def _stay_constant(progress: float, final: float) -> float:
    return 1.0


def _fall_along_cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine while ``progress`` goes from 0 to 1."""
    return (1 + math.cos(math.pi * progress)) / 2


# The kinds of optimizer.schedule.kind.
SCHEDULES: dict[str, tuple[WarmUp, Decay]] = {
    "one_cycle": (_warm_up_along_cosine, _decay_along_cosine),
    "cosine": (_warm_up_linearly, _decay_along_cosine),
    "constant": (_warm_up_linearly, _stay_constant),
}


def compute_lr_factor(kind: str, step: int, steps: int, warmup: float, final: float) -> float:
    """Compute the learning rate of a step as a fraction of the largest.

    Args:
        kind: One of SCHEDULES.
        step: The step, from 0; Lightning also asks for ``steps`` itself.
        steps: Number of steps of the training.
        warmup: Fraction of the steps in which the rate rises.
        final: Fraction at the last step.
    """
    warm_up, decay = SCHEDULES[kind]
    warmup_steps = warmup * steps
    if step < warmup_steps:
        return warm_up(step, warmup_steps)
    return decay(min((step - warmup_steps) / max(steps - 1 - warmup_steps, 1), 1.0), final)

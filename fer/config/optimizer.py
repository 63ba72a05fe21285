"""Section `optimizer`: AdamW and its learning rate over time."""

from typing import Literal

from pydantic import Field

from fer.config.base import Fraction, Probability, Section


class Schedule(Section):
    """The learning rate over the steps of a training."""

    kind: Literal["one_cycle", "cosine", "constant"] = Field(
        description="`one_cycle` (arXiv:1708.07120), `cosine` decay, or `constant`, each after a warm-up"
    )
    warmup: Fraction = Field(description="Fraction of all steps in which the rate rises to `optimizer.lr`")
    final: Probability = Field(description="Rate at the last step, as a fraction of `optimizer.lr` (not constant)")


class Optimizer(Section):
    """AdamW; norms and biases are never decayed."""

    name: Literal["adamw"] = Field(description="The optimizer")
    lr: float = Field(gt=0, le=10, description="Largest learning rate")
    weight_decay: float = Field(ge=0, le=10, description="Decay of weights other than norms and biases")
    schedule: Schedule = Field(description="The learning rate over the steps")

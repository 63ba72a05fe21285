"""Section `optimizer`: the optimizer and its learning rate over time."""

import importlib.util
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from fer.config.base import Fraction, Probability, Section


class Schedule(Section):
    """The learning rate over the steps of a training."""

    kind: Literal["one_cycle", "cosine", "constant"] = Field(
        description="`one_cycle` (arXiv:1708.07120), `cosine` decay, or `constant`, each after a warm-up"
    )
    warmup: Fraction = Field(description="Fraction of all steps in which the rate rises to `optimizer.lr`")
    final: Probability = Field(description="Rate at the last step, as a fraction of `optimizer.lr` (not constant)")


@cache
def list_timm_optimizers() -> frozenset[str]:
    """List the names that timm's factory of optimizers knows, PyTorch's own among them, read from its file.

    Importing it takes seconds.
    """
    spec = importlib.util.find_spec("timm")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    files = [Path(folder, "optim", "_optim_factory.py") for folder in folders]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    names = frozenset(name for text in texts for name in re.findall(r"name='(\w+)'", text))
    # Those that need several passes or second derivatives a step, which a training here has not.
    return (names | {"adamw"}) - {"lbfgs", "adahessian"}


class Optimizer(Section):
    """The optimizer; norms and biases are never decayed."""

    name: str = Field(description="Any optimizer of timm or PyTorch by timm's name, such as adamw, sgd, lamb or lion")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Further arguments of the optimizer, such as {betas: [0.9, 0.98]} or {momentum: 0.9}",
    )
    lr: float = Field(gt=0, le=10, description="Largest learning rate")
    weight_decay: float = Field(ge=0, le=10, description="Decay of weights other than norms and biases")
    schedule: Schedule = Field(description="The learning rate over the steps")

    @field_validator("name")
    @classmethod
    def check_name(cls, value: str) -> str:
        """Check that timm has the optimizer."""
        known = list_timm_optimizers()
        if value not in known:
            near = get_close_matches(value, known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; allowed are {', '.join(sorted(known))}"
            raise ValueError(f"no optimizer of timm or PyTorch has this name{hint}")
        return value

    @field_validator("options")
    @classmethod
    def check_options(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Check that no option stands for a key of its own."""
        if twice := sorted({"lr", "weight_decay", "params"} & value.keys()):
            raise ValueError(f"{twice[0]} is no option; use optimizer.lr and optimizer.weight_decay")
        return value

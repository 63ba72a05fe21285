"""Section `optimizer`: the optimizer and its learning rate over time."""

import importlib.util
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from fer.config.base import Fraction, Options, Probability, Section

# The kinds of fer.train.schedules, which takes seconds to import.
OWN_SCHEDULES = ("one_cycle", "cosine", "constant")
# Arguments of schedulers that are the length of the training where they are not given.
LENGTHS = ("T_max", "t_initial", "total_steps")
# What they take is functions or other schedulers.
WITHOUT_VALUES = frozenset({"LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler"})


class Schedule(Section):
    """The learning rate over the steps of a training."""

    kind: str = Field(
        description="`one_cycle` (arXiv:1708.07120), `cosine` decay, or `constant`, each after a warm-up; or any "
        "scheduler of PyTorch or timm by its class name, such as CosineAnnealingWarmRestarts or TanhLRScheduler",
        json_schema_extra={"pattern": rf"^({'|'.join(OWN_SCHEDULES)}|[A-Z]\w+)$"},
    )
    warmup: Fraction = Field(description="Fraction of all steps in which the rate rises to `optimizer.lr` (own kinds)")
    final: Probability = Field(
        description="Rate at the last step, as a fraction of `optimizer.lr` (own kinds, not constant)"
    )
    options: Options = Field(
        default_factory=dict,
        description="Arguments of a scheduler of PyTorch or timm, such as {T_0: 5}; its length, its largest rate and "
        "the mode of a plateau follow from the training where they are not given",
    )
    interval: Literal["epoch", "step"] = Field(
        default="epoch",
        description="When a scheduler of PyTorch or timm changes the rate, and in what its arguments count",
    )

    @field_validator("kind")
    @classmethod
    def check_kind(cls, value: str) -> str:
        """Check that PyTorch or timm has the scheduler."""
        if value in OWN_SCHEDULES or value in list_library_schedules():
            return value
        if value in WITHOUT_VALUES:
            raise ValueError("takes functions or other schedulers, which a configuration cannot hold")
        near = _find_near_schedules(value)
        hint = (
            f"did you mean {' or '.join(near)}?" if near else f"those are {', '.join(sorted(list_library_schedules()))}"
        )
        raise ValueError(
            f"allowed are one_cycle, cosine or constant, and the schedulers of PyTorch and timm by class name; {hint}"
        )

    @field_validator("options")
    @classmethod
    def check_options(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Check that no option stands for a key of its own."""
        if "t_in_epochs" in value:
            raise ValueError("t_in_epochs is no option; use optimizer.schedule.interval")
        return value

    @model_validator(mode="after")
    def check_interval(self) -> "Schedule":
        """Check that what watches a metric changes the rate when there is one."""
        if watches_metric(self.kind) and self.interval == "step":
            raise ValueError(f"{self.kind} watches a metric, which there is once an epoch; use interval=epoch")
        return self


def watches_metric(kind: str) -> bool:
    """Whether a schedule changes the rate where a metric gets no better."""
    return "Plateau" in kind


def _read_library_files(library: str, pattern: str) -> str:
    """The text of a library's files, which takes seconds less than to import it."""
    spec = importlib.util.find_spec(library)
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    files = [file for folder in folders for file in sorted(Path(folder).glob(pattern))]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@cache
def list_library_schedules() -> frozenset[str]:
    """List the class names of PyTorch's and timm's schedulers that values describe, read from their files."""
    text = _read_library_files("torch", "optim/lr_scheduler.py") + _read_library_files("timm", "scheduler/*.py")
    return frozenset(re.findall(r"^class ([A-Z]\w*)\((?:LR)?Scheduler\)", text, re.MULTILINE)) - WITHOUT_VALUES


def _find_near_schedules(name: str) -> list[str]:
    """The kinds that a misspelt one, or one in another spelling (`step`, `cosine_annealing`), most likely means."""

    def simplify(kind: str) -> str:
        return re.sub(r"[^a-z]|lr|scheduler", "", kind.lower())

    meant = simplify(name)
    known = {kind: simplify(kind) for kind in (*OWN_SCHEDULES, *sorted(list_library_schedules()))}
    near = [kind for kind, simple in known.items() if meant == simple or (len(meant) > 3 and meant in simple)]
    if not near:
        alike = get_close_matches(meant, known.values(), n=3)
        near = [kind for kind, simple in known.items() if simple in alike]
    return sorted(near, key=lambda kind: (known[kind] != meant, len(kind)))[:4]


@cache
def list_timm_optimizers() -> frozenset[str]:
    """List the names that timm's factory of optimizers knows, PyTorch's own among them, read from its file.

    Importing it takes seconds.
    """
    text = _read_library_files("timm", "optim/_optim_factory.py")
    names = frozenset(re.findall(r"name='(\w+)'", text))
    # Those that need several passes or second derivatives a step, which a training here has not.
    return (names | {"adamw"}) - {"lbfgs", "adahessian"}


class Optimizer(Section):
    """The optimizer; norms and biases are never decayed."""

    name: str = Field(description="Any optimizer of timm or PyTorch by timm's name, such as adamw, sgd, lamb or lion")
    options: Options = Field(
        default_factory=dict,
        description="Further arguments of the optimizer, such as {betas: [0.9, 0.98]} or {momentum: 0.9}",
    )
    fused: Literal["auto", "gpu"] = Field(
        default="gpu",
        description="Where AdamW's step is one kernel: `auto` on CPUs and NVIDIA GPUs, `gpu` on the latter alone, as "
        "before; on a CPU it takes less than half of the time and gives other last bits",
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

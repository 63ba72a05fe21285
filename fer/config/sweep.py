"""Section `sweep`: the metric by which the jobs of a sweep are compared."""

from typing import Any, Literal

from pydantic import Field

from fer.config.base import NewPath, Section
from fer.config.trainer import Monitor


class Sweep(Section):
    """Many runs that differ by their overrides (`train.py -m`)."""

    metric: Monitor | None = Field(
        None,
        description="The validation metric, at the best epoch, that a job hands to the sweeper; null takes "
        "trainer.early_stopping.monitor. val_loss is minimised, the others are maximised",
    )
    resume: NewPath | None = Field(
        None,
        description="The directory of a sweep to go on with: only what is missing runs (`train.py sweep.resume=DIR`)",
    )


class Pruner(Section):
    """`hydra.sweeper.pruner`: which trials end early."""

    kind: Literal["median", "none"] = Field(description="End what is below the median of the others at an epoch")
    startup_trials: int = Field(ge=0, description="Trials that are never ended, to compare with")
    warmup_epochs: int = Field(ge=0, description="Epochs in which no trial is ended")


class OptunaSearch(Section):
    """`hydra.sweeper` where `hydra/sweeper=optuna`."""

    params: dict[str, Any] = Field(description="Key: range, in Hydra's grammar")
    n_trials: int = Field(ge=1, description="Trials in all, those before an interruption included")
    batch: int | None = Field(ge=1, description="Trials that are asked for at a time; null: as the launcher runs them")
    sampler: Literal["tpe", "random"] = Field(description="How the next trial is chosen")
    startup_trials: int = Field(ge=1, description="Trials that are drawn at random before tpe begins")
    seed: int = Field(ge=0, description="Seed of the sampler")
    pruner: Pruner = Field(description="Which trials end early")
    storage: str | None = Field(min_length=1, description="SQLAlchemy URL; null: study.db in the sweep's directory")

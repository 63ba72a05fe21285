"""Optuna's study of a sweep: its store, sampler and pruner."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer.errors import UserError, shorten_error
from fer.sweep.records import Direction

if TYPE_CHECKING:
    import optuna

# The file in a job's run directory that names its trial.
STUDY_NAME = "sweep"
# Seconds for which a writer waits for another one: SQLite takes one at a time.
BUSY_TIMEOUT_S = 60


@dataclass(frozen=True)
class StudyConfig:
    """Where a study is kept (an SQLAlchemy URL), whether its figure is to grow, and its pruner's settings."""

    storage: str
    direction: Direction
    pruner: dict[str, Any]


def open_study(config: StudyConfig) -> "optuna.Study":
    """The study of a place, made where it is not there. Raises UserError."""
    # Optuna takes half a second to import.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    engine_options = {"connect_args": {"timeout": BUSY_TIMEOUT_S}} if config.storage.startswith("sqlite") else {}
    try:
        return optuna.create_study(
            storage=optuna.storages.RDBStorage(config.storage, engine_kwargs=engine_options),
            study_name=STUDY_NAME,
            direction=config.direction,
            pruner=_build_pruner(**config.pruner),
            load_if_exists=True,
        )
    except Exception as error:
        # Whatever the database's driver raises.
        raise UserError(f"hydra.sweeper.storage={config.storage}: cannot be used ({shorten_error(error)})") from None


def _build_pruner(kind: str, startup_trials: int, warmup_epochs: int) -> "optuna.pruners.BasePruner":
    """`median` ends what is below the median of the others at the same epoch; `none` ends nothing."""
    import optuna

    if kind == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=startup_trials, n_warmup_steps=warmup_epochs)

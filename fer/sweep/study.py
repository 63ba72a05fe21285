"""Optuna's study of a sweep: its storage and its pruner."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer.errors import UserError, shorten_error
from fer.sweep.records import Direction

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "sweep"
# Seconds for which a writer waits for another one: SQLite takes one writer at a time.
BUSY_TIMEOUT_S = 60


@dataclass(frozen=True)
class StudyConfig:
    """Where a study is stored (an SQLAlchemy URL), the direction of its metric, and the settings of its pruner."""

    storage: str
    direction: Direction
    pruner: dict[str, Any]


def open_study(config: StudyConfig) -> "optuna.Study":
    """Open the study of a sweep, or create it. Raises UserError where the storage cannot be used."""
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
    """`median` ends a trial below the median of the others at the same epoch; `none` ends nothing."""
    import optuna

    pruners: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=startup_trials, n_warmup_steps=warmup_epochs),
        "none": optuna.pruners.NopPruner,
    }
    return pruners[kind]()

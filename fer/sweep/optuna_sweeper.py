"""A Hydra sweeper that lets Optuna choose the jobs: `hydra/sweeper=optuna`.

hydra-optuna-sweeper stops at Optuna 2.10, which neither prunes jobs nor works with today's SQLAlchemy. Every trial is a
job of fer.sweep.job; trial and job have the same number, so a resumed sweep finds the directory of each.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from pydantic import ValidationError
from typing_extensions import override

from fer.config.sweep import OptunaSearch
from fer.core.io import write_text
from fer.core.run_layout import TRIAL_JSON
from fer.errors import ConfigError
from fer.sweep.grid_sweeper import ComposeOnceSweeper
from fer.sweep.records import SweepJob, read_job, read_sweep
from fer.sweep.search_space import SearchParameter, split_overrides
from fer.sweep.study import StudyConfig, open_study

if TYPE_CHECKING:
    import optuna


class BaseOptunaSweeper(ComposeOnceSweeper):
    """Trials of an Optuna study; arguments as in conf/hydra/sweeper/optuna.yaml."""

    def __init__(self, **settings: Any) -> None:
        # Checked in `sweep`: Hydra would wrap an error of this constructor into one of its own.
        self.settings = {key: _to_container(value) for key, value in settings.items()}

    @override
    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has ``n_trials``, first those that a killed sweep has left. Raises UserError."""
        assert self.config is not None
        search = _validate_settings(self.settings)
        space, fixed = split_overrides([*(f"{key}={value}" for key, value in search.params.items()), *arguments])
        if not space:
            raise ConfigError(
                "hydra/sweeper=optuna: nothing to search; give a range, such as "
                "'optimizer.lr=tag(log, interval(1e-4,1e-2))'"
            )
        directory = Path(self.config.hydra.sweep.dir)
        sweep = read_sweep(directory)
        storage = search.storage or f"sqlite:///{directory.resolve()}/study.db"
        study_config = StudyConfig(storage, sweep.direction, search.pruner.model_dump())
        study = open_study(study_config)
        pending = _find_unfinished_trials(study, space, directory)
        while pending or len(study.trials) < search.n_trials:
            study.sampler = _build_sampler(search, len(study.trials))
            free_slots = (search.batch or sweep.at_once) - len(pending)
            for _ in range(min(free_slots, search.n_trials - len(study.trials))):
                trial = study.ask()
                _suggest_parameters(trial, space)
                pending.append(trial.number)
            for numbers in _group_consecutive(sorted(pending)):
                trials = [study.trials[number] for number in numbers]
                _write_trials(directory, study_config, trials)
                self._launch([[*fixed, *(f"{key}={trial.params[key]}" for key in space)] for trial in trials], numbers)
                for number in numbers:
                    _tell_study(study, read_job(directory / str(number)))
            pending = []
        counts = Counter(trial.state.name.lower() for trial in study.trials)
        print("Trials: " + ", ".join(f"{count} {state}" for state, count in counts.items()))

    def _launch(self, jobs: list[list[str]], numbers: Sequence[int]) -> None:
        """Run jobs with consecutive numbers."""
        self.validate_batch_is_legal(jobs)
        self.launcher.launch(jobs, initial_job_idx=numbers[0])


def _write_trials(directory: Path, config: StudyConfig, trials: "Sequence[optuna.trial.FrozenTrial]") -> None:
    """Write trial.json into the run directory of each trial, which names it to its training."""
    for trial in trials:
        content = json.dumps({"study": asdict(config), "trial_id": trial._trial_id})
        write_text(directory / str(trial.number) / TRIAL_JSON, content)


def _to_container(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _validate_settings(settings: dict[str, Any]) -> OptunaSearch:
    """Check the sweeper's settings. Raises ConfigError with a line for each that is wrong."""
    try:
        return OptunaSearch.model_validate(settings)
    except ValidationError as error:
        lines = []
        for detail in error.errors():
            key = ".".join(map(str, detail["loc"]))
            lines.append(f"hydra.sweeper.{key}={detail['input']}: {detail['msg']}")
        raise ConfigError("\n".join(lines)) from None


def _build_sampler(search: OptunaSearch, trials: int) -> "optuna.samplers.BaseSampler":
    """Build a sampler whose draws depend on the seed and the number of trials alone.

    So a resumed sweep goes on as the unbroken one would.
    """
    import optuna

    seed = random.Random(f"{search.seed} {trials}").getrandbits(32)
    samplers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "random": lambda: optuna.samplers.RandomSampler(seed),
        # Trials that run at the same time count as bad ones, so that they are not all the same.
        "tpe": lambda: optuna.samplers.TPESampler(
            n_startup_trials=search.startup_trials, seed=seed, constant_liar=True
        ),
    }
    return samplers[search.sampler]()


def _find_unfinished_trials(study: "optuna.Study", space: dict[str, SearchParameter], directory: Path) -> list[int]:
    """Return the numbers of the trials that a killed sweep has left, with all their parameters drawn."""
    import optuna

    unfinished = [trial for trial in study.trials if not trial.state.is_finished()]
    unfinished = [trial for trial in unfinished if not _tell_study(study, read_job(directory / str(trial.number)))]
    for trial in unfinished:
        _suggest_parameters(optuna.Trial(study, trial._trial_id), space)
    return [trial.number for trial in unfinished]


def _suggest_parameters(trial: "optuna.Trial", space: dict[str, SearchParameter]) -> None:
    """Draw the parameters of a trial; those that it has already are kept."""
    for key, parameter in space.items():
        if parameter.kind == "choice":
            trial.suggest_categorical(key, parameter.choices)
        elif parameter.kind == "int":
            step = int(parameter.step or 1)
            trial.suggest_int(key, int(parameter.low), int(parameter.high), step=step, log=parameter.log)
        else:
            trial.suggest_float(key, parameter.low, parameter.high, step=parameter.step, log=parameter.log)


def _tell_study(study: "optuna.Study", job: SweepJob | None) -> bool:
    """Tell the study how a trial's job ended, and whether it did: a killed one is left for a resumed sweep."""
    import optuna

    states = optuna.trial.TrialState
    if job is None or job.status not in ("finished", "pruned", "failed"):
        return False
    if job.status == "finished" and job.value is not None:
        study.tell(job.number, job.value)
    else:
        study.tell(job.number, state=states.PRUNED if job.status == "pruned" else states.FAIL)
    return True


def _group_consecutive(numbers: Sequence[int]) -> list[list[int]]:
    """Group ascending numbers that follow each other: Hydra counts the jobs of a launch upwards."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and groups[-1][-1] == number - 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups

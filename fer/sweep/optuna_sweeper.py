"""A Hydra sweeper that lets Optuna choose the jobs: `hydra/sweeper=optuna`.

hydra-optuna-sweeper ends at Optuna 2.10, which neither prunes jobs nor works with today's SQLAlchemy. Every trial is a
job of fer.sweep.job; trial and job have the same number, so a resumed sweep finds the directory of each.
"""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from fer.config.sweep import OptunaSearch
from fer.core.io import write_text
from fer.errors import ConfigError
from fer.sweep.grid_sweeper import ComposedOnce
from fer.sweep.records import Job, read_job, read_sweep
from fer.sweep.search_space import Parameter, split
from fer.sweep.study import TRIAL, Place, open_study

if TYPE_CHECKING:
    import optuna


class OptunaSweep(ComposedOnce):
    """Arguments as in conf/hydra/sweeper/optuna.yaml."""

    def __init__(self, **settings: Any) -> None:
        # Checked in `sweep`: Hydra would wrap an error of this constructor into its own words.
        self.settings = {key: plain(value) for key, value in settings.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has ``n_trials``, first those that a killed sweep has left. Raises UserError."""
        assert self.config is not None and self.launcher is not None
        search = checked(self.settings)
        space, fixed = split([*(f"{key}={value}" for key, value in search.params.items()), *arguments])
        if not space:
            raise ConfigError(
                "hydra/sweeper=optuna: nothing to search; give a range, such as "
                "'optimizer.lr=tag(log, interval(1e-4,1e-2))'"
            )
        directory = Path(self.config.hydra.sweep.dir)
        sweep = read_sweep(directory)
        storage = search.storage or f"sqlite:///{directory.resolve()}/study.db"
        place = Place(storage, sweep.direction, search.pruner.model_dump())
        study = open_study(place)
        waiting = left_behind(study, space, directory)
        while waiting or len(study.trials) < search.n_trials:
            study.sampler = sampler_of(search, len(study.trials))
            room = (search.batch or sweep.at_once) - len(waiting)
            for _ in range(min(room, search.n_trials - len(study.trials))):
                trial = study.ask()
                suggest(trial, space)
                waiting.append(trial.number)
            for numbers in consecutive(sorted(waiting)):
                trials = [study.trials[number] for number in numbers]
                for begun in trials:
                    content = json.dumps({"study": asdict(place), "trial_id": begun._trial_id})
                    write_text(directory / str(begun.number) / TRIAL, content)
                jobs = [[*fixed, *(f"{key}={begun.params[key]}" for key in space)] for begun in trials]
                self.validate_batch_is_legal(jobs)
                self.launcher.launch(jobs, initial_job_idx=numbers[0])
                for number in numbers:
                    told(study, read_job(directory / str(number)))
            waiting = []
        counts = Counter(trial.state.name.lower() for trial in study.trials)
        print("Trials: " + ", ".join(f"{count} {state}" for state, count in counts.items()))


def plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def checked(settings: dict[str, Any]) -> OptunaSearch:
    """The sweeper's settings. Raises ConfigError, a line a finding."""
    try:
        return OptunaSearch.model_validate(settings)
    except ValidationError as error:
        lines = []
        for found in error.errors():
            key = ".".join(str(part) for part in found["loc"])
            lines.append(f"hydra.sweeper.{key}={found['input']}: {found['msg']}")
        raise ConfigError("\n".join(lines)) from None


def sampler_of(search: OptunaSearch, trials: int) -> "optuna.samplers.BaseSampler":
    """A sampler whose draws depend on the seed and the number of trials alone, so that a resumed sweep goes on as the
    unbroken one would."""
    import optuna

    seed = random.Random(f"{search.seed} {trials}").getrandbits(32)
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed)
    # Trials that run at the same time count as bad ones, so that they are not all the same.
    return optuna.samplers.TPESampler(n_startup_trials=search.startup_trials, seed=seed, constant_liar=True)


def left_behind(study: "optuna.Study", space: dict[str, Parameter], directory: Path) -> list[int]:
    """Numbers of the trials that a killed sweep has begun and not ended, with all their parameters drawn."""
    import optuna

    begun = [trial for trial in study.trials if not trial.state.is_finished()]
    begun = [trial for trial in begun if not told(study, read_job(directory / str(trial.number)))]
    for trial in begun:
        suggest(optuna.Trial(study, trial._trial_id), space)
    return [trial.number for trial in begun]


def suggest(trial: "optuna.Trial", space: dict[str, Parameter]) -> None:
    """Draw the parameters of a trial; those that it has stay."""
    for key, parameter in space.items():
        if parameter.kind == "choice":
            trial.suggest_categorical(key, parameter.choices)
        elif parameter.kind == "int":
            step = int(parameter.step or 1)
            trial.suggest_int(key, int(parameter.low), int(parameter.high), step=step, log=parameter.log)
        else:
            trial.suggest_float(key, parameter.low, parameter.high, step=parameter.step, log=parameter.log)


def told(study: "optuna.Study", job: Job | None) -> bool:
    """Tell the study how a trial's job ended; a killed or interrupted one is left for a resumed sweep."""
    import optuna

    states = optuna.trial.TrialState
    if job is None or job.status not in ("finished", "pruned", "failed"):
        return False
    if job.status == "finished" and job.value is not None:
        study.tell(job.number, job.value)
    else:
        study.tell(job.number, state=states.PRUNED if job.status == "pruned" else states.FAIL)
    return True


def consecutive(numbers: Sequence[int]) -> list[list[int]]:
    """Runs of numbers that follow each other: Hydra counts the jobs of a launch upwards."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs

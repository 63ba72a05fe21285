"""Train a facial-expression classifier and evaluate it.

python train.py
    trains on drawn faces: nothing to download, about three minutes on two cores
python train.py experiment=ferplus dataset.sources.ferplus.root=ferplus.zip model.weights=FILE
    our recipe on FERPlus, from ImageNet weights in a local file
python train.py -m model=mobilenetv2_050,mobilenetv2_100 optimizer.lr=1e-3,5e-4 seed=0,1,2
    a sweep: one run a combination
python train.py resume=RUN_DIR
    goes on with a killed run in its own directory
python train.py sweep.resume=SWEEP_DIR
    goes on with a killed sweep: only what is missing runs
"""

import logging
import shlex
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fer.config import Config
from fer.config.compose import load_config
from fer.core.garbage import pause_garbage_collection
from fer.core.installation import CONF, format_command
from fer.core.process import exit_with_parent
from fer.core.run_layout import RUN_YAML
from fer.errors import ConfigError
from fer.runs.origin import describe_run_origin, explain_other_version
from fer.runs.program import get_overrides, get_run_directory, run_program, user_errors_to_exit_code
from fer.runs.run_directory import (
    load_run_config,
    read_status,
    redirect_log,
    remove_if_empty,
    return_to_directory,
)
from fer.sweep.callback import resolve_resume_arguments
from fer.sweep.job import run_job
from fer.sweep.validation import JOB_CHECKS

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(composed: DictConfig) -> float | None:
    """Run train.py with the configuration that Hydra has composed; the metric of a job in a sweep."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return run_job(composed)
    run_directory = get_run_directory()
    with user_errors_to_exit_code(run_directory):
        saved_run = _find_saved_run()
        with explain_other_version(saved_run):
            config = load_config(composed)
        origin = describe_run_origin(saved_run) if saved_run else []
        if config.resume is None:
            with pause_garbage_collection():
                from fer.train.preconditions import check_preconditions

            sources = check_preconditions(config)
            # PyTorch takes seconds to import; a mistake above is reported before.
            with pause_garbage_collection():
                from fer.train.pipeline import train

            for line in origin:
                log.info("%s: %s", saved_run, line)
            train(config, run_directory, sources)
        else:
            _resume_run(Path(config.resume), run_directory)
    return None


def _find_saved_run() -> Path | None:
    """The run that ``--config-dir RUN --config-name run`` runs again."""
    hydra_config = HydraConfig.get()
    folders = [Path(source.path) for source in hydra_config.runtime.config_sources if source.schema == "file"]
    named = hydra_config.job.config_name == Path(RUN_YAML).stem
    return next((folder for folder in folders if named and (folder / RUN_YAML).is_file()), None)


def _resume_run(saved: Path, run_directory: Path) -> None:
    """Go on with a run in its own directory, where nothing of its configuration is to change."""
    changes = [text for text in get_overrides() if not text.startswith("resume=")]
    if changes:
        raise ConfigError(
            f"{changes[0]}: a resumed run keeps its configuration; for another one start a new run: "
            f"{format_command('train.py')} --config-dir {shlex.quote(str(saved))} --config-name run "
            f"{shlex.quote(changes[0])}"
        )
    if saved.resolve() != run_directory.resolve():
        remove_if_empty(run_directory)
        redirect_log(saved)
    return_to_directory(saved)
    # A run that was begun has begun with what is checked here; one that cannot be read is refused before PyTorch comes.
    with explain_other_version(saved):
        config = load_run_config(saved)
    for line in describe_run_origin(saved):
        log.info("%s: %s", saved, line)
    from fer.train.preconditions import check_preconditions

    sources = check_preconditions(config) if read_status(saved) is None else None
    with pause_garbage_collection():
        from fer.train.pipeline import resume

    resume(saved, sources)


def _check_job(config: Config) -> None:
    from fer.train.preconditions import check_job

    check_job(config)


def run() -> None:
    """Train as the command line says."""
    exit_with_parent()
    JOB_CHECKS.append(_check_job)
    run_program(main, resolve_resume_arguments)


if __name__ == "__main__":
    run()

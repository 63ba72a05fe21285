"""Classify the faces in videos and images: a table with a row a face and frame, and a page to read.

python infer.py extraction.input=clips/
    every video and image below a directory, one frame a second, by the model that comes with the program
python infer.py model_uri=RUN extraction.input=clip.mp4 extraction=yunet extraction.sampling=all extraction.faces=all
    every frame, everybody in it, found by YuNet
python infer.py model_uri=models:/fer-mobilenetv2@champion inference.route=transform extraction.input=clips/
    by the registered model, in a batch
python infer.py resume=RUN_DIR
    goes on where a killed run stopped
python infer.py -m extraction.input=clips/ extraction.shares=8 hydra/launcher=submitit
    the videos shared out among jobs of a cluster, and one run of them all in the end
python infer.py sweep.resume=SWEEP_DIR
    goes on with killed jobs: only what is missing runs
"""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fer.config import Config, SageMakerAws
from fer.config.compose import load_config, load_overrides, refuse_executable_yaml
from fer.core.garbage import pause_garbage_collection
from fer.core.installation import CONF
from fer.core.process import exit_with_parent
from fer.infer.shares import JobCheck, expand_shares
from fer.runs.program import get_overrides, get_run_directory, run_program, user_errors_to_exit_code
from fer.runs.run_directory import remove_if_empty, return_to_directory
from fer.sweep.callback import SWEEP_ENDS, resolve_resume_arguments
from fer.sweep.validation import JOB_CHECKS


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(composed: DictConfig) -> None:
    """Run infer.py with the configuration that Hydra has composed."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from fer.infer.jobs import run_job

        run_job(composed)
        return
    run_directory = get_run_directory()
    with user_errors_to_exit_code(run_directory):
        config = load_config(composed, "infer")
        if config.dry_run:
            from fer.infer.dry_run import dry_run

            remove_if_empty(run_directory)
            dry_run(config)
            return
        if (saved := _find_run_to_resume(config)) is None:
            # The pipeline takes seconds to import; what is not there is told before.
            with pause_garbage_collection():
                _check_start(config)
                from fer.infer.pipeline import infer

            code = infer(config, run_directory)
        else:
            with pause_garbage_collection():
                from fer.infer.inputs import load_media
                from fer.infer.resume import resume

            remove_if_empty(run_directory)
            load_media(saved)
            refuse_executable_yaml(["--config-dir", str(saved)])
            # These overrides name the run, and change nothing in it.
            naming = ("resume=",) if config.resume else ("aws",)
            changes = [text for text in get_overrides() if not text.startswith(naming)]
            # Paths among the changes are relative to where they were typed, those of the run to where it began.
            resumed = load_overrides(changes, "infer", saved)
            return_to_directory(saved)
            code = resume(resumed, saved)
    if code:
        sys.exit(code)


def _check_start(config: Config) -> None:
    """Check that a new run has something to look at, and its model. Raises PreconditionError."""
    from fer.infer.inputs import check_inputs_are_there
    from fer.train.preconditions import refuse_before_start

    with refuse_before_start():
        check_inputs_are_there(config)
        if "predict" in config.extraction.stages:
            from fer.registry.resolve import check_model_is_there

            check_model_is_there(config)


def _find_run_to_resume(config: Config) -> Path | None:
    """Return the run directory that `resume` or the job to attach to names; None for a new run."""
    if config.resume is not None:
        return Path(config.resume)
    if isinstance(config.aws, SageMakerAws) and config.aws.transform.attach is not None:
        from fer.infer.resume import find_run_by_job

        return find_run_by_job(config.aws.transform.attach)
    return None


def _expand_arguments(arguments: list[str]) -> list[str]:
    return expand_shares(resolve_resume_arguments(arguments))


def _join_shares(directory: Path) -> None:
    from fer.infer.jobs import join_shares

    join_shares(directory)


def run() -> None:
    """Classify faces as the command line says."""
    exit_with_parent()
    JOB_CHECKS.extend([JobCheck(), _check_start])
    SWEEP_ENDS.append(_join_shares)
    run_program(main, _expand_arguments)


if __name__ == "__main__":
    run()

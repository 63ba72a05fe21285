"""Going on with an earlier run of infer.py."""

from pathlib import Path

from fer.config import Config
from fer.core.run_layout import RUN_YAML
from fer.errors import ConfigError, UserError
from fer.infer.inputs import load_media
from fer.infer.pipeline import run_stages, validate_and_pin
from fer.infer.route import check_version_approved
from fer.infer.study_inputs import keep_study, resume_study
from fer.infer.transform.sagemaker import STATE
from fer.infer.transform.stage import SHARDS
from fer.infer.upload import check_upload
from fer.runs.run_directory import Run, load_run_config

# Keys of section `extraction` that finished chunks do not depend on.
LATER_KEYS = {"stages", "smoothing", "groups", "study", "exports", "baseline_seconds", "annotate", "labels", "explain"}
LATER_KEYS |= {"retention_days", "upload"}
# And of section `inference`.
LATER_INFERENCE_KEYS = ("monitor", "sets")


def resume(config: Config, directory: Path) -> int:
    """Go on with an earlier run; what is finished stays.

    Args:
        config: The configuration of infer.py, as the run has it but for what comes after the finished part.
        directory: The run directory.

    Returns:
        The exit code, see ``fer.infer.pipeline.infer``.

    Raises:
        UserError: There is no run to go on with, or something else that a user can correct.
    """
    media = load_media(directory)
    # Pinned before it is written to run.yaml: the report of a later call is to mean the same model.
    config = validate_and_pin(config)
    validate_resume_config(config, directory)
    check_upload(config, is_new=False)
    study = resume_study(config, directory, media)
    # A job that was created may be waited for, whatever became of its version.
    if not (directory / SHARDS / STATE).is_file():
        check_version_approved(config)
    run = Run.resume(directory, config, "infer.py")
    if study is not None:
        keep_study(run, study)
    return run_stages(config, run, media)


def validate_resume_config(config: Config, directory: Path) -> None:
    """Refuse another configuration of what the finished chunks were made with. Raises ConfigError."""
    saved = load_run_config(directory, "infer")
    changed = {
        f"extraction.{key}"
        for key in type(config.extraction).model_fields
        if key not in LATER_KEYS and getattr(config.extraction, key) != getattr(saved.extraction, key)
    }
    # Where faces were only extracted, nothing was made with these yet.
    if saved.extraction.stages != ("extract",):
        if saved.model_uri != config.model_uri:
            changed.add("model_uri")
        if (
            config.inference.model_copy(update={key: getattr(saved.inference, key) for key in LATER_INFERENCE_KEYS})
            != saved.inference
        ):
            changed.add("inference")
        if config.aws.kind != saved.aws.kind or config.aws.transform.packing != saved.aws.transform.packing:
            changed.add("aws")
    if changed:
        raise ConfigError(
            f"{', '.join(sorted(changed))}: differ from {directory / RUN_YAML}, with which the finished part was made; "
            "start a new run instead of resume"
        )


def find_run_by_job(job: str) -> Path:
    """The run below outputs/infer that started a transform job. Raises UserError."""
    for state in sorted(Path("outputs/infer").glob(f"*/*/{SHARDS}/{STATE}")):
        if f'"{job}"' in state.read_text(encoding="utf-8"):
            return state.parents[1]
    raise UserError(f"aws.transform.attach={job}: no run below outputs/infer has started it; name the run: resume=RUN")

"""The pipeline of infer.py: faces of videos, their probabilities, tables and page, in one run directory."""

import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fer.aws.client import AwsClient
from fer.aws.s3 import check_bucket_private
from fer.config import Config, SageMakerAws
from fer.core.installation import format_command
from fer.core.io import write_text
from fer.core.run_layout import PARTS_DIR, REPORT_HTML, RUN_YAML
from fer.core.system import resolve_thread_count
from fer.errors import ConfigError, DataError, ExitCode, UserError, shorten_error
from fer.infer.chunk_store import ChunkStore
from fer.infer.inputs import list_inputs, resolve_media
from fer.infer.monitoring import publish_batch
from fer.infer.report import write_report
from fer.infer.stages import extract_and_predict, resolve_route
from fer.infer.transform.sagemaker import STATE
from fer.infer.transform.stage import SHARDS
from fer.monitoring.drift import BASELINE
from fer.monitoring.ground_truth import read_labels
from fer.registry.resolve import ResolvedModel, fetch_model, get_region, pin_model_uri
from fer.runs.run_directory import Run, load_run_config
from fer.video.media import Media

MEDIA = "media.json"
log = logging.getLogger(__name__)


def infer(config: Config, directory: Path) -> int:
    """Do the stages of ``config`` in a new run directory.

    The exit code: 0, 1 (nothing usable), 3 (some excluded) or 4 (out of the ordinary). Raises UserError for what a
    user can mend.
    """
    config = validate_and_pin(config)
    if config.extraction.stages[0] != "extract":
        raise ConfigError(
            f"extraction.stages={list(config.extraction.stages)}: goes on with an earlier run; name it with resume=RUN"
        )
    return run_stages(config, *create_run(config, directory))


def create_run(config: Config, directory: Path) -> tuple[Run, list[Media]]:
    """A new run in ``directory``, and what it is to look at. Raises UserError."""
    inputs = list_inputs(config)
    remote = any(given.startswith("s3://") for given in inputs)
    media = resolve_media(inputs, directory, AwsClient(get_region(config)) if remote else None)
    if media and config.extraction.labels:
        # A mistake in them is answered before hours of work.
        read_labels(Path(config.extraction.labels), [item.name for item in media])
    run = Run(directory, config, "infer.py")
    if not inputs:
        from fer.synthetic.video import write_clip

        media = [Media(write_clip(directory / "drawn"), "clip.mp4", "video")]
    content = [{"path": str(item.path), "name": item.name, "kind": item.kind, "remote": item.remote} for item in media]
    write_text(directory / PARTS_DIR / MEDIA, json.dumps(content, indent=2) + "\n")
    return run, media


def validate_and_pin(config: Config) -> Config:
    """The configuration with the one model that it means, where it judges. Raises UserError."""
    if "predict" not in config.extraction.stages:
        return config
    if isinstance(config.aws, SageMakerAws) and resolve_route(config) == "transform":
        if not (config.model_uri or "").startswith("models:/"):
            raise ConfigError(
                f"model_uri={config.model_uri}: SageMaker judges with a registered model; register it "
                f"({format_command('register.py')} aws=sagemaker …) and add model_uri=models:/NAME@champion"
            )
        if config.aws.role is None:
            raise ConfigError("aws.role: SageMaker needs a role to run the model with; add aws.role=ARN")
    return pin_model_uri(config)


def load_saved_media(directory: Path) -> list[Media]:
    """What the run in ``directory`` was to look at. Raises UserError where there is no run to go on with."""
    path = directory / PARTS_DIR / MEDIA
    if not path.is_file():
        raise UserError(f"resume={directory}: holds no run of infer.py that could go on")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [Media(Path(item["path"]), item["name"], item["kind"], item["remote"]) for item in content]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is damaged ({shorten_error(error)}); start a new run") from None


def resume(config: Config, directory: Path) -> int:
    """Go on with the run in ``directory``; what is finished stays. Raises UserError."""
    media = load_saved_media(directory)
    validate_resume_config(config, directory)
    return run_stages(validate_and_pin(config), Run.resume(directory, config, "infer.py"), media)


def validate_resume_config(config: Config, directory: Path) -> None:
    """Refuse another configuration of what the finished pieces were made with. Raises ConfigError."""
    saved = load_run_config(directory, "infer")
    later = {"stages", "smoothing", "groups", "baseline_seconds", "annotate", "labels"}
    changed = {
        f"extraction.{key}"
        for key in type(config.extraction).model_fields
        if key not in later and getattr(config.extraction, key) != getattr(saved.extraction, key)
    }
    # Where faces were only extracted, nothing was made with these yet.
    if saved.extraction.stages != ("extract",):
        if saved.model_uri != config.model_uri:
            changed.add("model_uri")
        if config.inference.model_copy(update={"monitor": saved.inference.monitor}) != saved.inference:
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


def run_stages(config: Config, run: Run, media: Sequence[Media]) -> int:
    """Extraction, prediction and report as asked for; marks how the run ended."""
    stages = config.extraction.stages
    monitoring = None
    with record_outcome(run, format_command("infer.py")):
        run.update_provenance(threads=resolve_thread_count(config.trainer.threads))
        if "extract" in stages or "predict" in stages:
            model = _prepare_model(config, run) if "predict" in stages else None
            start = time.monotonic()
            extract_and_predict(config, run.directory, media, model)
            run.update_provenance(judging_seconds=round(time.monotonic() - start, 3))
        stores = [ChunkStore.for_video(run.directory, number) for number in range(len(media))]
        records = [fact for part in stores if (fact := part.completion_record()) is not None]
        if len(records) < len(stores):
            raise UserError(
                f"{run.directory}: some videos are unfinished; go on with "
                f"`{format_command('infer.py')} resume={run.directory}`"
            )
        usable = sum(part.count_usable() for part in stores)
        if "report" in stages:
            monitoring = write_report(config, run, media)
            publish_batch(config, monitoring)
    excluded = [fact for fact in records if fact["problem"]]
    for fact in excluded:
        log.warning("Excluded: %s: %s", fact["video"], fact["problem"])
    warnings = monitoring["warnings"] if monitoring else []
    for warning in warnings:
        log.warning("%s", warning)
    run.finish("finished", excluded=len(excluded), warnings=warnings)
    log.info("Run directory: %s", run.directory)
    if "report" in stages:
        log.info("Report: %s", run.directory / REPORT_HTML)
    if not usable:
        log.warning("Nothing usable: no face in any frame could be judged")
        return ExitCode.ERROR
    if warnings:
        return ExitCode.DRIFT
    return ExitCode.PARTIAL if excluded else ExitCode.OK


@contextmanager
def record_outcome(run: Run, program: str) -> Iterator[None]:
    """Mark the run as interrupted or failed where the block does not end well; ``program`` goes on with it."""
    try:
        yield
    except KeyboardInterrupt:
        run.finish("interrupted")
        log.warning("Interrupted; go on with: %s resume=%s", program, run.directory)
        raise
    except BaseException as error:
        run.finish("failed", error=f"{type(error).__name__}: {error}")
        raise


def _prepare_model(config: Config, run: Run) -> ResolvedModel:
    """The model at hand in the run directory, with what monitoring compares to. Raises UserError."""
    if isinstance(config.aws, SageMakerAws) and resolve_route(config) == "transform":
        # Faces do not leave through a public bucket; that one is missing is told before hours of work.
        check_bucket_private(AwsClient(config.aws.region), config.aws.bucket)
    model = fetch_model(config, run.directory / PARTS_DIR / "model")
    run.update_provenance(model={"uri": config.model_uri, "package_sha256": model.sha256, "source": model.source})
    if (model.bundle_dir / BASELINE).is_file():
        shutil.copyfile(model.bundle_dir / BASELINE, run.directory / PARTS_DIR / BASELINE)
    return model

"""The pipeline of infer.py: faces of videos, their probabilities, tables and page, in one run directory."""

import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fer.aws.client import AwsCalls
from fer.aws.s3 import refuse_public
from fer.config import Config, SageMakerAws
from fer.core.io import write_text
from fer.core.system import thread_count
from fer.errors import ConfigError, DataError, ExitCode, UserError, first_line
from fer.infer.chunk_store import FOLDER, Parts
from fer.infer.inputs import inputs_of, media_of
from fer.infer.monitoring import publish_batch
from fer.infer.report import write_tables
from fer.infer.stages import extract_and_predict, route_of
from fer.infer.transform.sagemaker import STATE
from fer.infer.transform.stage import SHARDS
from fer.monitoring.drift import BASELINE
from fer.monitoring.ground_truth import read_labels
from fer.registry.resolve import Model, at_hand, pinned, region_of
from fer.runs.run_directory import RUN_YAML, Run, saved_config
from fer.video.media import Media

MEDIA = "media.json"
log = logging.getLogger(__name__)


def infer(config: Config, directory: Path) -> int:
    """Do the stages of ``config`` in a new run directory.

    The exit code: 0, 1 (nothing usable), 3 (some excluded) or 4 (out of the ordinary). Raises UserError for what a
    user can mend.
    """
    config = ready(config)
    if config.extraction.stages[0] != "extract":
        raise ConfigError(
            f"extraction.stages={list(config.extraction.stages)}: goes on with an earlier run; name it with resume=RUN"
        )
    return do_stages(config, *begun(config, directory))


def begun(config: Config, directory: Path) -> tuple[Run, list[Media]]:
    """A new run in ``directory``, and what it is to look at. Raises UserError."""
    inputs = inputs_of(config)
    remote = any(given.startswith("s3://") for given in inputs)
    media = media_of(inputs, directory, AwsCalls(region_of(config)) if remote else None)
    if media and config.extraction.labels:
        # A mistake in them is answered before hours of work.
        read_labels(Path(config.extraction.labels), [item.name for item in media])
    run = Run(directory, config, "infer.py")
    if not inputs:
        from fer.synthetic.video import write_clip

        media = [Media(write_clip(directory / "drawn"), "clip.mp4", "video")]
    content = [{"path": str(item.path), "name": item.name, "kind": item.kind, "remote": item.remote} for item in media]
    write_text(directory / FOLDER / MEDIA, json.dumps(content, indent=2) + "\n")
    return run, media


def ready(config: Config) -> Config:
    """The configuration with the one model that it means, where it judges. Raises UserError."""
    if "predict" not in config.extraction.stages:
        return config
    if isinstance(config.aws, SageMakerAws) and route_of(config) == "transform":
        if not (config.model_uri or "").startswith("models:/"):
            raise ConfigError(
                f"model_uri={config.model_uri}: SageMaker judges with a registered model; register it "
                "(python register.py aws=sagemaker …) and add model_uri=models:/NAME@champion"
            )
        if config.aws.role is None:
            raise ConfigError("aws.role: SageMaker needs a role to run the model with; add aws.role=ARN")
    return pinned(config)


def saved_media(directory: Path) -> list[Media]:
    """What the run in ``directory`` was to look at. Raises UserError where there is no run to go on with."""
    listed = directory / FOLDER / MEDIA
    if not listed.is_file():
        raise UserError(f"resume={directory}: holds no run of infer.py that could go on")
    try:
        content = json.loads(listed.read_text(encoding="utf-8"))
        return [Media(Path(item["path"]), item["name"], item["kind"], item["remote"]) for item in content]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{listed}: is damaged ({first_line(error)}); start a new run") from None


def resume(config: Config, directory: Path) -> int:
    """Go on with the run in ``directory``; what is finished stays. Raises UserError."""
    media = saved_media(directory)
    refuse_changes(config, directory)
    return do_stages(ready(config), Run.again(directory, config, "infer.py"), media)


def refuse_changes(config: Config, directory: Path) -> None:
    """Refuse another configuration of what the finished pieces were made with. Raises ConfigError."""
    saved = saved_config(directory, "infer")
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


def run_of_job(job: str) -> Path:
    """The run below outputs/infer that started a transform job. Raises UserError."""
    for state in sorted(Path("outputs/infer").glob(f"*/*/{SHARDS}/{STATE}")):
        if f'"{job}"' in state.read_text(encoding="utf-8"):
            return state.parents[1]
    raise UserError(f"aws.transform.attach={job}: no run below outputs/infer has started it; name the run: resume=RUN")


def do_stages(config: Config, run: Run, media: Sequence[Media]) -> int:
    """Extraction, prediction and report as asked for; marks how the run ended."""
    stages = config.extraction.stages
    monitoring = None
    with marked(run, "python infer.py"):
        run.note(threads=thread_count(config.trainer.threads))
        if "extract" in stages or "predict" in stages:
            model = model_for(config, run) if "predict" in stages else None
            start = time.monotonic()
            extract_and_predict(config, run.directory, media, model)
            run.note(judging_seconds=round(time.monotonic() - start, 3))
        parts = [Parts.of(run.directory, number) for number in range(len(media))]
        facts = [fact for part in parts if (fact := part.ended()) is not None]
        if len(facts) < len(parts):
            raise UserError(
                f"{run.directory}: some videos are unfinished; go on with `infer.py resume={run.directory}`"
            )
        usable = sum(part.usable() for part in parts)
        if "report" in stages:
            monitoring = write_tables(config, run, media)
            publish_batch(config, monitoring)
    excluded = [fact for fact in facts if fact["problem"]]
    for fact in excluded:
        log.warning("Excluded: %s: %s", fact["video"], fact["problem"])
    warnings = monitoring["warnings"] if monitoring else []
    for warning in warnings:
        log.warning("%s", warning)
    run.end("finished", excluded=len(excluded), warnings=warnings)
    log.info("Run directory: %s", run.directory)
    if "report" in stages:
        log.info("Report: %s", run.directory / "report.html")
    if not usable:
        log.warning("Nothing usable: no face in any frame could be judged")
        return ExitCode.ERROR
    if warnings:
        return ExitCode.DRIFT
    return ExitCode.PARTIAL if excluded else ExitCode.OK


@contextmanager
def marked(run: Run, program: str) -> Iterator[None]:
    """Mark the run as interrupted or failed where the block does not end well; ``program`` goes on with it."""
    try:
        yield
    except KeyboardInterrupt:
        run.end("interrupted")
        log.warning("Interrupted; go on with: %s resume=%s", program, run.directory)
        raise
    except BaseException as error:
        run.end("failed", error=f"{type(error).__name__}: {error}")
        raise


def model_for(config: Config, run: Run) -> Model:
    """The model at hand in the run directory, with what monitoring compares to. Raises UserError."""
    if isinstance(config.aws, SageMakerAws) and route_of(config) == "transform":
        # Faces do not leave through a public bucket; that one is missing is told before hours of work.
        refuse_public(AwsCalls(config.aws.region), config.aws.bucket)
    model = at_hand(config, run.directory / FOLDER / "model")
    run.note(model={"uri": config.model_uri, "package_sha256": model.sha256, "source": model.source})
    if (model.own_bundle / BASELINE).is_file():
        shutil.copyfile(model.own_bundle / BASELINE, run.directory / FOLDER / BASELINE)
    return model

"""The pipeline of infer.py: faces of videos, their probabilities, tables and page, in one run directory."""

import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer.aws.client import AwsClient
from fer.aws.s3 import check_bucket_private
from fer.bundle.locate import PRETRAINED, names_pretrained
from fer.bundle.metadata import read_description
from fer.bundle.performance import read_performance
from fer.config import Config
from fer.core.extras import SERVER_PACKAGES, require_packages
from fer.core.installation import format_command, format_resume_command
from fer.core.io import write_text
from fer.core.run_layout import PARTS_DIR, PERFORMANCE_JSON, REPORT_HTML, STUDY_HTML
from fer.core.system import resolve_thread_count
from fer.errors import ConfigError, DataError, ExitCode, PreconditionError, UserError
from fer.infer.analysis import extract_and_predict
from fer.infer.covering import save_covered_frames
from fer.infer.device import describe_plan, plan_inference
from fer.infer.face_dataset import write_face_dataset
from fer.infer.inputs import FETCHED, MediaFetcher, describe_left_out, list_inputs, resolve_media, save_media
from fer.infer.monitoring import MODEL, publish_batch
from fer.infer.report import write_report
from fer.infer.route import check_cloud_settings, check_version_approved, get_sagemaker_transform, uses_transform
from fer.infer.shares import list_numbers
from fer.infer.study_inputs import check_media, keep_study, list_study_inputs, start_study
from fer.infer.uncertainty import save_uncertainty
from fer.infer.upload import check_upload, upload_results
from fer.infer.video_stores import VideoStore, open_video_stores
from fer.infer.window_facts import keep_window, refuse_explanations
from fer.infer.window_sampling import settle_sampling
from fer.infer.windows import WindowFormat
from fer.monitoring.drift import BASELINE
from fer.monitoring.ground_truth import read_labels
from fer.registry.resolve import ResolvedModel, fetch_model, get_region, open_stores, pin_model_uri
from fer.runs.detector_choice import pin_detector
from fer.runs.run_directory import Run
from fer.video.media import Media

log = logging.getLogger(__name__)


def infer(config: Config, directory: Path) -> int:
    """Do the stages of a configuration in a new run directory.

    Args:
        config: The configuration of infer.py.
        directory: The new run directory.

    Returns:
        The exit code: 0, 1 (nothing usable), 3 (some videos excluded) or 4 (beyond a limit of the monitoring).

    Raises:
        UserError: Something that a user can correct.

    Examples:
        >>> infer(load_overrides(["extraction.input=clips/"], "infer"), Path("outputs/mine"))
        <ExitCode.OK: 0>
    """
    config = validate_and_pin(config)
    check_version_approved(config)
    if config.extraction.stages[0] != "extract":
        raise ConfigError(
            f"extraction.stages={list(config.extraction.stages)}: goes on with an earlier run; name it with resume=RUN"
        )
    check_upload(config, is_new=True)
    return run_stages(*create_run(config, directory))


def validate_and_pin(config: Config) -> Config:
    """The configuration with the one model that it means, where it classifies; null is the shipped one.

    Raises:
        UserError: There is no such model, or it cannot be used so.
    """
    if config.extraction.explain and "report" in config.extraction.stages:
        require_packages("captum", purpose="extraction.explain=true")
    check_cloud_settings(config)
    if config.extraction.blur == "all" and uses_transform(config):
        raise ConfigError(
            "extraction.blur=all: a batch transform keeps crops of faces; use inference.route=process, which keeps none"
        )
    if "predict" not in config.extraction.stages:
        return config
    inference = config.inference
    if uses_transform(config) and (
        inference.device == "gpu" or inference.precision == "16" or inference.runtime == "openvino"
    ):
        raise ConfigError(
            f"inference.device={inference.device}, inference.precision={inference.precision}, "
            f"inference.runtime={inference.runtime}: a batch transform classifies on CPUs in full precision, by ONNX "
            "Runtime; use inference.route=process for a GPU or OpenVINO"
        )
    if (aws := get_sagemaker_transform(config)) is not None:
        uris = config.list_model_uris()
        if len(uris) != 1 or not uris[0].startswith("models:/"):
            named = config.format_model_uri() if uris else PRETRAINED
            raise ConfigError(
                f"model_uri={named}: SageMaker classifies with a registered model; register "
                f"it ({format_command('register.py')} aws=sagemaker …) and add model_uri=models:/NAME@champion"
            )
        if aws.role is None:
            raise ConfigError("aws.role: SageMaker needs a role to run the model with; add aws.role=ARN")
    elif uses_transform(config):
        # The packaged model is served by a process of its own.
        require_packages(*SERVER_PACKAGES, purpose="inference.route=transform")
    else:
        # A GPU that is missing is reported before hours of work.
        plan_inference(inference)
    return pin_model_uri(config, default=PRETRAINED)


def create_run(config: Config, directory: Path) -> tuple[Config, Run, list[Media]]:
    """Start a run in ``directory``, and find what it is to look at, and by which detector. Raises UserError."""
    study = start_study(config)
    inputs = list_inputs(config) if study is None else list_study_inputs(study.study)
    left_out: list[str] = []
    try:
        media = resolve_media(inputs, directory, open_stores(config), left_out)
    except DataError as error:
        # Nothing to look at was found, and nothing was started.
        raise PreconditionError(str(error)) from None
    if study is not None:
        check_media(study.study, media, f"extraction.study={config.extraction.study}")
    if media and config.extraction.labels:
        # A mistake in them is answered before hours of work.
        read_labels(Path(config.extraction.labels), [item.name for item in media])
    extraction, detector = pin_detector(config.extraction)
    config = config.model_copy(update={"extraction": extraction})
    run = Run(directory, config, "infer.py")
    run.update_provenance(detector=detector, **describe_left_out(left_out))
    if study is not None:
        keep_study(run, study)
    if not inputs:
        from fer.synthetic.video import write_clip

        media = [Media(write_clip(directory / "drawn"), "clip.mp4", "video")]
    save_media(media, directory)
    return config, run, media


def run_stages(config: Config, run: Run, media: Sequence[Media]) -> int:
    """Do the stages that the configuration asks for, and record how the run ended.

    Args:
        config: A configuration of ``validate_and_pin``.
        run: The run, new or resumed.
        media: What it looks at.

    Returns:
        The exit code, see ``infer``.

    Raises:
        UserError: Something that a user can correct.
    """
    stages = _list_stages(config)
    warnings: list[str] = []
    usable: int | None = None
    with record_outcome(run, "infer.py"):
        run.update_provenance(threads=resolve_thread_count(config.trainer.threads))
        refuse_explanations(config, run)
        if "extract" in stages or "predict" in stages:
            model, window = _prepare_model(config, run) if "predict" in stages else (None, None)
            config = settle_sampling(config, run, window)
            start = time.monotonic()
            plan = extract_and_predict(config, run.directory, media, model, window)
            run.update_provenance(judging_seconds=round(time.monotonic() - start, 3))
            if plan is not None:
                run.update_provenance(inference=describe_plan(plan))
            if config.extraction.save == "frames" and config.extraction.blur != "none":
                fetcher = MediaFetcher(get_region(config), keep=config.extraction.annotate)
                save_covered_frames(config, run.directory, media, fetcher)
            # Of a share the run of all does it.
            if config.extraction.save == "dataset" and config.extraction.share is None:
                usable = write_face_dataset(run.directory, len(media))
        stores = open_video_stores(run.directory, list_numbers(config.extraction, len(media)))
        excluded = _list_excluded(run, stores.values())
        if usable is None:
            usable = sum(store.count_usable() for store in stores.values())
        if "report" in stages:
            monitoring = write_report(config, run, media)
            if config.extraction.blur != "none":
                # Copies of buckets' recordings, which were kept to be annotated.
                shutil.rmtree(run.directory / FETCHED, ignore_errors=True)
            publish_batch(config, monitoring)
            warnings = monitoring["warnings"]
    for record in excluded:
        log.warning("Excluded: %s: %s", record["video"], record["problem"])
    for warning in warnings:
        log.warning("%s", warning)
    run.finish("finished", excluded=len(excluded), warnings=warnings)
    log.info("Run directory: %s", run.directory)
    if "report" in stages:
        log.info("Report: %s", run.directory / REPORT_HTML)
        if config.extraction.study is not None:
            log.info("Study: %s", run.directory / STUDY_HTML)
        upload_results(config, run.directory)
    if not usable:
        log.warning("Nothing usable: no face in any frame could be analysed")
        return ExitCode.ERROR
    if warnings:
        return ExitCode.DRIFT
    return ExitCode.PARTIAL if excluded else ExitCode.OK


def _list_stages(config: Config) -> tuple[str, ...]:
    """The stages that a run does: the report of a share is made where all are joined, and a batch transform, too."""
    if config.extraction.share is None:
        return config.extraction.stages
    later = ("predict", "report") if uses_transform(config) else ("report",)
    return tuple(stage for stage in config.extraction.stages if stage not in later)


@contextmanager
def record_outcome(run: Run, program: str) -> Iterator[None]:
    """Record that the run was interrupted or failed where the block does not end well; ``program`` resumes it."""
    try:
        yield
    except KeyboardInterrupt:
        run.finish("interrupted")
        log.warning("Interrupted; go on with: %s", format_resume_command(program, run.directory))
        raise
    except BaseException as error:
        run.finish("failed", error=f"{type(error).__name__}: {error}")
        raise


def _prepare_model(config: Config, run: Run) -> tuple[ResolvedModel, WindowFormat | None]:
    """Fetch the model into the run directory, with what monitoring compares to. Raises UserError.

    Returns:
        The model, and what it looks at where it is a temporal one.
    """
    if (aws := get_sagemaker_transform(config)) is not None:
        # Faces do not leave through a public bucket; a bucket that is missing is reported before hours of work.
        check_bucket_private(AwsClient(aws.region), aws.bucket)
    model = fetch_model(config, run.directory / PARTS_DIR / MODEL)
    shipped = names_pretrained(str(config.model_uri))
    log.info(
        "Model: %s",
        f"the one that comes with the program ({config.model_uri})" if shipped else config.format_model_uri(),
    )
    if config.extraction.explain and read_description(str(model.bundle_dir)).members:
        raise ConfigError(
            f"extraction.explain=true: model_uri={config.format_model_uri()} is an ensemble, and maps are of one "
            "network; use extraction.explain=false, or name one of its members"
        )
    run.update_provenance(model={"uri": config.model_uri, "package_sha256": model.sha256, "source": model.source})
    # The page tells it, also where only the report is made anew and the model is elsewhere.
    performance = json.dumps(read_performance(model.bundle_dir), indent=2)
    write_text(run.directory / PARTS_DIR / PERFORMANCE_JSON, performance + "\n")
    description = read_description(str(model.bundle_dir))
    if description.temporal is not None:
        keep_window(run, config, description.temporal)
    save_uncertainty(description, run.directory, config.inference.sets)
    if (model.bundle_dir / BASELINE).is_file():
        shutil.copyfile(model.bundle_dir / BASELINE, run.directory / PARTS_DIR / BASELINE)
    return model, description.temporal


def _list_excluded(run: Run, stores: Iterable[VideoStore]) -> list[dict[str, Any]]:
    """The facts about videos with a problem. Raises UserError where one is unfinished."""
    excluded = []
    for store in stores:
        record = store.completion_record()
        if record is None:
            raise UserError(
                f"{run.directory}: some videos are unfinished; go on with "
                f"`{format_resume_command('infer.py', run.directory)}`"
            )
        if record["problem"]:
            excluded.append(record)
    return excluded

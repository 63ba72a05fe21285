"""The pipeline of `python -m fer.cloud.extract`: faces of videos in S3, extracted on many machines into one run."""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer.aws.client import AwsClient
from fer.aws.s3 import check_bucket_private
from fer.aws.settings import connect
from fer.cloud.extraction_container import write_task
from fer.cloud.processing_job import PROCESSING_DIR, SageMakerProcessing, find_common_folder
from fer.cloud.result_archive import format_result_name, unpack_result
from fer.cloud.source_archive import ARCHIVE, pack_source
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides, refuse_executable_yaml
from fer.core.installation import PROJECT_ROOT, format_resume_command
from fer.core.object_uri import is_object_uri, is_s3_uri
from fer.core.run_layout import PARTS_DIR
from fer.errors import ConfigError, DataError, UserError
from fer.infer.inputs import list_inputs, load_media, resolve_media
from fer.infer.pipeline import create_run, record_outcome, run_stages
from fer.infer.resume import validate_resume_config
from fer.infer.study_inputs import keep_study, resume_study
from fer.infer.video_stores import open_video_stores
from fer.runs.program import log_to_stderr
from fer.runs.run_directory import Run
from fer.storage.stores import ObjectStores
from fer.storage.transfers import run_in_parallel
from fer.video.media import Media

PROGRAM = "fer.cloud.extract"
COMMAND = (
    *("sh", "-c"),
    f"mkdir {PROCESSING_DIR}/code && cd {PROCESSING_DIR}/code && tar -xzf {PROCESSING_DIR}/input/code/{ARCHIVE} && "
    f"exec python3 -m fer.cloud.extraction_container {PROCESSING_DIR}",
)
# Videos by their number in the run.
Videos = Mapping[int, Media]
DOWNLOAD_ATTEMPTS = 2
MAX_NAMED_VIDEOS = 5  # in a message
log = logging.getLogger(__name__)


def extract(config: Config, directory: Path) -> int:
    """Extract into a new run directory, which is then one of infer.py with the stage extract done.

    Args:
        config: The validated configuration, which must be for SageMaker.
        directory: The run directory.

    Returns:
        The exit code of infer.py.

    Raises:
        UserError: Something that the user can fix: the configuration, AWS, videos that could not be extracted.
    """
    config, client = validate_and_connect(config, list_inputs(config))
    config, run, media = create_run(config, directory)
    return _run_extraction(config, client, run, media)


def resume(changes: Sequence[str], directory: Path) -> int:
    """Resume a run: wait for a job that is still running, and extract what is missing.

    Args:
        changes: Overrides of the run's configuration.
        directory: The run directory.

    Returns:
        The exit code of infer.py.

    Raises:
        UserError: As for ``extract``, and for changes that a resumed run does not allow.
    """
    media = load_media(directory)
    refuse_executable_yaml(["--config-dir", str(directory)])
    config = load_overrides(changes, "infer", directory)
    # The run goes by its own copy of a study, wherever the study's file is by now.
    inputs = [item.remote or str(item.path) for item in media]
    config, client = validate_and_connect(config, inputs)
    validate_resume_config(config, directory)
    study = resume_study(config, directory, media)
    run = Run.resume(directory, config, "infer.py")
    if study is not None:
        keep_study(run, study)
    return _run_extraction(config, client, run, media)


def validate_and_connect(config: Config, inputs: Sequence[str], dry_run: bool = False) -> tuple[Config, AwsClient]:
    """Return the configuration reduced to the stage extract, and a client for AWS.

    Args:
        config: The configuration of infer.py.
        inputs: What it names as its videos, see ``list_inputs``.
        dry_run: Whether the client records requests instead of sending them.

    Raises:
        ConfigError: This cannot be extracted in SageMaker.
        CloudError: The bucket is public or cannot be used.
    """
    aws = config.aws
    if not isinstance(aws, SageMakerAws):
        raise ConfigError(f"aws.kind={aws.kind}: extraction by many machines needs aws=sagemaker")
    if aws.role is None:
        raise ConfigError("aws.role: SageMaker needs a role to extract with; add aws.role=ARN")
    if aws.processing.image is None:
        raise ConfigError(
            "aws.processing.image: is needed; build it from the Dockerfile (--target jobs), push it to ECR, and name it"
        )
    if config.extraction.blur != "none":
        raise ConfigError(
            f"extraction.blur={config.extraction.blur}: extraction in SageMaker keeps crops of faces as they are; use "
            "infer.py on the recordings"
        )
    if config.extraction.share is not None:
        raise ConfigError(
            f"extraction.share={config.extraction.share}: SageMaker shares the videos out itself; leave it out, and "
            "name the number of machines: aws.processing.instance_count"
        )
    _check_places(config, inputs)
    # The faces are classified later, on this machine unless configured otherwise.
    route = "process" if config.inference.route == "auto" else config.inference.route
    changes = {
        "extraction": config.extraction.model_copy(update={"stages": ("extract",)}),
        "inference": config.inference.model_copy(update={"route": route}),
    }
    client = connect(aws, dry_run)
    # Faces must not leak through a public bucket.
    check_bucket_private(client, aws.bucket)
    return config.model_copy(update=changes), client


def _check_places(config: Config, inputs: Sequence[str]) -> None:
    """Refuse videos that are not in one bucket. Raises ConfigError."""
    buckets = {uri.removeprefix("s3://").partition("/")[0] for uri in inputs if is_s3_uri(uri)}
    local = [uri for uri in inputs if not is_s3_uri(uri)]
    if len(buckets) == 1 and not local:
        return
    what = "SageMaker extracts from videos in one bucket of S3"
    if config.extraction.study is None:
        raise ConfigError(f"extraction.input={', '.join(inputs) or 'null'}: {what}; name s3://BUCKET/PREFIX")
    # Of hundreds of recordings one is enough to be found.
    place = "not in S3" if local and is_object_uri(local[0]) else "on this machine"
    found = f"{local[0]} is {place}" if local else f"they are in {', '.join(sorted(buckets))}"
    raise ConfigError(
        f"extraction.study={config.extraction.study}: {what}, and {found}; name s3://BUCKET/KEY as the file of each "
        "recording"
    )


def _run_extraction(config: Config, client: AwsClient, run: Run, media: Sequence[Media]) -> int:
    """Extract what the run lacks, and end it as infer.py does; returns the exit code."""
    directory, status = run.directory, ""
    with record_outcome(run, PROGRAM):
        validate_object_keys(media)
        processing = _build_processing(config, client, directory)
        missing = _find_missing(directory, dict(enumerate(media)))
        if processing.record.jobs and missing:
            status = processing.wait([format_result_name(number) for number in missing])
            missing = _download_results(processing, directory, missing)
        if missing:
            code = _start_job(config, processing, missing)
            run.update_provenance(
                processing={**code, **processing.aws.processing.model_dump(), "jobs": processing.record.jobs}
            )
            status = processing.wait([format_result_name(number) for number in missing])
            missing = _download_results(processing, directory, missing)
        if missing:
            names = [video.name for video in missing.values()]
            more = f" and {len(names) - MAX_NAMED_VIDEOS} more" if len(names) > MAX_NAMED_VIDEOS else ""
            raise UserError(
                f"the processing job {processing.record.jobs[-1]} has ended ({status}) without {len(names)} of "
                f"{len(media)} videos ({', '.join(names[:MAX_NAMED_VIDEOS])}{more}); the others are kept, go on with: "
                f"{format_resume_command(PROGRAM, directory)}"
            )
        processing.clean_up()
    return run_stages(config, run, media)


def _build_processing(config: Config, client: AwsClient, directory: Path) -> SageMakerProcessing:
    assert isinstance(config.aws, SageMakerAws)
    return SageMakerProcessing(client, config.aws, directory / PARTS_DIR, format_resume_command(PROGRAM, directory))


def validate_object_keys(media: Sequence[Media]) -> None:
    """Raise DataError for keys in S3 that SageMaker cannot store as a file."""
    for item in media:
        if {"", ".", ".."} & set(item.remote.removeprefix("s3://").split("/")):
            raise DataError(
                f"{item.remote}: SageMaker cannot lay down this key as a file; rename the object, or use infer.py"
            )


def _start_job(config: Config, processing: SageMakerProcessing, missing: Videos) -> dict[str, str | None]:
    """Create a job for the missing videos; returns the commit of its code. Raises UserError."""
    folder = find_common_folder([video.remote for video in missing.values()])
    names = [video.remote.removeprefix(folder) for video in missing.values()]
    with tempfile.TemporaryDirectory() as temporary:
        task_dir, code_dir = Path(temporary, "task"), Path(temporary, "code")
        for directory in (task_dir, code_dir):
            directory.mkdir()
        allow_changes = processing.aws.processing.allow_changes
        code = pack_source(PROJECT_ROOT, code_dir, allow_changes, "aws.processing.allow_changes=true")
        write_task(config, missing, folder, task_dir)
        processing.start(folder, names, {"task": task_dir, "code": code_dir}, COMMAND)
    return {"git_commit": code.commit, "git_diff_sha256": code.diff_sha256}


def _download_results(processing: SageMakerProcessing, directory: Path, missing: Videos) -> Videos:
    """Download the results that are ready; returns the videos that are still missing."""

    def fetch(number: int) -> None:
        file = directory / PARTS_DIR / format_result_name(number)
        # What arrives damaged is downloaded once more; what is damaged in the bucket is extracted again.
        for _ in range(DOWNLOAD_ATTEMPTS):
            try:
                processing.download_result(file.name, file)
                unpack_result(file, directory, number, missing[number].name)
                return
            except DataError as error:
                log.warning("%s", error)
            finally:
                file.unlink(missing_ok=True)

    available = processing.list_results()
    run_in_parallel(fetch, [number for number in missing if format_result_name(number) in available], "Downloading")
    return _find_missing(directory, missing)


def _find_missing(directory: Path, videos: Videos) -> Videos:
    stores = open_video_stores(directory, videos)
    return {number: video for number, video in videos.items() if stores[number].completion_record() is None}


def use_placeholder_weights(config: Config, placeholder: Path) -> Config:
    """Return the configuration with an empty file instead of detector weights that would have to be downloaded."""
    extraction = config.extraction
    if extraction.detector.kind in ("auto", "yunet") and extraction.detector.weights is None:
        placeholder.touch()
        changes = {"weights": str(placeholder), "weights_sha256": None}
        detector = extraction.detector.model_copy(update=changes)
        extraction = extraction.model_copy(update={"detector": detector})
    return config.model_copy(update={"extraction": extraction})


def dry_run(config: Config) -> None:
    """Print every request to AWS as JSON, and send none.

    One made-up video stands for those of each instance, and an empty file for weights that are not downloaded yet.

    Raises:
        UserError: As for ``extract``.
    """
    log_to_stderr()
    inputs = list_inputs(config)
    config, client = validate_and_connect(config, inputs, dry_run=True)
    with tempfile.TemporaryDirectory() as temporary:
        config = use_placeholder_weights(config, Path(temporary, "detector.onnx"))
        resolve_media(inputs, Path(temporary), ObjectStores(client=client))
        processing = _build_processing(config, client, Path(temporary))
        folder = inputs[0].rpartition("/")[0]
        names = [f"VIDEO-{number}.mp4" for number in range(processing.aws.processing.instance_count)]
        media = {number: Media(Path(name), name, "video", f"{folder}/{name}") for number, name in enumerate(names)}
        _start_job(config, processing, media)
        results = [format_result_name(number) for number in media]
        processing.wait(results)
        processing.list_results()
        for name in results:
            processing.download_result(name, Path(temporary) / name)
        processing.clean_up()
    print(json.dumps(client.recorded_requests, indent=2))

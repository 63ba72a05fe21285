"""The pipeline of `python -m fer.cloud.extract`: faces of videos in S3, extracted by many machines, in one run here."""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer.aws.client import AwsCalls
from fer.aws.s3 import in_parallel, refuse_public
from fer.cli import log_to_stderr
from fer.cloud.extraction_container import write_task
from fer.cloud.processing_job import HERE, SageMakerProcessing, common_folder
from fer.cloud.result_archive import result_name, unpack
from fer.cloud.source_archive import ARCHIVE, pack
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides, refuse_executable_yaml
from fer.core.system import PROJECT
from fer.errors import ConfigError, DataError, UserError
from fer.infer.chunk_store import FOLDER, Parts
from fer.infer.inputs import inputs_of, media_of
from fer.infer.pipeline import begun, do_stages, marked, refuse_changes, saved_media
from fer.runs.run_directory import Run
from fer.video.media import Media

PROGRAM = "python -m fer.cloud.extract"
COMMAND = (
    *("sh", "-c"),
    f"mkdir {HERE}/code && cd {HERE}/code && tar -xzf {HERE}/input/code/{ARCHIVE} && "
    f"exec python3 -m fer.cloud.extraction_container {HERE}",
)
# Videos by their number in the run.
Videos = Mapping[int, Media]
NAMED = 5  # videos that a message names
log = logging.getLogger(__name__)


def extract(config: Config, directory: Path) -> int:
    """Extract in a new run directory, which is then one of infer.py with the stage extract done; infer's exit code.

    Raises UserError for what a user can mend.
    """
    config, calls = ready(config)
    return do(config, calls, *begun(config, directory))


def resume(changes: Sequence[str], directory: Path) -> int:
    """Go on with the run in ``directory``: a job that still runs is waited for, what is missing extracted.

    ``changes`` are overrides of its configuration. Raises UserError.
    """
    media = saved_media(directory)
    refuse_executable_yaml(["--config-dir", str(directory)])
    config, calls = ready(load_overrides(changes, "infer", directory))
    refuse_changes(config, directory)
    return do(config, calls, Run.again(directory, config, "infer.py"), media)


def ready(config: Config, dry_run: bool = False) -> tuple[Config, AwsCalls]:
    """The configuration of this program's one stage. Raises UserError where it cannot be done in SageMaker."""
    aws = config.aws
    if not isinstance(aws, SageMakerAws):
        raise ConfigError(f"aws.kind={aws.kind}: extraction by many machines needs aws=sagemaker")
    if aws.role is None:
        raise ConfigError("aws.role: SageMaker needs a role to extract with; add aws.role=ARN")
    if aws.processing.image is None:
        raise ConfigError(
            "aws.processing.image: is needed; build it from the Dockerfile (--target jobs), push it to ECR, and name it"
        )
    inputs = inputs_of(config)
    buckets = {uri.removeprefix("s3://").partition("/")[0] for uri in inputs if uri.startswith("s3://")}
    if len(buckets) != 1 or not all(uri.startswith("s3://") for uri in inputs):
        raise ConfigError(
            f"extraction.input={', '.join(inputs) or 'null'}: SageMaker extracts from videos in one bucket of S3; "
            "name s3://BUCKET/PREFIX"
        )
    # The faces are judged later, and on this machine unless it is said otherwise.
    route = "process" if config.inference.route == "auto" else config.inference.route
    changes = {
        "extraction": config.extraction.model_copy(update={"stages": ("extract",)}),
        "inference": config.inference.model_copy(update={"route": route}),
    }
    calls = AwsCalls(aws.region, dry_run)
    # Faces do not leave through a public bucket.
    refuse_public(calls, aws.bucket)
    return config.model_copy(update=changes), calls


def do(config: Config, calls: AwsCalls, run: Run, media: Sequence[Media]) -> int:
    """Have extracted what the run lacks, and end it as infer.py does."""
    directory, status = run.directory, ""
    with marked(run, PROGRAM):
        refuse_unfit(media)
        processing = processing_of(config, calls, directory)
        missing = missing_of(directory, dict(enumerate(media)))
        if processing.record.jobs and missing:
            status = processing.wait([result_name(number) for number in missing])
            missing = brought_home(processing, directory, missing)
        if missing:
            code = start(config, processing, missing)
            run.note(processing={**code, **processing.aws.processing.model_dump(), "jobs": processing.record.jobs})
            status = processing.wait([result_name(number) for number in missing])
            missing = brought_home(processing, directory, missing)
        if missing:
            names = [item.name for item in missing.values()]
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            raise UserError(
                f"the processing job {processing.record.jobs[-1]} has ended ({status}) without {len(names)} of "
                f"{len(media)} videos ({', '.join(names[:NAMED])}{more}); the others are kept, go on with: "
                f"{PROGRAM} resume={directory}"
            )
    return do_stages(config, run, media)


def processing_of(config: Config, calls: AwsCalls, directory: Path) -> SageMakerProcessing:
    assert isinstance(config.aws, SageMakerAws)
    return SageMakerProcessing(calls, config.aws, directory / FOLDER, f"{PROGRAM} resume={directory}")


def refuse_unfit(media: Sequence[Media]) -> None:
    """Raises DataError for keys that SageMaker cannot lay down as a file."""
    for item in media:
        if {"", ".", ".."} & set(item.remote.removeprefix("s3://").split("/")):
            raise DataError(
                f"{item.remote}: SageMaker cannot lay down this key as a file; rename the object, or use infer.py"
            )


def start(config: Config, processing: SageMakerProcessing, missing: Videos) -> dict[str, str | None]:
    """Create a job over the missing videos; what identifies its code. Raises UserError."""
    folder = common_folder([item.remote for item in missing.values()])
    names = [item.remote.removeprefix(folder) for item in missing.values()]
    with tempfile.TemporaryDirectory() as place:
        task, program = Path(place, "task"), Path(place, "code")
        for directory in (task, program):
            directory.mkdir()
        allowed = processing.aws.processing.allow_changes
        code = pack(PROJECT, program, allowed, "aws.processing.allow_changes=true")
        write_task(config, missing, folder, task)
        processing.start(folder, names, {"task": task, "code": program}, COMMAND)
    return {"git_commit": code.commit, "git_diff_sha256": code.diff_sha256}


def brought_home(processing: SageMakerProcessing, directory: Path, missing: Videos) -> Videos:
    """Fetch the results that are there; the videos that are missing still."""

    def fetch(number: int) -> None:
        file = directory / FOLDER / result_name(number)
        # One that arrives damaged is fetched once more; one that is damaged in the bucket is extracted again.
        for _ in range(2):
            try:
                processing.fetch(file.name, file)
                unpack(file, directory, number, missing[number].name)
                return
            except DataError as error:
                log.warning("%s", error)
            finally:
                file.unlink(missing_ok=True)

    there = processing.results()
    in_parallel(fetch, [number for number in missing if result_name(number) in there], "Downloading")
    return missing_of(directory, missing)


def missing_of(directory: Path, videos: Videos) -> Videos:
    return {number: item for number, item in videos.items() if Parts.of(directory, number).ended() is None}


def without_download(config: Config, stand_in: Path) -> Config:
    """The configuration with the file ``stand_in`` for a detector that would have to be downloaded first."""
    detector = config.extraction.detector
    if detector.kind != "yunet" or detector.weights is not None:
        return config
    stand_in.touch()
    given = {"detector": detector.model_copy(update={"weights": str(stand_in)})}
    return config.model_copy(update={"extraction": config.extraction.model_copy(update=given)})


def dry_run(config: Config) -> None:
    """Print every request as JSON, and send none. Raises UserError.

    One object stands for the videos of each instance, and an empty file for weights that are not here yet.
    """
    log_to_stderr()
    config, calls = ready(config, dry_run=True)
    with tempfile.TemporaryDirectory() as place:
        config = without_download(config, Path(place, "detector.onnx"))
        media_of(inputs_of(config), Path(place), calls)
        processing = processing_of(config, calls, Path(place))
        folder = inputs_of(config)[0].rpartition("/")[0]
        names = [f"VIDEO-{number}.mp4" for number in range(processing.aws.processing.instance_count)]
        media = {number: Media(Path(name), name, "video", f"{folder}/{name}") for number, name in enumerate(names)}
        start(config, processing, media)
        results = [result_name(number) for number in media]
        processing.wait(results)
        processing.results()
        for name in results:
            processing.fetch(name, Path(place) / name)
    print(json.dumps(calls.requests, indent=2))

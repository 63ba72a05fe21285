"""The pipeline of `python -m fer.cloud.train`: a training sent to SageMaker, waited for, and its run brought home."""

import json
import logging
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer.aws.client import AwsClient
from fer.aws.jobs import NEVER_CREATED, LoggedJob
from fer.aws.s3 import check_bucket_private
from fer.cloud.run_download import download_run
from fer.cloud.source_archive import pack_source
from fer.cloud.staging import DATA, InputChannel, Staging
from fer.cloud.training_container import JOB_SPEC_JSON
from fer.cloud.training_job import build_training_request
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides, refuse_executable_yaml
from fer.core.io import write_text
from fer.core.system import PROJECT_ROOT
from fer.errors import ConfigError, UserError
from fer.runs.run_directory import RUN_YAML, create_unique_directory, load_run_config, read_status, write_config

PROGRAM = "python -m fer.cloud.train"
# As process 1, without a shell before it, the program learns that its machine is taken away.
COMMAND = "exec python3 -m fer.cloud.training_container /opt/ml"
JOB_FACTS_JSON = "training_job.json"
AWS_OVERRIDE = re.compile(r"[+~]*aws[=.]|dry_run=")
RUN_DIR_OVERRIDE = "hydra.run.dir="
NUMBER_PATTERN = "([0-9.eE+-]+)"
BEST_PREFIX = "best_"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobSpec:
    """What is to be trained (``config``), and where (``aws``); ``directory`` is asked for, None a new one of outputs/.

    ``overrides`` are those of ``config``, on the run.yaml ``saved`` or on the defaults.
    """

    config: Config
    aws: SageMakerAws
    dry_run: bool
    directory: str | None
    overrides: tuple[str, ...]
    saved: Config | None


def parse_job_spec(
    run_path: str | None, overrides: Sequence[str], directory_override: str = RUN_DIR_OVERRIDE
) -> JobSpec:
    """The order that a run directory or run.yaml, if ``given``, and overrides make. Raises UserError.

    Overrides of aws and dry_run say where; all others are of the training, whose run.yaml knows nothing of AWS.
    """
    aws_overrides = [text for text in overrides if AWS_OVERRIDE.match(text)]
    if not any(text.startswith("aws=") for text in aws_overrides):
        aws_overrides.insert(0, "aws=sagemaker")
    directories = [text.removeprefix(directory_override) for text in overrides if text.startswith(directory_override)]
    training_overrides = [
        text for text in overrides if not AWS_OVERRIDE.match(text) and not text.startswith(directory_override)
    ]
    aws_config = load_overrides(aws_overrides, "infer")
    if not isinstance(aws_config.aws, SageMakerAws):
        raise ConfigError(f"aws.kind={aws_config.aws.kind}: a training job needs aws=sagemaker")
    saved = None
    with tempfile.TemporaryDirectory() as folder:
        if run_path is not None:
            shutil.copyfile(_find_run_yaml(run_path), Path(folder) / RUN_YAML)
            refuse_executable_yaml(["--config-dir", folder])
            saved = load_run_config(Path(folder))
        config = load_overrides(training_overrides, "train", None if run_path is None else Path(folder))
    return JobSpec(
        config,
        aws_config.aws,
        aws_config.dry_run,
        directories[-1] if directories else None,
        tuple(training_overrides),
        saved,
    )


def _find_run_yaml(run_path: str) -> Path:
    path = Path(run_path).expanduser()
    path = path / RUN_YAML if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"{run_path}: is neither a run directory nor a run.yaml")
    return path


def train(spec: JobSpec) -> Path | None:
    """Send the order, wait for the job and bring its run home; its directory, None in a dry run. Raises UserError."""
    validate_job_spec(spec)
    calls = AwsClient(spec.aws.region, spec.dry_run)
    check_bucket_private(calls, spec.aws.bucket)
    job = _build_training_job(calls, spec.aws, generate_job_name())
    request = stage_inputs(spec, calls, job.name)
    job.create({key: value for key, value in request.items() if key != "TrainingJobName"})
    cfg = spec.aws.training
    log.info("Training job %s on %d × %s", job.name, cfg.instance_count, cfg.instance_type)
    log.info("After a lost terminal: %s", job.resume_command)
    if spec.dry_run:
        job.follow()
        bucket, key = spec.aws.bucket, f"{spec.aws.prefix}/jobs/{job.name}/output/{job.name}/output/model.tar.gz"
        calls.request("s3", "get_object", {"Bucket": bucket, "Key": key})
        print(json.dumps(calls.recorded_requests, indent=2))
        return None
    return _wait_and_download(job, spec.directory)


def attach(name: str, overrides: Sequence[str]) -> Path:
    """Wait for a job that was sent before, and bring its run home. Raises UserError."""
    spec = parse_job_spec(None, overrides)
    calls = AwsClient(spec.aws.region)
    return _wait_and_download(_build_training_job(calls, spec.aws, name), spec.directory)


def validate_job_spec(spec: JobSpec) -> None:
    """Refuse what cannot be trained in SageMaker. Raises ConfigError."""
    aws, trainer = spec.aws, spec.config.trainer
    if aws.role is None:
        raise ConfigError("aws.role: SageMaker needs a role to train with; add aws.role=ARN")
    if aws.training.image is None:
        raise ConfigError(
            "aws.training.image: is needed; build ours from the Dockerfile (--target jobs) and push it to ECR, or name "
            "AWS's image for training with PyTorch and add aws.training.install=true"
        )
    if "fit" not in trainer.stages:
        raise ConfigError("trainer.stages=[test]: judging needs no training job; use train.py")
    if spec.config.resume is not None:
        raise ConfigError("resume: a training job begins a run of its own; use trainer.resume_from=RUN")
    if trainer.num_nodes != aws.training.instance_count:
        count = aws.training.instance_count
        raise ConfigError(
            f"aws.training.instance_count={count}: the training is for trainer.num_nodes={trainer.num_nodes} machines; "
            "make them equal"
        )


def generate_job_name() -> str:
    return f"fer-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"


def _build_training_job(calls: AwsClient, aws: SageMakerAws, name: str) -> LoggedJob:
    region = f" aws.region={aws.region}" if aws.region else ""
    attach_command = f"{PROGRAM} --attach {name} aws.bucket={aws.bucket}{region}"
    return LoggedJob(calls, "training", name, aws.training.poll_s, attach_command)


def stage_inputs(spec: JobSpec, calls: AwsClient, name: str, tuning: bool = False) -> dict[str, Any]:
    """Put code, data and run.yaml into the bucket; the parameters of CreateTrainingJob. Raises UserError.

    In a ``tuning`` each job composes its run.yaml itself, with the values that are drawn for it.
    """
    aws, config = spec.aws, spec.config
    shared = Staging(calls, aws.bucket, aws.prefix, aws.kms_key)
    job_staging = Staging(calls, aws.bucket, f"{aws.prefix}/jobs/{name}", aws.kms_key)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        code = pack_source(PROJECT_ROOT, folder, aws.training.allow_changes, "aws.training.allow_changes=true")
        # The SDK's script makes shell variables of the channels' names.
        paths = _collect_inputs(config)
        channels = {
            path: _stage_input(shared, path, f"input_{number}")
            for number, path in enumerate(dict.fromkeys(paths.values()))
        }
        content = {
            "paths": {path: one.container_path for path, one in channels.items()},
            "git": {"git_commit": code.commit, "git_diff_sha256": code.diff_sha256},
            # As they are typed, paths are those of this directory.
            "overrides": [*spec.overrides, *(f"{key}={json.dumps(path)}" for key, path in paths.items())],
        }
        write_text(
            folder / JOB_SPEC_JSON, json.dumps(content if tuning else {**content, "overrides": None}, indent=2) + "\n"
        )
        job_staging.put(folder / JOB_SPEC_JSON, f"job/{JOB_SPEC_JSON}")
        if (run_config := spec.saved if tuning else config) is not None:
            write_config(folder, run_config, "train.py")
            job_staging.put(folder / RUN_YAML, f"job/{RUN_YAML}")
        return build_training_request(
            calls,
            aws,
            job_staging,
            code=shared.upload_once(code.archive, "code"),
            # A tuning job cannot name a command; the image starts the same one.
            command=None if tuning else COMMAND,
            inputs=[InputChannel("job", job_staging.build_uri("job/"), f"{DATA}/job"), *channels.values()],
            metrics=_build_metric_patterns(config),
            network=aws.training.install or config.model.weights == "pretrained",
            tags={"fer": config.name, **aws.tags},
        )


def _collect_inputs(config: Config) -> dict[str, str]:
    """Each path or s3:// URI that a training reads, by its key."""
    sources = config.dataset.sources.items()
    paths = {f"dataset.sources.{name}.root": spec.root for name, spec in sources if spec.kind != "synthetic"}
    if config.model.weights not in ("none", "pretrained"):
        paths["model.weights"] = config.model.weights
    if config.trainer.resume_from is not None:
        paths["trainer.resume_from"] = config.trainer.resume_from
    return paths


def _stage_input(staging: Staging, path: str, channel: str) -> InputChannel:
    return staging.resolve_uri(path, channel) if path.startswith("s3://") else staging.upload_once(Path(path), channel)


def _build_metric_patterns(config: Config) -> dict[str, str]:
    """Regular expressions of the figures that train.py prints, and of those that its container prints at the end."""
    monitor = config.trainer.early_stopping.monitor
    epoch = {name: rf"Epoch [0-9]+/[0-9]+: .*\b{name} {NUMBER_PATTERN}" for name in ("train_loss", "val_loss", monitor)}
    metric = config.sweep.metric or monitor
    return {
        **epoch,
        **{BEST_PREFIX + name: rf"Best epoch: .*\b{name} {NUMBER_PATTERN}" for name in ("val_loss", metric)},
    }


def _wait_and_download(job: LoggedJob, directory: str | None) -> Path:
    """Wait for the job, and bring its run home. Raises UserError."""
    status = job.follow()
    artifacts = job.description.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if status == NEVER_CREATED:
        raise UserError(f"there is no training job {job.name} in region {job.client.region}")
    if status == "Failed" or not artifacts:
        reason = " ".join(str(job.description.get("FailureReason", "")).split())
        raise UserError(f"the training job {job.name} has ended ({status}): {reason or 'it left no run'}")
    run = download_run_directory(job.client, artifacts, directory, build_job_facts(job.description))
    log.info("Run directory: %s", run)
    if read_status(run) != "finished":
        raise UserError(f"the training job {job.name} was stopped; go on with: python train.py resume={run}")
    return run


def download_run_directory(calls: AwsClient, artifacts: str, directory: str | None, facts: Mapping[str, Any]) -> Path:
    """Bring a run home into ``directory`` or a new one, which has its name only when it is whole. Raises UserError."""
    parent = Path(directory).absolute().parent if directory else Path("outputs/train") / time.strftime("%Y-%m-%d")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".arriving-") as folder:
        run = download_run(calls, artifacts, Path(folder))
        write_text(run / JOB_FACTS_JSON, json.dumps(facts, indent=2, default=str) + "\n")
        target = directory or str(parent / f"{time.strftime('%H-%M-%S')}-{_read_run_name(run)}")
        final = Path(create_unique_directory(target))
        # Onto the empty directory that this program alone has made.
        run.rename(final)
    return final


def _read_run_name(run: Path) -> str:
    """The name of a run, whose data may not be on this machine."""
    return str(yaml.safe_load((run / RUN_YAML).read_text(encoding="utf-8"))["name"])


def build_job_facts(description: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth keeping of DescribeTrainingJob."""
    resources = description["ResourceConfig"]
    return {
        "job": description["TrainingJobName"],
        "image": description["AlgorithmSpecification"]["TrainingImage"],
        "instance_type": resources["InstanceType"],
        "instance_count": resources["InstanceCount"],
        "spot": description.get("EnableManagedSpotTraining", False),
        "training_seconds": description.get("TrainingTimeInSeconds"),
        "billable_seconds": description.get("BillableTimeInSeconds"),
        "statuses": [transition["Status"] for transition in description.get("SecondaryStatusTransitions", [])],
    }

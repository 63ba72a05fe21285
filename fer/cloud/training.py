"""The pipeline of `python -m fer.cloud.train`: a training sent to SageMaker, waited for, and its run downloaded."""

import json
import logging
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.aws.client import AwsClient
from fer.aws.jobs import NEVER_CREATED, LoggedJob
from fer.aws.s3 import check_bucket_private
from fer.aws.settings import connect
from fer.cloud.job_spec import JobSpec, needs_network, parse_job_spec, validate_job_spec
from fer.cloud.run_download import download_run
from fer.cloud.source_archive import pack_source
from fer.cloud.staging import DATA, InputChannel, Staging
from fer.cloud.training_container import JOB_SPEC_JSON
from fer.cloud.training_job import TrainingJob, build_training_request
from fer.config import Config, SageMakerAws
from fer.config.dataset import list_source_paths
from fer.core.documents import read_yaml
from fer.core.installation import PROJECT_ROOT, format_command, format_resume_command
from fer.core.io import write_text
from fer.core.run_layout import RUN_YAML
from fer.errors import UserError
from fer.runs.run_directory import create_unique_directory, read_status, write_config

PROGRAM = "fer.cloud.train"
# Without a shell before it the program is process 1, which is told when its machine is taken away.
COMMAND = "exec python3 -m fer.cloud.training_container /opt/ml"
JOB_FACTS_JSON = "training_job.json"
NUMBER_PATTERN = "([0-9.eE+-]+)"
BEST_PREFIX = "best_"
log = logging.getLogger(__name__)


def train(spec: JobSpec) -> Path | None:
    """Train in SageMaker: create the job, wait for it and download its run.

    Args:
        spec: What is to be trained, and where.

    Returns:
        The run directory on this machine, None in a dry run.

    Raises:
        UserError: The configuration is wrong, AWS refuses, or the training failed or was stopped.
    """
    validate_job_spec(spec)
    client = connect(spec.aws, spec.dry_run)
    check_bucket_private(client, spec.aws.bucket)
    job = _build_training_job(client, spec.aws, generate_job_name())
    request = stage_inputs(spec, client, job.name)
    job.create({key: value for key, value in request.items() if key != "TrainingJobName"})
    cfg = spec.aws.training
    log.info("Training job %s on %d × %s", job.name, cfg.instance_count, cfg.instance_type)
    log.info("After a lost terminal: %s", job.resume_command)
    if spec.dry_run:
        job.follow()
        bucket, key = spec.aws.bucket, f"{spec.aws.prefix}/jobs/{job.name}/output/{job.name}/output/model.tar.gz"
        client.request("s3", "get_object", {"Bucket": bucket, "Key": key})
        print(json.dumps(client.recorded_requests, indent=2))
        return None
    return _wait_and_download(job, spec.directory)


def attach(name: str, overrides: Sequence[str]) -> Path:
    """Wait for a job that was created earlier, and download its run.

    Args:
        name: Name of the job.
        overrides: Overrides of aws, and of the run directory on this machine.

    Returns:
        The run directory on this machine.

    Raises:
        UserError: There is no such job, AWS refuses, or the training failed or was stopped.
    """
    spec = parse_job_spec(None, overrides)
    client = connect(spec.aws)
    return _wait_and_download(_build_training_job(client, spec.aws, name), spec.directory)


def generate_job_name() -> str:
    """Return a name for a new job, unique by time and chance."""
    return f"fer-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"


def _build_training_job(client: AwsClient, aws: SageMakerAws, name: str) -> LoggedJob:
    region = f" aws.region={aws.region}" if aws.region else ""
    attach_command = f"{format_command(PROGRAM)} --attach {name} aws.bucket={aws.bucket}{region}"
    return LoggedJob(client, "training", name, aws.training.poll_s, attach_command)


def stage_inputs(spec: JobSpec, client: AwsClient, name: str, tuning: bool = False) -> dict[str, Any]:
    """Upload code, data and run.yaml.

    Args:
        spec: What is to be trained, and where.
        client: Client for AWS.
        name: Name of the job.
        tuning: Whether the job is a tuning job, each of whose trainings composes its run.yaml itself, with the values
            that are drawn for it.

    Returns:
        The parameters of CreateTrainingJob.

    Raises:
        UserError: An input is missing, the code has uncommitted changes, or AWS refuses.
    """
    aws, config = spec.aws, spec.config
    shared = Staging(client, aws.bucket, aws.prefix, aws.kms_key)
    job_staging = Staging(client, aws.bucket, f"{aws.prefix}/jobs/{name}", aws.kms_key)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        code = pack_source(PROJECT_ROOT, folder, aws.training.allow_changes, "aws.training.allow_changes=true")
        paths = _collect_inputs(config)
        # The SDK's script makes shell variables of the channels' names.
        channels = {
            path: _stage_input(shared, path, f"input_{number}")
            for number, path in enumerate(dict.fromkeys(paths.values()))
        }
        # Paths that were typed are relative to this directory: the configuration has them absolute.
        overrides = [*spec.overrides, *(f"{key}={json.dumps(path)}" for key, path in paths.items())]
        content = {
            "paths": {path: channel.container_path for path, channel in channels.items()},
            "git": {"git_commit": code.commit, "git_diff_sha256": code.diff_sha256},
            "overrides": overrides if tuning else None,
        }
        write_text(folder / JOB_SPEC_JSON, json.dumps(content, indent=2) + "\n")
        job_staging.put(folder / JOB_SPEC_JSON, f"job/{JOB_SPEC_JSON}")
        if (run_config := spec.saved if tuning else config) is not None:
            write_config(folder, run_config, "train.py")
            job_staging.put(folder / RUN_YAML, f"job/{RUN_YAML}")
        job = TrainingJob(
            code=shared.upload_once(code.archive, "code"),
            # A tuning job cannot name a command; the image starts the same one.
            command=None if tuning else COMMAND,
            inputs=[InputChannel("job", job_staging.build_uri("job/"), f"{DATA}/job"), *channels.values()],
            metrics=_build_metric_patterns(config),
            network=needs_network(spec) or aws.network_isolation is False,
            tags={"fer": config.name, **aws.tags},
        )
        return build_training_request(client, aws, job_staging, job)


def _collect_inputs(config: Config) -> dict[str, str]:
    """Return each path or s3:// URI that a training reads, by its key in the configuration."""
    sources = config.dataset.sources.items()
    paths = {
        f"dataset.sources.{name}.{key}": path for name, spec in sources for key, path in list_source_paths(spec).items()
    }
    if config.model.weights not in ("none", "pretrained"):
        paths["model.weights"] = config.model.weights
    if config.dataset.exclude is not None:
        paths["dataset.exclude"] = config.dataset.exclude
    if config.trainer.resume_from is not None:
        paths["trainer.resume_from"] = config.trainer.resume_from
    return paths


def _stage_input(staging: Staging, path: str, channel: str) -> InputChannel:
    return staging.resolve_uri(path, channel) if path.startswith("s3://") else staging.upload_once(Path(path), channel)


def _build_metric_patterns(config: Config) -> dict[str, str]:
    """Return regular expressions of the metrics that train.py prints, and of those that its container prints last."""
    monitor = config.trainer.early_stopping.monitor
    names = ("train_loss", "val_loss", monitor)
    # The first number has a fraction where validation came within an epoch.
    epoch = {name: rf"Epoch [0-9.e-]+/[0-9]+: .*\b{name} {NUMBER_PATTERN}" for name in names}
    metric = config.sweep.metric or monitor
    return {
        **epoch,
        **{BEST_PREFIX + name: rf"Best epoch: .*\b{name} {NUMBER_PATTERN}" for name in ("val_loss", metric)},
    }


def _wait_and_download(job: LoggedJob, directory: str | None) -> Path:
    """Wait for the job, and download its run. Raises UserError."""
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
        raise UserError(
            f"the training job {job.name} was stopped; go on with: {format_resume_command('train.py', run)}"
        )
    return run


def download_run_directory(client: AwsClient, artifacts: str, directory: str | None, facts: Mapping[str, Any]) -> Path:
    """Download a run.

    Args:
        client: Client for AWS.
        artifacts: s3:// URI of the archive of the run.
        directory: Run directory on this machine; None is a new one below outputs/.
        facts: What ``build_job_facts`` returned, to be written beside it.

    Returns:
        The run directory, which gets its name only once it is complete.

    Raises:
        UserError: The archive is missing or damaged, or the directory exists already.
    """
    parent = Path(directory).absolute().parent if directory else Path("outputs/train") / time.strftime("%Y-%m-%d")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".arriving-") as folder:
        run = download_run(client, artifacts, Path(folder))
        write_text(run / JOB_FACTS_JSON, json.dumps(facts, indent=2, default=str) + "\n")
        target = directory or str(parent / f"{time.strftime('%H-%M-%S')}-{_read_run_name(run)}")
        final = Path(create_unique_directory(target))
        # It replaces the empty directory that was created just now.
        run.rename(final)
    return final


def _read_run_name(run: Path) -> str:
    """Return the name of a run; its data need not be on this machine, so its configuration may not validate here."""
    return str(read_yaml(run / RUN_YAML)["name"])


def build_job_facts(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the run directory keeps of the answer to DescribeTrainingJob."""
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

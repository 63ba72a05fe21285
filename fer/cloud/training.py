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

from fer.aws.client import AwsCalls
from fer.aws.jobs import NEVER_CREATED, LoggedJob
from fer.aws.s3 import refuse_public
from fer.cloud.run_download import bring_home
from fer.cloud.source_archive import pack
from fer.cloud.staging import DATA, Input, Staging
from fer.cloud.training_container import ORDER
from fer.cloud.training_job import training_request
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides, refuse_executable_yaml
from fer.core.io import write_text
from fer.core.system import PROJECT
from fer.errors import ConfigError, UserError
from fer.runs.run_directory import RUN_YAML, fresh_directory, saved_config, status_of, write_config

PROGRAM = "python -m fer.cloud.train"
# As process 1, without a shell before it, the program learns that its machine is taken away.
COMMAND = "exec python3 -m fer.cloud.training_container /opt/ml"
FACTS = "training_job.json"
WHERE = re.compile(r"[+~]*aws[=.]|dry_run=")
PLACE = "hydra.run.dir="
NUMBER = "([0-9.eE+-]+)"
BEST = "best_"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What is to be trained (``config``), and where (``aws``); ``directory`` is asked for, None a new one of outputs/.

    ``overrides`` are those of ``config``, on the run.yaml ``saved`` or on the defaults.
    """

    config: Config
    aws: SageMakerAws
    dry_run: bool
    directory: str | None
    overrides: tuple[str, ...]
    saved: Config | None


def ordered(given: str | None, overrides: Sequence[str], place: str = PLACE) -> Order:
    """The order that a run directory or run.yaml, if ``given``, and overrides make. Raises UserError.

    Overrides of aws and dry_run say where; all others are of the training, whose run.yaml knows nothing of AWS.
    """
    where = [text for text in overrides if WHERE.match(text)]
    if not any(text.startswith("aws=") for text in where):
        where.insert(0, "aws=sagemaker")
    places = [text.removeprefix(place) for text in overrides if text.startswith(place)]
    rest = [text for text in overrides if not WHERE.match(text) and not text.startswith(place)]
    composed = load_overrides(where, "infer")
    if not isinstance(composed.aws, SageMakerAws):
        raise ConfigError(f"aws.kind={composed.aws.kind}: a training job needs aws=sagemaker")
    saved = None
    with tempfile.TemporaryDirectory() as folder:
        if given is not None:
            shutil.copyfile(run_yaml(given), Path(folder) / RUN_YAML)
            refuse_executable_yaml(["--config-dir", folder])
            saved = saved_config(Path(folder))
        config = load_overrides(rest, "train", None if given is None else Path(folder))
    return Order(config, composed.aws, composed.dry_run, places[-1] if places else None, tuple(rest), saved)


def run_yaml(given: str) -> Path:
    path = Path(given).expanduser()
    path = path / RUN_YAML if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"{given}: is neither a run directory nor a run.yaml")
    return path


def train(order: Order) -> Path | None:
    """Send the order, wait for the job and bring its run home; its directory, None in a dry run. Raises UserError."""
    check(order)
    calls = AwsCalls(order.aws.region, order.dry_run)
    refuse_public(calls, order.aws.bucket)
    job = training_job(calls, order.aws, new_name())
    request = staged(order, calls, job.name)
    job.create({key: value for key, value in request.items() if key != "TrainingJobName"})
    chosen = order.aws.training
    log.info("Training job %s on %d × %s", job.name, chosen.instance_count, chosen.instance_type)
    log.info("After a lost terminal: %s", job.again)
    if order.dry_run:
        job.follow()
        bucket, key = order.aws.bucket, f"{order.aws.prefix}/jobs/{job.name}/output/{job.name}/output/model.tar.gz"
        calls.call("s3", "get_object", {"Bucket": bucket, "Key": key})
        print(json.dumps(calls.requests, indent=2))
        return None
    return finish(job, order.directory)


def attach(name: str, overrides: Sequence[str]) -> Path:
    """Wait for a job that was sent before, and bring its run home. Raises UserError."""
    order = ordered(None, overrides)
    calls = AwsCalls(order.aws.region)
    return finish(training_job(calls, order.aws, name), order.directory)


def check(order: Order) -> None:
    """Refuse what cannot be trained in SageMaker. Raises ConfigError."""
    aws, trainer = order.aws, order.config.trainer
    if aws.role is None:
        raise ConfigError("aws.role: SageMaker needs a role to train with; add aws.role=ARN")
    if aws.training.image is None:
        raise ConfigError(
            "aws.training.image: is needed; build ours from the Dockerfile (--target jobs) and push it to ECR, or name "
            "AWS's image for training with PyTorch and add aws.training.install=true"
        )
    if "fit" not in trainer.stages:
        raise ConfigError("trainer.stages=[test]: judging needs no training job; use train.py")
    if order.config.resume is not None:
        raise ConfigError("resume: a training job begins a run of its own; use trainer.resume_from=RUN")
    if trainer.num_nodes != aws.training.instance_count:
        count = aws.training.instance_count
        raise ConfigError(
            f"aws.training.instance_count={count}: the training is for trainer.num_nodes={trainer.num_nodes} machines; "
            "make them equal"
        )


def new_name() -> str:
    return f"fer-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"


def training_job(calls: AwsCalls, aws: SageMakerAws, name: str) -> LoggedJob:
    region = f" aws.region={aws.region}" if aws.region else ""
    again = f"{PROGRAM} --attach {name} aws.bucket={aws.bucket}{region}"
    return LoggedJob(calls, "training", name, aws.training.poll_s, again)


def staged(order: Order, calls: AwsCalls, name: str, tuning: bool = False) -> dict[str, Any]:
    """Put code, data and run.yaml into the bucket; the parameters of CreateTrainingJob. Raises UserError.

    In a ``tuning`` each job composes its run.yaml itself, with the values that are drawn for it.
    """
    aws, config = order.aws, order.config
    shared = Staging(calls, aws.bucket, aws.prefix, aws.kms_key)
    own = Staging(calls, aws.bucket, f"{aws.prefix}/jobs/{name}", aws.kms_key)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        code = pack(PROJECT, folder, aws.training.allow_changes, "aws.training.allow_changes=true")
        # The SDK's script makes shell variables of the channels' names.
        read = inputs_of(config)
        brought = {
            path: input_of(shared, path, f"input_{number}") for number, path in enumerate(dict.fromkeys(read.values()))
        }
        content = {
            "paths": {path: one.place for path, one in brought.items()},
            "git": {"git_commit": code.commit, "git_diff_sha256": code.diff_sha256},
            # As they are typed, paths are those of this directory.
            "overrides": [*order.overrides, *(f"{key}={json.dumps(path)}" for key, path in read.items())],
        }
        write_text(folder / ORDER, json.dumps(content if tuning else {**content, "overrides": None}, indent=2) + "\n")
        own.put(folder / ORDER, f"job/{ORDER}")
        if (given := order.saved if tuning else config) is not None:
            write_config(folder, given, "train.py")
            own.put(folder / RUN_YAML, f"job/{RUN_YAML}")
        return training_request(
            calls,
            aws,
            own,
            code=shared.once(code.archive, "code"),
            # A tuning job cannot name a command; the image starts the same one.
            command=None if tuning else COMMAND,
            inputs=[Input("job", own.uri("job/"), f"{DATA}/job"), *brought.values()],
            metrics=figures(config),
            network=aws.training.install or config.model.weights == "pretrained",
            tags={"fer": config.name, **aws.tags},
        )


def inputs_of(config: Config) -> dict[str, str]:
    """Each path or s3:// URI that a training reads, by its key."""
    sources = config.dataset.sources.items()
    found = {f"dataset.sources.{name}.root": spec.root for name, spec in sources if spec.kind != "synthetic"}
    if config.model.weights not in ("none", "pretrained"):
        found["model.weights"] = config.model.weights
    if config.trainer.resume_from is not None:
        found["trainer.resume_from"] = config.trainer.resume_from
    return found


def input_of(staging: Staging, path: str, channel: str) -> Input:
    return staging.found(path, channel) if path.startswith("s3://") else staging.once(Path(path), channel)


def figures(config: Config) -> dict[str, str]:
    """Regular expressions of the figures that train.py prints, and of those that its container prints at the end."""
    monitor = config.trainer.early_stopping.monitor
    epoch = {name: rf"Epoch [0-9]+/[0-9]+: .*\b{name} {NUMBER}" for name in ("train_loss", "val_loss", monitor)}
    metric = config.sweep.metric or monitor
    return {**epoch, **{BEST + name: rf"Best epoch: .*\b{name} {NUMBER}" for name in ("val_loss", metric)}}


def finish(job: LoggedJob, directory: str | None) -> Path:
    """Wait for the job, and bring its run home. Raises UserError."""
    status = job.follow()
    artifacts = job.found.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if status == NEVER_CREATED:
        raise UserError(f"there is no training job {job.name} in region {job.calls.region}")
    if status == "Failed" or not artifacts:
        reason = " ".join(str(job.found.get("FailureReason", "")).split())
        raise UserError(f"the training job {job.name} has ended ({status}): {reason or 'it left no run'}")
    run = place(job.calls, artifacts, directory, facts_of(job.found))
    log.info("Run directory: %s", run)
    if status_of(run) != "finished":
        raise UserError(f"the training job {job.name} was stopped; go on with: python train.py resume={run}")
    return run


def place(calls: AwsCalls, artifacts: str, directory: str | None, facts: Mapping[str, Any]) -> Path:
    """Bring a run home into ``directory`` or a new one, which has its name only when it is whole. Raises UserError."""
    parent = Path(directory).absolute().parent if directory else Path("outputs/train") / time.strftime("%Y-%m-%d")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".arriving-") as folder:
        run = bring_home(calls, artifacts, Path(folder))
        write_text(run / FACTS, json.dumps(facts, indent=2, default=str) + "\n")
        wanted = directory or str(parent / f"{time.strftime('%H-%M-%S')}-{saved_name(run)}")
        final = Path(fresh_directory(wanted))
        # Onto the empty directory that this program alone has made.
        run.rename(final)
    return final


def saved_name(run: Path) -> str:
    """The name of a run, whose data may not be on this machine."""
    return str(yaml.safe_load((run / RUN_YAML).read_text(encoding="utf-8"))["name"])


def facts_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth keeping of DescribeTrainingJob."""
    resources = found["ResourceConfig"]
    return {
        "job": found["TrainingJobName"],
        "image": found["AlgorithmSpecification"]["TrainingImage"],
        "instance_type": resources["InstanceType"],
        "instance_count": resources["InstanceCount"],
        "spot": found.get("EnableManagedSpotTraining", False),
        "training_seconds": found.get("TrainingTimeInSeconds"),
        "billable_seconds": found.get("BillableTimeInSeconds"),
        "statuses": [transition["Status"] for transition in found.get("SecondaryStatusTransitions", [])],
    }

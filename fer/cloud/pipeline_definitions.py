"""The two pipelines: extract → transform → monitor over videos, and train → evaluate → register of a model."""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.aws.client import AwsClient, CloudError
from fer.aws.job_options import build_tags
from fer.aws.s3 import check_bucket_private
from fer.aws.settings import connect
from fer.cloud.extraction import use_placeholder_weights
from fer.cloud.extraction_container import WEIGHTS
from fer.cloud.job_spec import JobSpec, parse_job_spec, validate_job_spec
from fer.cloud.pipeline_steps import (
    ProcessingSteps,
    build_condition_step,
    build_definition,
    build_fail_step,
    build_run_uri,
    read_property,
    refer,
)
from fer.cloud.printing import select_sagemaker
from fer.cloud.processing_job import SageMakerProcessing
from fer.cloud.source_archive import pack_source
from fer.cloud.staging import Staging
from fer.cloud.training import stage_inputs
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides
from fer.core.installation import PROJECT_ROOT, format_command
from fer.core.io import write_text
from fer.emotions import EMOTIONS
from fer.errors import ConfigError, ExitCode
from fer.infer.inputs import list_inputs
from fer.infer.pipeline import validate_and_pin
from fer.infer.route import check_version_approved, get_sagemaker_transform
from fer.infer.transform.sagemaker import SageMakerBatchTransform
from fer.infer.transform.shards import CONTENT_TYPES
from fer.registry.base import ModelVersion
from fer.registry.factory import open_registry
from fer.registry.resolve import find_version
from fer.registry.status import REJECTED
from fer.runs.detector_choice import fetch_detector_weights, pin_detector
from fer.runs.run_directory import write_config

BATCH, TRAINING = "batch", "training"
# What is uploaded for a pipeline stays as long as it: the lifecycle of the bucket empties the folders of jobs.
FOLDER = "pipelines"
log = logging.getLogger(__name__)


def create_batch_pipeline(overrides: Sequence[str], out: Path | None) -> None:
    """Create or change the pipeline extract → transform → monitor.

    Args:
        overrides: As of infer.py; `aws=sagemaker` is understood.
        out: File for the definition; None writes none.

    Raises:
        UserError: The configuration is wrong, or AWS refuses.
    """
    config = load_overrides(select_sagemaker(overrides), "infer")
    aws = get_sagemaker_transform(config)
    if aws is None:
        raise ConfigError("aws.kind, inference.route: a pipeline classifies by a batch transform of SageMaker")
    _require_processing_image(aws)
    if config.extraction.study is not None:
        raise ConfigError(
            f"extraction.study={config.extraction.study}: a pipeline reads all videos below one s3://BUCKET/PREFIX and "
            f"knows of no consent; use {format_command('fer.cloud.extract')}"
        )
    inputs = list_inputs(config)
    if len(inputs) != 1 or not inputs[0].startswith("s3://"):
        raise ConfigError(
            f"extraction.input={', '.join(inputs) or 'null'}: a pipeline reads videos below one s3://BUCKET/PREFIX"
        )
    config = validate_and_pin(config)
    client = connect(aws, config.dry_run)
    check_bucket_private(client, aws.bucket)
    if not config.dry_run:
        check_version_approved(config)
    version = find_version(str(config.model_uri), open_registry(config, client))
    with tempfile.TemporaryDirectory() as folder:
        if config.dry_run:
            config = use_placeholder_weights(config, Path(folder, "placeholder.onnx"))
        definition = _build_batch_definition(config, aws, client, version, Path(folder))
    _put_pipeline(client, aws, f"fer-{config.registry.name}-{BATCH}", definition, out)


def _build_batch_definition(
    config: Config, aws: SageMakerAws, client: AwsClient, version: ModelVersion, folder: Path
) -> dict[str, Any]:
    task = folder / "task"
    task.mkdir()
    # Files on this machine, which the steps do not have.
    extraction, _ = pin_detector(config.extraction.model_copy(update={"groups": None, "labels": None}))
    if weights := fetch_detector_weights(extraction):
        shutil.copyfile(weights, task / WEIGHTS)
    write_config(task, config.model_copy(update={"extraction": extraction}), "infer.py")
    steps = _build_processing_steps(client, aws, task, folder)
    videos = refer("Parameters.Videos")
    extract = steps.build("extract", {"videos": videos}, ["run", "shards"])
    shards, answers = build_run_uri(aws, "extract", "shards"), build_run_uri(aws, "transform", "answers")
    model, transform = _build_transform_steps(config, aws, version.source, shards, answers, folder)
    channels = {"run": build_run_uri(aws, "extract", "run"), "shards": shards, "answers": answers, "videos": videos}
    channels["model"] = refer("Parameters.ModelData")
    monitor = steps.build("monitor", channels, ["run", "result"], aws.cloudwatch.publish and not aws.network_isolation)
    # Faces are not named by a step's properties, so the order is told.
    transform["DependsOn"], monitor["DependsOn"] = ["extract"], ["transform"]
    beyond = {"Type": "Equals", "LeftValue": read_property("monitor", "exit_code"), "RightValue": int(ExitCode.DRIFT)}
    fail = build_fail_step("beyond-limit", "A limit of inference.monitor is exceeded, see result.json of monitor")
    parameters = {"Videos": list_inputs(config)[0], "ModelPackage": version.source, "ModelData": version.package}
    return build_definition(
        parameters, [extract, model, transform, monitor, build_condition_step("check", beyond, [fail], [])]
    )


def _build_transform_steps(
    config: Config, aws: SageMakerAws, package: str, shards: object, answers: object, folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the steps that make SageMaker's model and run the transform job, as infer.py requests them."""
    recorder = AwsClient(aws.region, dry_run=True)
    batch = SageMakerBatchTransform(recorder, aws, package, EMOTIONS, config.inference.flip, folder / "transform")
    batch.create_model()
    model = dict(recorder.recorded_requests[-1]["parameters"])
    del model["ModelName"]
    model["PrimaryContainer"] = {"ModelPackageName": refer("Parameters.ModelPackage")}
    transform = batch.build_job_parameters("", "", CONTENT_TYPES[aws.transform.packing])
    transform["ModelName"] = refer("Steps.model.ModelName")
    transform["TransformInput"]["DataSource"] = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": shards}}
    transform["TransformOutput"]["S3OutputPath"] = answers
    return (
        {"Name": "model", "Type": "Model", "Arguments": model},
        {"Name": "transform", "Type": "Transform", "Arguments": transform},
    )


def create_training_pipeline(run_path: str | None, overrides: Sequence[str], out: Path | None) -> None:
    """Create or change the pipeline train → evaluate → register.

    Args:
        run_path: Run directory or run.yaml of what is trained, None for the defaults.
        overrides: As of `fer cloud train`.
        out: File for the definition; None writes none.

    Raises:
        UserError: The configuration is wrong, or AWS refuses.
    """
    spec = parse_job_spec(run_path, overrides)
    validate_job_spec(spec)
    aws = spec.aws
    _require_processing_image(aws)
    _require_network(aws)
    client = connect(aws, spec.dry_run)
    # What the step register would refuse after hours of training.
    registering = spec.config.model_copy(update={"aws": aws})
    open_registry(registering, client).check_ready()
    with tempfile.TemporaryDirectory() as folder:
        definition = _build_training_definition(spec, registering, client, Path(folder))
    _put_pipeline(client, aws, f"fer-{spec.config.registry.name}-{TRAINING}", definition, out)


def _build_training_definition(spec: JobSpec, registering: Config, client: AwsClient, folder: Path) -> dict[str, Any]:
    aws, task = spec.aws, folder / "task"
    task.mkdir()
    write_config(task, registering, "register.py")
    steps = _build_processing_steps(client, aws, task, folder)
    staged = aws.model_copy(update={"prefix": f"{aws.prefix}/{FOLDER}"})
    # SageMaker names the job itself; the name is that of the folder of its run.yaml.
    name = hashlib.sha256(json.dumps(spec.config.dump(), sort_keys=True).encode()).hexdigest()[:16]
    training = stage_inputs(JobSpec(**{**vars(spec), "aws": staged}), client, name)
    del training["TrainingJobName"]
    training["OutputDataConfig"]["S3OutputPath"] = build_run_uri(aws, "train")
    if "CheckpointConfig" in training:
        training["CheckpointConfig"]["S3Uri"] = build_run_uri(aws, "train", "checkpoints")
    train = {"Name": "train", "Type": "Training", "Arguments": training}
    archive = {"archive": refer("Steps.train.ModelArtifacts.S3ModelArtifacts")}
    evaluate = steps.build("evaluate", archive, ["result"])
    register = steps.build("register", archive, ["registered"], network=True)
    rejected = {"Type": "Equals", "LeftValue": read_property("evaluate", "status"), "RightValue": REJECTED}
    fail = build_fail_step("rejected", "The model misses a limit of registry.gate, see result.json of evaluate")
    return build_definition({}, [train, evaluate, build_condition_step("gate", rejected, [fail], [register])])


def _build_processing_steps(client: AwsClient, aws: SageMakerAws, task: Path, folder: Path) -> ProcessingSteps:
    """Upload code and task; returns what builds the steps that need them. Raises UserError."""
    code = folder / "code"
    code.mkdir()
    pack_source(PROJECT_ROOT, code, aws.processing.allow_changes, "aws.processing.allow_changes=true")
    staging = Staging(client, aws.bucket, f"{aws.prefix}/{FOLDER}", aws.kms_key)
    channels = {path.name: staging.upload_once(path, path.name).uri for path in (code, task)}
    jobs = SageMakerProcessing(client, aws, folder / "processing", "")
    return ProcessingSteps(client, aws, jobs, channels)


def _require_processing_image(aws: SageMakerAws) -> None:
    if aws.role is None:
        raise ConfigError("aws.role: SageMaker needs a role to run a pipeline with; add aws.role=ARN")
    if aws.processing.image is None:
        raise ConfigError(
            "aws.processing.image: the steps need it; build it from the Dockerfile (--target jobs), push it to ECR, "
            "and name it"
        )


def _require_network(aws: SageMakerAws) -> None:
    if aws.network_isolation:
        raise ConfigError("aws.network_isolation=true: the step register needs a network; use null")


def _put_pipeline(
    client: AwsClient, aws: SageMakerAws, name: str, definition: Mapping[str, Any], out: Path | None
) -> None:
    """Create the pipeline, or replace its definition, and print what was asked for. Raises CloudError."""
    text = json.dumps(definition, indent=2)
    if out is not None:
        write_text(out, text + "\n")
    parameters = {"PipelineName": name, "PipelineDefinition": text, "RoleArn": aws.role}
    token = hashlib.sha256(f"{name} {text}".encode()).hexdigest()
    try:
        client.request("sagemaker", "create_pipeline", {**parameters, "ClientRequestToken": token, **build_tags(aws)})
    except CloudError as error:
        if "already exists" not in str(error):
            raise
        client.request("sagemaker", "update_pipeline", parameters)
    if client.dry_run:
        print(json.dumps(client.recorded_requests, indent=2))
        return
    print(text)
    log.info("Pipeline %s; start it: aws sagemaker start-pipeline-execution --pipeline-name %s", name, name)

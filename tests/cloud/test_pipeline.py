"""Definitions of pipelines: checked against SageMaker's own description of each call, created and changed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.validate import ParamValidator

from fer.aws.settings import connect
from fer.cloud.pipeline_definitions import create_batch_pipeline, create_training_pipeline
from fer.cloud.policy import build_policies
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides
from fer.errors import ConfigError
from fer.registry.factory import open_registry
from fer.registry.promotion import assign_alias
from fer.registry.sagemaker import SageMakerRegistry
from tests.helpers.aws_simulator.constraints import broken
from tests.helpers.aws_simulator.protocols import service_model
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.candidates import candidate
from tests.helpers.cloud_programs import RIGHTS, allowed
from tests.helpers.grants import (
    Use,
    find_uncovered,
    find_unused,
    list_caller_uses,
    list_role_uses,
    list_step_uses,
)

pytestmark = [pytest.mark.slow, pytest.mark.aws]

BUCKET = "faces-of-tests"
ROLE = "arn:aws:iam::123456789012:role/fer"
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
NAME = "fer-mobilenetv2"
KEY = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
PLACE = (
    *(f"aws.bucket={BUCKET}", f"aws.role={ROLE}", "aws.region=us-east-1", f"aws.processing.image={HOST}/fer-jobs:1"),
    *(f"aws.image={HOST}/fer:1", "aws.processing.allow_changes=true", "aws.training.allow_changes=true"),
)
VIDEOS = f"s3://{BUCKET}/videos/"
BATCH = (f"model_uri=models:/{NAME}@champion", f"extraction.input={VIDEOS}", "extraction=haar", *PLACE)
TRAINING = ("experiment=demo", f"registry.name={NAME}", f"aws.training.image={HOST}/fer-jobs:1", *PLACE)
RICH = (
    *(f"aws.kms_key={KEY}", "+aws.tags.team=faces", "aws.training.spot=true", "aws.transform.packing=image"),
    *(f"aws.volume_kms_key={KEY}", "aws.vpc.subnets=[subnet-1a]", "aws.vpc.security_groups=[sg-1a]"),
    *("aws.encrypt_traffic=true", "aws.max_runtime=3600"),
)
HERE = "arn:aws:sagemaker:us-east-1:123456789012"
# What no dry run shows, and when it is done.
OTHER_TIMES: dict[Use, str] = {
    ("sagemaker:UpdatePipeline", f"{HERE}:pipeline/fer-{NAME}-batch"): "the pipeline exists",
    ("s3:GetBucketPolicyStatus", f"arn:aws:s3:::{BUCKET}"): "the bucket does not block all public access",
    ("s3:GetBucketAcl", f"arn:aws:s3:::{BUCKET}"): "the bucket does not block all public access",
    ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/fer/locks/{NAME}.json"): "another process holds the lock",
    ("s3:AbortMultipartUpload", f"arn:aws:s3:::{BUCKET}/fer/models/{NAME}/1/model.tar.gz"): "an upload in parts fails",
}
CALLS = {
    "Processing": ("CreateProcessingJob", "ProcessingJobName"),
    "Transform": ("CreateTransformJob", "TransformJobName"),
    "Training": ("CreateTrainingJob", "TrainingJobName"),
    "Model": ("CreateModel", "ModelName"),
}
FILLED_IN = {
    "Execution.PipelineExecutionId": "abcd1234efgh",
    "Steps.model.ModelName": "pipelines-abcd1234efgh-model-x",
    "Steps.train.ModelArtifacts.S3ModelArtifacts": f"s3://{BUCKET}/fer/jobs/x/output/model.tar.gz",
}


def iter_steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every step, those of conditions too."""
    for step in steps:
        yield step
        if step["Type"] == "Condition":
            yield from iter_steps([*step["Arguments"]["IfSteps"], *step["Arguments"]["ElseSteps"]])


def iter_references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if set(node) == {"Get"}:
            yield node["Get"]
        for inner in node.values():
            yield from iter_references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from iter_references(inner)


def filled_in(node: Any, definition: dict[str, Any]) -> Any:
    """What SageMaker makes of arguments when an execution comes to them."""
    if isinstance(node, list):
        return [filled_in(inner, definition) for inner in node]
    if not isinstance(node, dict):
        return node
    match list(node):
        case ["Get"]:
            parameters = {f"Parameters.{entry['Name']}": entry["DefaultValue"] for entry in definition["Parameters"]}
            return {**FILLED_IN, **parameters}[node["Get"]]
        case ["Std:Join"]:
            return node["Std:Join"]["On"].join(filled_in(node["Std:Join"]["Values"], definition))
    return {key: filled_in(inner, definition) for key, inner in node.items()}


def input_shape(operation: str) -> Any:
    return service_model("sagemaker").operation_model(operation).input_shape


def assert_sound(parameters: dict[str, Any]) -> dict[str, Any]:
    """The request and each step keep to SageMaker's description; returns the steps by name."""
    assert not ParamValidator().validate(parameters, input_shape("CreatePipeline")).has_errors()
    assert broken("sagemaker", "CreatePipeline", parameters) is None
    definition = json.loads(parameters["PipelineDefinition"])
    assert definition["Version"] == "2020-12-01"
    steps = {step["Name"]: step for step in iter_steps(definition["Steps"])}
    for name, step in steps.items():
        assert set(step.get("DependsOn", [])) <= set(steps)
        used = {place.split(".")[1] for place in iter_references(step["Arguments"]) if place.startswith("Steps.")}
        assert used <= set(steps) - {name}
        if step["Type"] in CALLS:
            operation, key = CALLS[step["Type"]]
            # SageMaker names what it starts.
            assert key not in step["Arguments"]
            request = {key: f"pipelines-abcd1234efgh-{name}-x", **filled_in(step["Arguments"], definition)}
            report = ParamValidator().validate(request, input_shape(operation))
            assert not report.has_errors(), report.generate_report()
            assert broken("sagemaker", operation, request) is None
    return steps


def planned(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The request that a dry run would create the pipeline with."""
    [last] = [one for one in json.loads(capsys.readouterr().out) if one["operation"] == "create_pipeline"]
    return dict(last["parameters"])


@pytest.mark.parametrize("more", [(), RICH])
def test_the_rights_of_pipelines_are_used_and_cover_each_step(
    more: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    create_batch_pipeline([*BATCH, *more, "dry_run=true"], None)
    requests = json.loads(capsys.readouterr().out)
    create_training_pipeline(None, [*TRAINING, *more, "dry_run=true"], None)
    requests += json.loads(capsys.readouterr().out)
    sent = {use for one in requests for use in list_caller_uses(one["service"], one["operation"], one["parameters"])}
    images = (f"aws.training.image={HOST}/fer-jobs:1", f"registry.name={NAME}", f"extraction.input={VIDEOS}")
    config = load_overrides(["aws=sagemaker", *PLACE, *images, *more], "infer")
    done = {use for one in requests if one["operation"] == "create_pipeline" for use in iter_uses(one["parameters"])}
    done |= {*iter_uses_of_register(config, tmp_path)}
    plain, rights = build_policies(config), build_policies(config, pipelines=True)
    for who, uses in (("caller", sent), ("role", done)):
        statements = rights[who]["Statement"]
        assert find_uncovered(statements, uses) == []
        added = [statement for statement in statements if statement not in plain[who]["Statement"]]
        assert added and find_unused(added, uses | {*OTHER_TIMES}) == []


def iter_uses(pipeline: dict[str, Any]) -> Iterator[Use]:
    """What SageMaker does with the role of a pipeline, which is that of its steps."""
    definition = json.loads(pipeline["PipelineDefinition"])
    for step in iter_steps(definition["Steps"]):
        if step["Type"] in CALLS:
            yield from list_role_uses(CALLS[step["Type"]][0], filled_in(step["Arguments"], definition))
            yield from list_step_uses(step["Type"], f"pipelines-abcd1234efgh-{step['Name']}-x", ROLE)


def iter_uses_of_register(config: Config, folder: Path) -> Iterator[Use]:
    """What the step register asks AWS itself."""
    assert isinstance(config.aws, SageMakerAws)
    registry = SageMakerRegistry(config.aws, connect(config.aws, dry_run=True))
    registry.check_ready()
    with registry.lock(NAME):
        registry.list_versions(NAME)
        assign_alias(registry, registry.register(candidate(folder, name=NAME)))
    for one in registry.client.recorded_requests:
        yield from list_caller_uses(one["service"], one["operation"], one["parameters"])


def get_uris(step: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    given = {one["InputName"]: one["S3Input"]["S3Uri"] for one in step["Arguments"]["ProcessingInputs"]}
    return {name: given[name] for name in names}


@pytest.mark.parametrize("more", [(), RICH])
def test_the_batch_pipeline_extracts_transforms_and_monitors(
    more: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    create_batch_pipeline([*BATCH, *more, "dry_run=true"], tmp_path / "batch.json")
    request = planned(capsys)
    assert (request["PipelineName"], request["RoleArn"]) == (f"fer-{NAME}-batch", ROLE)
    assert (tmp_path / "batch.json").read_text() == request["PipelineDefinition"] + "\n"
    steps = assert_sound(request)
    assert [(name, step["Type"]) for name, step in steps.items()] == [
        *(("extract", "Processing"), ("model", "Model"), ("transform", "Transform"), ("monitor", "Processing")),
        *(("check", "Condition"), ("beyond-limit", "Fail")),
    ]
    [videos] = get_uris(steps["extract"], ("videos",)).values()
    assert videos == {"Get": "Parameters.Videos"}
    extracted = {
        one["OutputName"]: one["S3Output"]["S3Uri"]
        for one in steps["extract"]["Arguments"]["ProcessingOutputConfig"]["Outputs"]
    }
    transform = steps["transform"]["Arguments"]
    assert transform["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == extracted["shards"]
    assert transform["ModelName"] == {"Get": "Steps.model.ModelName"}
    assert get_uris(steps["monitor"], ("run", "shards", "answers")) == {
        **extracted,
        "answers": transform["TransformOutput"]["S3OutputPath"],
    }
    assert (steps["transform"]["DependsOn"], steps["monitor"]["DependsOn"]) == (["extract"], ["transform"])
    # Faces come below the folder that the bucket's lifecycle empties.
    assert extracted["shards"]["Std:Join"]["Values"][0] == f"s3://{BUCKET}/fer/jobs/pipelines"
    assert steps["extract"]["Arguments"]["NetworkConfig"]["EnableNetworkIsolation"] is True
    if more:
        assert steps["extract"]["Arguments"]["ProcessingOutputConfig"]["KmsKeyId"] == KEY
        assert transform["TransformInput"]["ContentType"] == "image/jpeg"
        assert request["Tags"] == [{"Key": "team", "Value": "faces"}]


@pytest.mark.parametrize("more", [(), RICH])
def test_the_training_pipeline_trains_evaluates_and_registers(
    more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    create_training_pipeline(None, [*TRAINING, *more, "dry_run=true"], None)
    request = planned(capsys)
    steps = assert_sound(request)
    assert [(name, step["Type"]) for name, step in steps.items()] == [
        *(("train", "Training"), ("evaluate", "Processing"), ("gate", "Condition")),
        *(("rejected", "Fail"), ("register", "Processing")),
    ]
    trained = {"Get": "Steps.train.ModelArtifacts.S3ModelArtifacts"}
    for name in ("evaluate", "register"):
        assert get_uris(steps[name], ("archive",)) == {"archive": trained}
    [condition] = steps["gate"]["Arguments"]["Conditions"]
    assert condition["LeftValue"]["Std:JsonGet"]["PropertyFile"] == {"Get": "Steps.evaluate.PropertyFiles.result"}
    assert condition["RightValue"] == "Rejected"
    # What a pipeline starts from stays: no rule of the bucket's lifecycle has its folder.
    for channel in steps["train"]["Arguments"]["InputDataConfig"]:
        assert channel["DataSource"]["S3DataSource"]["S3Uri"].startswith(f"s3://{BUCKET}/fer/pipelines/")
    if more:
        checkpoints = steps["train"]["Arguments"]["CheckpointConfig"]["S3Uri"]["Std:Join"]["Values"]
        assert {"Get": "Execution.PipelineExecutionId"} in checkpoints


@pytest.fixture
def ready(aws: Simulated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulated:
    """AWS with a bucket and an approved version."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    registry = open_registry(load_overrides(["aws=sagemaker", *PLACE], "register"))
    assert isinstance(registry, SageMakerRegistry)
    assign_alias(registry, registry.register(candidate(tmp_path, name=NAME)))
    return aws


@pytest.mark.parametrize(
    ("kind", "create", "change"),
    [
        ("batch", lambda *more: create_batch_pipeline([*BATCH, *more], None), "aws.transform.instance_count=3"),
        ("training", lambda *more: create_training_pipeline(None, [*TRAINING, *more], None), "trainer.max_epochs=7"),
    ],
)
def test_a_pipeline_is_created_changed_and_deleted(
    kind: str, create: Callable[..., None], change: str, ready: Simulated, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ready.calls()
    sagemaker, name = ready.client("sagemaker"), f"fer-{NAME}-{kind}"
    create()
    first = json.loads(capsys.readouterr().out)
    described = sagemaker.describe_pipeline(PipelineName=name)
    assert json.loads(described["PipelineDefinition"]) == first and described["RoleArn"] == ROLE
    create(change)
    second = json.loads(capsys.readouterr().out)
    assert json.loads(sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"]) == second != first
    if kind == "batch":
        parameters = {entry["Name"]: entry["DefaultValue"] for entry in first["Parameters"]}
        assert parameters["Videos"] == VIDEOS
        assert parameters["ModelPackage"].endswith(f":model-package/{NAME}/1")
        assert parameters["ModelData"].endswith("/model.tar.gz")
    # What was uploaded is there, and who typed the command may do all that it did.
    stored = ready.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="fer/pipelines/")["Contents"]
    assert {"code.tar.gz", "run.yaml"} <= {item["Key"].rpartition("/")[2] for item in stored}
    caller = build_policies(load_overrides(["aws=sagemaker", *PLACE], "infer"), pipelines=True)["caller"]["Statement"]
    for action in {RIGHTS.get(call, call) for call in ready.calls() - before} - {"sagemaker:DescribePipeline"}:
        assert allowed(caller, action), action
    sagemaker.delete_pipeline(PipelineName=name)
    assert sagemaker.list_pipelines()["PipelineSummaries"] == []


@pytest.mark.parametrize(
    ("create", "said"),
    [
        (lambda: create_batch_pipeline([*BATCH, "extraction.input=clips/"], None), "a pipeline reads videos below one"),
        (lambda: create_batch_pipeline([*BATCH, "aws.processing.image=null"], None), "aws.processing.image: the steps"),
        (lambda: create_batch_pipeline([*BATCH, "inference.route=process"], None), "classifies by a batch transform"),
        (lambda: create_training_pipeline(None, [*TRAINING, "aws.role=null"], None), "aws.role: "),
        (lambda: create_training_pipeline(None, [*TRAINING, "aws.image=null", "dry_run=true"], None), "aws.image: "),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(create: Callable[[], None], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create()


def test_a_study_is_for_another_command(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.touch()
    with pytest.raises(ConfigError, match=r"knows of no consent; use python -m fer\.cloud\.extract$"):
        create_batch_pipeline([*BATCH, "extraction.input=null", f"extraction.study={study}"], None)

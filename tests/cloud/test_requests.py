"""Every request of every command, plain and with all options: what AWS takes, and what the printed rights allow."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from fer.aws.settings import connect
from fer.cloud.job_spec import parse_job_spec, validate_job_spec
from fer.cloud.policy import build_policies
from fer.cloud.processing_job import SageMakerProcessing
from fer.cloud.training import stage_inputs
from fer.cloud.tuning import _build_tuning_job, _build_tuning_request, _parse_search
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides
from fer.emotions import EMOTIONS
from fer.errors import ConfigError
from fer.infer.monitoring import publish_batch
from fer.infer.transform.sagemaker import SageMakerBatchTransform
from fer.infer.transform.shards import Request
from fer.monitoring.cloudwatch import build_alarm_name, put_alarms
from fer.registry.gate import APPROVED, REJECTED
from fer.registry.pipeline import ACTIONS
from fer.registry.promotion import assign_alias
from fer.registry.sagemaker import SageMakerRegistry
from tests.helpers.aws_simulator.constraints import broken
from tests.helpers.batches import Limits
from tests.helpers.candidates import NAME, candidate
from tests.helpers.cloud_programs import IMAGE, ROLE
from tests.helpers.grants import Use, find_uncovered, find_unused, list_caller_uses, list_role_uses

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DISKS = KEY.replace("1234abcd", "abcd1234")
PLAIN = (
    *("aws.bucket=faces", f"aws.role={ROLE}", f"aws.image={IMAGE}", f"aws.processing.image={IMAGE}"),
    *(f"aws.training.image={IMAGE}", "aws.region=us-east-1", "aws.training.allow_changes=true"),
)
FULL = (
    *(*PLAIN, f"aws.kms_key={KEY}", f"aws.volume_kms_key={DISKS}", "aws.training.instance_type=ml.c5.xlarge"),
    *("aws.vpc.subnets=[subnet-1a]", "aws.vpc.security_groups=[sg-1a]", "aws.encrypt_traffic=true"),
    *("aws.network_isolation=true", "aws.max_runtime=3600", "+aws.tags.team=faces", "aws.training.spot=true"),
    *("aws.cloudwatch.alarms=true", "aws.cloudwatch.namespace=study/one", "aws.keep=none"),
)
VPC = {"Subnets": ["subnet-1a"], "SecurityGroupIds": ["sg-1a"]}
TAG = {"Key": "team", "Value": "faces"}
# What SageMaker acts on with the role; the image and the files of a model are those of its version.
JOB_REQUESTS = {f"create_{kind}_job" for kind in ("transform", "processing", "training", "hyper_parameter_tuning")}
JOB_REQUESTS |= {"create_model", "create_model_package"}
FIGURES: dict[str, Any] = {
    **{"counts": {"videos": 1, "frames": 2, "faces": 2, "rows": {"ok": 2}}, "failures": {"videos": 0, "share": 0.0}},
    **{"labels": None, "images_per_s": 9.5, "confidence": {"mean": 0.7}, "class_shares": {"happy": 1.0}, "drift": None},
}
HERE = "arn:aws:sagemaker:us-east-1:123456789012"
LOGS = [
    f"arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/{kind}Jobs" for kind in ("Transform", "Processing")
]
LOGS.append(LOGS[0].replace("Transform", "Training"))
# What no dry run shows, and when it is done.
OTHER_TIMES: dict[Use, str] = {
    ("s3:GetBucketPolicyStatus", "arn:aws:s3:::faces"): "the bucket does not block all public access",
    ("s3:GetBucketAcl", "arn:aws:s3:::faces"): "the bucket does not block all public access",
    ("s3:AbortMultipartUpload", "arn:aws:s3:::faces/fer/inputs/x"): "an upload in parts fails",
    ("sagemaker:StopTransformJob", f"{HERE}:transform-job/fer-1"): "Ctrl-C, and the answer y",
    ("sagemaker:StopProcessingJob", f"{HERE}:processing-job/fer-1"): "Ctrl-C, and the answer y",
    ("sagemaker:StopTrainingJob", f"{HERE}:training-job/fer-1"): "Ctrl-C, and the answer y",
    ("sagemaker:StopHyperParameterTuningJob", f"{HERE}:hyper-parameter-tuning-job/fer-1"): "Ctrl-C, and the answer y",
    ("sagemaker:DescribeTrainingJob", f"{HERE}:training-job/fer-1"): "a training is waited for",
    (
        "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
        f"{HERE}:hyper-parameter-tuning-job/fer-1",
    ): "a search comes home",
    ("sagemaker:ListEndpoints", "*"): "a version is deleted",
    ("sagemaker:DescribeEndpoint", f"{HERE}:endpoint/x"): "a version is deleted, and there are endpoints",
    ("sagemaker:DescribeEndpointConfig", f"{HERE}:endpoint-config/x"): "a version is deleted, and there are endpoints",
    ("sagemaker:ListTags", f"{HERE}:endpoint/x"): "a version is deleted, and there are endpoints",
    **{("logs:DescribeLogStreams", group): "a job failed" for group in LOGS},
    **{("logs:GetLogEvents", f"{group}:log-stream:x"): "a job failed" for group in LOGS},
}


class Recorded:
    """What all commands would send under a configuration."""

    def __init__(self, overrides: tuple[str, ...], folder: Path) -> None:
        self.config: Config = load_overrides(["aws=sagemaker", *overrides, f"registry.name={NAME}"], "infer")
        assert isinstance(self.config.aws, SageMakerAws)
        self.aws = self.config.aws
        self.client = connect(self.aws, dry_run=True)
        registry = SageMakerRegistry(self.aws, self.client)
        registry.check_ready()
        with registry.lock(NAME):
            assign_alias(registry, registry.register(candidate(folder)))
        for action, do in ACTIONS.items():
            do(self.config.registry.model_copy(update={"action": action, "version": 3}), registry)
        registry.set_status(registry.find(NAME, 2), APPROVED, "By hand.")
        self.transform(folder)
        self.extraction(folder)
        self.training(overrides)
        publish_batch(self.config, FIGURES, self.client)
        if self.aws.cloudwatch.alarms:
            namespace = self.aws.cloudwatch.namespace
            put_alarms(self.client, Limits(max_failures=0.2), namespace, {}, "m" * 300, None, self.aws.tags)
        self.requests = self.client.recorded_requests

    def transform(self, folder: Path) -> None:
        path = folder / "shards" / "shard-0.tar"
        path.parent.mkdir()
        path.touch()
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{NAME}/1"
        batch = SageMakerBatchTransform(self.client, self.aws, arn, EMOTIONS, False, folder / "shards")
        batch.send([Request(path, ())], "application/x-tar")
        batch.clean_up()

    def extraction(self, folder: Path) -> None:
        processing = SageMakerProcessing(self.client, self.aws, folder / "extraction", "again")
        processing.start("s3://faces/fer/inputs/videos/", ["a.mp4"], {"task": candidate_folder(folder)}, ("sh",))
        processing.wait(["0.zip"])
        processing.download_result("0.zip", folder / "0.zip")
        processing.clean_up()

    def training(self, overrides: tuple[str, ...]) -> None:
        spec = parse_job_spec(None, [*overrides, "model.weights=none", "experiment=demo"])
        request = stage_inputs(spec, self.client, "fer-1")
        self.client.request("sagemaker", "create_training_job", {**request, "TrainingJobName": "fer-1"})
        search = [*overrides, "model.weights=none", "experiment=demo", "optimizer.lr=interval(1e-5,1.5e-2)"]
        spec, space = _parse_search(None, search)
        job = _build_tuning_job(self.client, spec.aws, "fer-2")
        job.create(_build_tuning_request(spec, space, stage_inputs(spec, self.client, "fer-2", tuning=True)))
        job.wait(lambda _: 0, 1, "jobs")

    def find(self, operation: str) -> dict[str, Any]:
        found = [one["parameters"] for one in self.requests if one["operation"] == operation]
        assert found, operation
        return dict(found[-1])

    def caller_uses(self) -> set[Use]:
        return {
            use
            for one in self.requests
            for use in list_caller_uses(one["service"], one["operation"], one["parameters"])
        }

    def role_uses(self) -> Iterator[Use]:
        """What SageMaker does for what was asked for; a model is of a version, which has files and an image."""
        for one in self.requests:
            if one["operation"] in JOB_REQUESTS:
                api = self.client.get_client("sagemaker").meta.method_to_api_mapping[one["operation"]]
                yield from list_role_uses(api, one["parameters"])


def candidate_folder(folder: Path) -> Path:
    (folder / "task").mkdir()
    (folder / "task" / "task.json").write_text("{}")
    return folder / "task"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(PLAIN, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(FULL, tmp_path_factory.mktemp("full"))


@pytest.fixture(params=["plain", "full"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    found: Recorded = request.getfixturevalue(request.param)
    return found


@pytest.mark.slow
def test_every_request_is_what_aws_takes(recorded: Recorded) -> None:
    """By the simulator's own reading of AWS's descriptions."""
    for one in recorded.requests:
        api = recorded.client.get_client(one["service"]).meta.method_to_api_mapping[one["operation"]]
        assert broken(one["service"], api, one["parameters"]) is None, one
    # What is described, waited for and counted is seen where the simulator runs: it walks over each request, too.
    assert len({one["operation"] for one in recorded.requests}) >= 24


@pytest.mark.slow
def test_the_rights_cover_every_request_and_nothing_unused_is_granted(recorded: Recorded) -> None:
    caller = build_policies(recorded.config)["caller"]["Statement"]
    used = recorded.caller_uses()
    assert find_uncovered(caller, used) == []
    assert find_unused(caller, used | {*OTHER_TIMES}) == []


@pytest.mark.slow
def test_the_role_may_do_what_jobs_need_and_nothing_more(recorded: Recorded) -> None:
    role = build_policies(recorded.config)["role"]["Statement"]
    used = [*recorded.role_uses()]
    assert find_uncovered(role, used) == []
    assert find_unused(role, used) == []


def test_what_is_not_used_is_found() -> None:
    statement = {"Sid": "A", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:b/jobs/*", "arn:b/other/*"]}
    assert find_unused([statement], [("s3:GetObject", "arn:b/jobs/1"), ("s3:PutObject", "arn:c/jobs/1")]) == [
        *(("A", "s3:PutObject"), ("A", "arn:b/other/*"))
    ]
    assert find_uncovered([statement], [("s3:GetObject", "arn:b/x")]) == [("s3:GetObject", "arn:b/x")]


@pytest.mark.slow
def test_options_reach_every_request(full: Recorded) -> None:
    training, tuning = full.find("create_training_job"), full.find("create_hyper_parameter_tuning_job")
    processing, transform = full.find("create_processing_job"), full.find("create_transform_job")
    model, package = full.find("create_model"), full.find("create_model_package")
    inner = tuning["TrainingJobDefinition"]
    for job in (training, inner, model, processing["NetworkConfig"]):
        assert job["VpcConfig"] == VPC and job["EnableNetworkIsolation"] is True
    for job in (training, inner, processing["NetworkConfig"]):
        assert job["EnableInterContainerTrafficEncryption"] is True
    disks = (training["ResourceConfig"], inner["ResourceConfig"], transform["TransformResources"])
    for machines in (*disks, processing["ProcessingResources"]["ClusterConfig"]):
        assert machines["VolumeKmsKeyId"] == DISKS
    outputs = (training["OutputDataConfig"], inner["OutputDataConfig"], transform["TransformOutput"])
    for output in (*outputs, processing["ProcessingOutputConfig"], package["SecurityConfig"]):
        assert output["KmsKeyId"] == KEY
    for job in (training, inner, processing):
        assert job["StoppingCondition"]["MaxRuntimeInSeconds"] == 3600
    limits = tuning["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits["MaxRuntimeInSeconds"] == 3600
    for created in (training, tuning, processing, transform, model, full.find("create_model_package_group")):
        assert TAG in created["Tags"]
    assert full.find("put_metric_alarm")["Tags"] == [TAG]
    keys = {one["parameters"].get("SSEKMSKeyId") for one in full.requests if "Body" in one["parameters"]}
    assert keys == {KEY}
    assert package["ModelCard"]["ModelCardStatus"] == "Approved"


@pytest.mark.slow
def test_without_options_requests_are_as_before(plain: Recorded) -> None:
    training, processing = plain.find("create_training_job"), plain.find("create_processing_job")
    transform, model = plain.find("create_transform_job"), plain.find("create_model")
    for job in (training, model):
        assert "VpcConfig" not in job and job["EnableNetworkIsolation"] is True
    assert not training.get("EnableInterContainerTrafficEncryption")
    assert processing["NetworkConfig"] == {"EnableNetworkIsolation": True} and processing["Tags"] == []
    assert transform["TransformResources"] == {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1}
    assert "Tags" not in transform and "Tags" not in model
    assert training["StoppingCondition"]["MaxRuntimeInSeconds"] == 24 * 3600
    assert training["ResourceConfig"].get("VolumeKmsKeyId") is None


@pytest.mark.slow
def test_a_range_has_all_digits_and_no_exponent(plain: Recorded) -> None:
    ranges = plain.find("create_hyper_parameter_tuning_job")["HyperParameterTuningJobConfig"]["ParameterRanges"]
    [continuous] = ranges["ContinuousParameterRanges"]
    assert (continuous["Name"], continuous["MinValue"], continuous["MaxValue"]) == ("optimizer.lr", "0.00001", "0.015")


@pytest.mark.parametrize(
    ("images", "resources"),
    [
        ((), ["arn:aws:ecr:*:*:repository/*"]),
        ((f"aws.image={IMAGE}",), ["arn:aws:ecr:us-east-1:123456789012:repository/fer"]),
        (
            (
                "aws.training.image=210987654321.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a/b@sha256:0",
                "aws.image=123456789012.dkr-ecr.eu-west-1.on.aws/c",
            ),
            [
                "arn:aws:ecr:eu-west-1:123456789012:repository/c",
                "arn:aws:ecr:us-gov-west-1:210987654321:repository/a/b",
            ],
        ),
    ],
)
def test_naming_an_image_grants_that_repository_alone(images: tuple[str, ...], resources: list[str]) -> None:
    config = load_overrides(["aws=sagemaker", "aws.bucket=faces", f"aws.role={ROLE}", *images], "infer")
    role = build_policies(config)["role"]["Statement"]
    [image] = [one for one in role if one["Sid"] == "Image"]
    assert image["Resource"] == resources


def test_an_image_elsewhere_grants_nothing() -> None:
    config = load_overrides(
        ["aws=sagemaker", "aws.bucket=faces", f"aws.role={ROLE}", "aws.image=docker.io/a:1"], "infer"
    )
    with pytest.raises(ConfigError, match=r"^aws\.image=docker\.io/a:1: is not in ECR"):
        build_policies(config)


def test_long_alarm_names_fit_the_policy_and_stay_apart() -> None:
    words = ["x" * 300, "Accuracy"]
    first, second = build_alarm_name("study", words), build_alarm_name("study", [*words[:1], "MacroF1"])
    assert first != second and len(first) == len(second) == 255
    assert all(fnmatchcase(name, "study *") for name in (first, second))
    assert build_alarm_name("fer", ["m", "Accuracy"]) == "fer m Accuracy"


def test_what_needs_the_network_is_refused_where_it_is_isolated() -> None:
    spec = parse_job_spec(None, [*PLAIN, "aws.network_isolation=true", "model.weights=pretrained"])
    with pytest.raises(ConfigError, match=r"^aws\.network_isolation=true: model\.weights=pretrained needs the network"):
        validate_job_spec(spec)
    spec = parse_job_spec(None, [*PLAIN, "aws.network_isolation=true", "aws.training.install=true"])
    with pytest.raises(ConfigError, match=r"aws\.training\.install=true needs the network"):
        validate_job_spec(spec)


def test_a_dry_run_does_as_its_own_requests_say(tmp_path: Path) -> None:
    aws = load_overrides(["aws=sagemaker", *PLAIN], "infer").aws
    assert isinstance(aws, SageMakerAws)
    registry = SageMakerRegistry(aws, connect(aws, dry_run=True))
    version = registry.register(candidate(tmp_path, status=REJECTED))
    assert version.status == REJECTED
    assert registry.find(NAME, version.version).status == REJECTED
    assign_alias(registry, version)
    assert "add_tags" not in {one["operation"] for one in registry.client.recorded_requests}
    assert "Approved" not in json.dumps(registry.client.recorded_requests)

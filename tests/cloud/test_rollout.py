"""Endpoints in a simulated SageMaker, whose containers are the real server: deployed, changed, undone, deleted."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fer.aws.client import CloudError
from fer.cloud.rollout import Rollout
from fer.config.compose import load_overrides
from fer.errors import UserError
from fer.registry.pipeline import run_action
from fer.serving import Predictor
from fer.serving.responses import decode_image
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.candidates import BUCKET, NAME
from tests.helpers.deploying import SETTINGS, Deployments
from tests.helpers.networks import one_thread
from tests.helpers.registering import until
from tests.helpers.server import gray_png, probabilities_of

FACE = gray_png(0)
SCALED = ("autoscaling.max=4", "autoscaling.target=100")


def deploying(*settings: str) -> list[str]:
    return [f"registry.deploy.{one}" for one in settings]


@pytest.fixture
def deployments(
    simulator: Simulated,
    small_package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Deployments:
    simulator.reset()
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    simulator.client("s3").create_bucket(Bucket=BUCKET)
    return Deployments(simulator, small_package, tmp_path, capsys)


@pytest.fixture(scope="module")
def expected(small_bundle: Path) -> np.ndarray:
    with one_thread():
        predictor = Predictor.load(str(small_bundle), runtime="onnx", threads=1)
        return predictor.predict([decode_image(FACE)])[0]


def test_deploy_change_scale_undo_and_delete(deployments: Deployments, expected: np.ndarray) -> None:
    """The whole life of an endpoint; every request is walked over by the simulator."""
    deployments.register("1")
    aws = deployments.aws
    # Done, but not answered: boto3 asks again.
    aws.fault("lost", service="sagemaker", operation="CreateEndpoint")
    assert deployments.run("deploy", "sagemaker") == f"endpoint {NAME} serves models:/{NAME}/1"
    first = deployments.describe()
    assert (first["EndpointStatus"], first["EndpointConfigName"][:-12]) == ("InService", f"{NAME}-")
    np.testing.assert_allclose(probabilities_of(deployments.ask(FACE)), expected, atol=1e-5)
    assert deployments.list_names() == ([NAME], [first["EndpointConfigName"]], [first["EndpointConfigName"]])
    calls = aws.calls()
    # The same again: nothing is made or changed.
    deployments.run("deploy", "sagemaker", f"model_uri=models:/{NAME}@champion")
    later = aws.calls() - calls
    changes = {name for name in later if name.split(":")[1].startswith(("Create", "Update", "Delete"))}
    assert changes == {"s3:DeleteObject"}  # the lock

    deployments.register("2")
    aws.fault("lost", service="sagemaker", operation="UpdateEndpoint")
    said = deployments.run("deploy", "sagemaker", *deploying(*SCALED, "update.traffic=canary", "update.wait_s=1"))
    assert said == f"endpoint {NAME} serves models:/{NAME}/2"
    second = deployments.describe()["EndpointConfigName"]
    [target], policies = deployments.scaling()
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    tracking = policies["fer-load"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 100
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantInvocationsPerInstance"
    assert sorted(deployments.list_names()[1]) == sorted([first["EndpointConfigName"], second])
    update = deployments.describe()["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (update["Type"], update["CanarySize"]["Value"]) == ("CANARY", 20)

    assert deployments.run("rollback", "sagemaker") == f"endpoint {NAME} serves models:/{NAME}/1 again"
    assert deployments.describe()["EndpointConfigName"] == first["EndpointConfigName"]
    assert deployments.list_names()[1] == [first["EndpointConfigName"]]
    # The number of machines stays that of the load.
    assert deployments.scaling()[0]
    with pytest.raises(UserError, match="serves its first version; there is none before it to go back to"):
        deployments.run("rollback", "sagemaker")

    assert deployments.run("undeploy", "sagemaker").startswith(f"endpoint {NAME} is deleted; its log stays in /aws/")
    assert deployments.list_names() == ([], [], [])
    assert deployments.scaling() == ([], {})
    assert deployments.run("undeploy", "sagemaker").startswith(f"endpoint {NAME}: there is none")


def test_what_does_not_come_up_leaves_the_old_one_and_nothing_else(
    deployments: Deployments, tmp_path: Path, expected: np.ndarray
) -> None:
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"no archive")
    deployments.register("1", broken)
    log = f"/aws/sagemaker/Endpoints/{NAME}"
    with pytest.raises(UserError) as failed:
        deployments.run("deploy", "sagemaker")
    assert str(failed.value) == (
        f"endpoint {NAME} did not come up, and nothing of it is left: The primary container for production variant "
        f"AllTraffic did not pass the ping health check. Please check CloudWatch logs for this endpoint; its log: {log}"
    )
    assert deployments.list_names() == ([], [], [])
    deployments.register("2")
    deployments.run("deploy", "sagemaker", *deploying(*SCALED))
    before, scaling = deployments.describe(), deployments.scaling()
    deployments.register("3", broken)
    # Another type of machine: its scaling is taken away for the change, and comes back.
    with pytest.raises(UserError, match=f"^endpoint {NAME} serves what it served before, since the other did not come"):
        deployments.run("deploy", "sagemaker", *deploying("instance_type=ml.m5.xlarge", *SCALED))
    after = deployments.describe()
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", before["EndpointConfigName"])
    np.testing.assert_allclose(probabilities_of(deployments.ask(FACE)), expected, atol=1e-5)
    assert deployments.list_names() == ([NAME], [before["EndpointConfigName"]], [before["EndpointConfigName"]])
    [target], policies = deployments.scaling()
    assert (target["MaxCapacity"], set(policies)) == (scaling[0][0]["MaxCapacity"], set(scaling[1]))
    # An alarm that rings undoes a change to what would answer, too.
    cloudwatch = deployments.aws.client("cloudwatch")
    rule = {"Namespace": "fer", "MetricName": "Failures", "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1}
    alarm = {"AlarmName": "failures", "Period": 60, "EvaluationPeriods": 1, "Statistic": "Sum"}
    cloudwatch.put_metric_alarm(**rule, **alarm)
    cloudwatch.set_alarm_state(AlarmName="failures", StateValue="ALARM", StateReason="a test")
    more = ("instance_count=2", "autoscaling.max=4", "autoscaling.target=100", "update.alarms=[failures]")
    with pytest.raises(UserError, match=r"before, .*: One or more configured alarm\(s\) in ALARM state: \[failures\]"):
        deployments.run("deploy", "sagemaker", "registry.version=2", *deploying(*more))
    assert deployments.describe()["EndpointConfigName"] == before["EndpointConfigName"]
    with pytest.raises(UserError, match="serves its first version"):
        deployments.run("rollback", "sagemaker")


def test_a_queue_without_machines_is_answered_into_the_bucket(deployments: Deployments, expected: np.ndarray) -> None:
    deployments.register("1")
    scaled = ("autoscaling.min=0", "autoscaling.max=2", "autoscaling.target=5")
    said = deployments.run("deploy", "async", *deploying("endpoint=queue", *scaled))
    assert said == f"endpoint queue serves models:/{NAME}/1"
    s3 = deployments.aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key="fer/inputs/face.png", Body=FACE)
    sent = deployments.aws.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName="queue", InputLocation=f"s3://{BUCKET}/fer/inputs/face.png", ContentType="image/png"
    )
    place = sent["OutputLocation"].removeprefix(f"s3://{BUCKET}/")
    assert place.startswith("fer/jobs/endpoints/queue/output/")
    assert b'"emotion"' in s3.get_object(Bucket=BUCKET, Key=place)["Body"].read()
    [alarm] = deployments.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert (alarm["AlarmName"], alarm["MetricName"]) == ("queue waits without a machine", "HasBacklogWithoutCapacity")
    assert alarm["AlarmActions"][0].endswith("policyName/fer-backlog")
    deployments.run("undeploy", "async", *deploying("endpoint=queue"))
    assert not deployments.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]


def test_serverless_is_scaled_by_its_concurrency_and_others_endpoints_are_left_alone(deployments: Deployments) -> None:
    deployments.register("1")
    deployments.aws.fault("denied", service="sagemaker", operation="CreateEndpoint")
    with pytest.raises(CloudError, match=r"^sagemaker:CreateEndpoint: not allowed .*prints the rights that are needed"):
        deployments.run("deploy", "serverless")
    assert deployments.list_names() == ([], [], [])
    kept = ("provisioned_concurrency=1", "autoscaling.max=3", "autoscaling.target=0.7")
    deployments.run("deploy", "serverless", *deploying("memory_mb=3072", *kept), "aws.volume_kms_key=alias/disks")
    name = f"{NAME}-serverless"
    config = deployments.aws.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=deployments.describe(name)["EndpointConfigName"]
    )
    [variant] = config["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 8, "ProvisionedConcurrency": 1}
    assert deployments.ask(FACE, name)["emotion"]
    _, policies = deployments.scaling()
    assert policies["fer-load"]["ScalableDimension"] == "sagemaker:variant:DesiredProvisionedConcurrency"
    # From now on it is another model's, then nobody's.
    sagemaker = deployments.aws.client("sagemaker")
    arn, before = deployments.describe(name)["EndpointArn"], deployments.list_names()
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "fer:model", "Value": "other"}])
    for action in ("deploy", "rollback", "undeploy"):
        with pytest.raises(UserError, match=f"^the endpoint {name} serves models:/other: nothing was changed; name"):
            deployments.run(action, "serverless")
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["fer:model"])
    with pytest.raises(UserError, match=f"^the endpoint {name} was not made by this program"):
        deployments.run("undeploy", "serverless")
    assert deployments.list_names() == before


def test_what_a_command_did_not_wait_for_is_finished_by_the_next(deployments: Deployments, tmp_path: Path) -> None:
    """A change to what does not come up, of other machines: the scaling of those before comes back."""
    deployments.register("1")
    deployments.run("deploy", "sagemaker", *deploying(*SCALED))
    before, scaling = deployments.list_names(), deployments.scaling()
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"no archive")
    deployments.register("2", broken)
    said = deployments.run("deploy", "sagemaker", *deploying("wait=false", "instance_type=ml.m5.xlarge"))
    assert said == (
        f"endpoint {NAME} is to serve models:/{NAME}/2; until the same command without wait=false has waited for it, "
        "it is not scaled as asked for, and what is no longer used stays"
    )
    until(lambda: deployments.describe()["EndpointStatus"] == "InService")
    assert deployments.scaling()[0] == []
    # There is none before it to go back to: SageMaker has gone back by itself.
    assert deployments.run("rollback", "sagemaker") == (
        f"endpoint {NAME} serves models:/{NAME}/1: a change that was undone, or broken off, is cleared up; the same "
        "command again goes back further"
    )
    assert deployments.list_names() == before
    after = deployments.scaling()
    assert (after[0][0]["MaxCapacity"], set(after[1])) == (scaling[0][0]["MaxCapacity"], set(scaling[1]))
    assert deployments.aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="fer/locks/")["KeyCount"] == 0
    with pytest.raises(UserError, match="serves its first version"):
        deployments.run("rollback", "sagemaker")


def test_a_way_back_that_was_killed_is_finished_and_not_gone_twice(
    deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mark in "123":
        deployments.register(mark)
        deployments.run("deploy", "sagemaker", "registry.version=" + mark)
    update = Rollout._wait

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Rollout, "_wait", end)
    with pytest.raises(KeyboardInterrupt):
        deployments.run("rollback", "sagemaker")
    monkeypatch.setattr(Rollout, "_wait", update)
    finished = f"endpoint {NAME} serves models:/{NAME}/2: a change that was undone, or broken off, is cleared up; "
    assert deployments.run("rollback", "sagemaker").startswith(finished)
    assert [len(names) for names in deployments.list_names()] == [1, 2, 2]
    # A version that is served stays; the one before is served again.
    delete = partial(
        run_action, load_overrides([*SETTINGS, "registry.action=delete", "registry.version=2"], "register")
    )
    with pytest.raises(UserError, match=f"^models:/{NAME}/2: the endpoint {NAME} serves it, and would find no model"):
        delete(deployments.folder / "run")
    assert deployments.run("rollback", "sagemaker") == f"endpoint {NAME} serves models:/{NAME}/1 again"
    assert [len(names) for names in deployments.list_names()] == [1, 1, 1]
    with pytest.raises(UserError, match="serves its first version; there is none before it to go back to"):
        deployments.run("rollback", "sagemaker")
    assert delete(deployments.folder / "run") == 0

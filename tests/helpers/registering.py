"""A model in a simulated AWS, and jobs over it, as requests that tests change."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread
from typing import Any
from unittest import mock

from tests.helpers.aws_simulator.simulator import Simulated

BUCKET = "faces"
DATA_URL = f"s3://{BUCKET}/model.tar.gz"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
GROUP = "fer-test"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fer:1"
OUTPUT = f"s3://{BUCKET}/out"


def put(aws: Simulated, objects: dict[str, bytes]) -> None:
    for key, content in objects.items():
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)


def package_request(**changed: Any) -> dict[str, Any]:
    inference = {
        "Containers": [{"Image": IMAGE, "ModelDataUrl": DATA_URL, "Environment": {"FER_THREADS": "1"}}],
        "SupportedContentTypes": ["image/png", "application/x-tar"],
        "SupportedResponseMIMETypes": ["application/jsonlines"],
        "SupportedTransformInstanceTypes": ["ml.c5.xlarge"],
    }
    usual = {"ModelPackageGroupName": GROUP, "ModelApprovalStatus": "Approved", "InferenceSpecification": inference}
    return {**usual, **changed}


def model_request(package: str, **changed: Any) -> dict[str, Any]:
    return {
        **{"ModelName": "model-1", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"ModelPackageName": package}},
        **changed,
    }


def job_request(**changed: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "TransformJobName": "job-1",
        "ModelName": "model-1",
        "MaxConcurrentTransforms": 2,
        "MaxPayloadInMB": 1,
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 0},
        "TransformInput": source(f"s3://{BUCKET}/in/"),
        "TransformOutput": {"S3OutputPath": OUTPUT, "Accept": "application/jsonlines"},
        "TransformResources": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
    }
    return {**usual, **changed}


def source(uri: str, kind: str = "S3Prefix", content_type: str = "image/png") -> dict[str, Any]:
    return {
        "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}},
        **{"ContentType": content_type, "SplitType": "None"},
    }


def registered(aws: Simulated, archive: bytes) -> str:
    """A bucket, a group with one approved package of ``archive``, and `model-1` of it; returns the package's ARN."""
    aws.client("s3").create_bucket(Bucket=BUCKET)
    put(aws, {"model.tar.gz": archive})
    sagemaker = aws.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    package = str(sagemaker.create_model_package(**package_request())["ModelPackageArn"])
    sagemaker.create_model(**model_request(package))
    return package


def until(holds: Callable[[], Any], within: float = 60) -> Any:
    """The first true value of ``holds``."""
    end = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)
    return found


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do ``act`` in another thread; where it fails, so does the block, which may be waiting for what never comes."""
    failed: list[BaseException] = []

    def acting() -> None:
        try:
            act()
        except BaseException as error:
            failed.append(error)
            os.kill(os.getpid(), signal.SIGINT)

    thread = Thread(target=acting, daemon=True)
    thread.start()
    try:
        yield
        thread.join()
    except KeyboardInterrupt:
        if not failed:
            raise
    if failed:
        raise failed[0]


@contextmanager
def interrupt_when(holds: Callable[[], Any]) -> Iterator[None]:
    """Do what Ctrl-C does in a wait for a job, as soon as ``holds``; a signal may come where a callback swallows it."""
    pause = time.sleep

    def sleep(seconds: float) -> None:
        pause(seconds)
        if current_thread() is main_thread() and holds():
            raise KeyboardInterrupt

    with mock.patch.object(time, "sleep", sleep):
        yield


def finished(aws: Simulated, job: str = "job-1") -> dict[str, Any]:
    """The job's description when it has ended."""
    sagemaker = aws.client("sagemaker")

    def described() -> dict[str, Any] | None:
        job_now = sagemaker.describe_transform_job(TransformJobName=job)
        return job_now if job_now["TransformJobStatus"] not in ("InProgress", "Stopping") else None

    return dict(until(described))


def outputs(aws: Simulated) -> dict[str, bytes]:
    """What jobs wrote, by name below the output's path."""
    s3 = aws.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="out/").get("Contents", [])
    read = {item["Key"]: s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in found}
    return {key.removeprefix("out/"): content for key, content in read.items()}


def logged(aws: Simulated) -> str:
    """All that jobs logged."""
    logs = aws.client("logs")
    events = logs.filter_log_events(logGroupName="/aws/sagemaker/TransformJobs", logStreamNamePrefix="job-1/")
    return "\n".join(event["message"] for event in events["events"])

"""Clients of the simulated AWS that try each request a number of times."""

from collections.abc import Callable
from functools import cache

import pytest

from fer.aws.client import AwsClient
from tests.helpers.aws_client import CONTENT, set_environment
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import BUCKET


@pytest.fixture(scope="module")
def calls_of(simulator: Simulated) -> Callable[[int], AwsClient]:
    """Calls that try each request so many times; a client is made once: that takes as long as a dozen requests."""

    @cache
    def made(attempts: int) -> AwsClient:
        with pytest.MonkeyPatch.context() as patch:
            tries = {"AWS_MAX_ATTEMPTS": str(attempts), "AWS_RETRY_MODE": "standard"}
            set_environment(patch, **simulator.environment, **tries)
            calls = AwsClient()
            for service in ("s3", "sagemaker", "cloudwatch"):
                calls.get_client(service)
        return calls

    return made


@pytest.fixture
def stored(aws: Simulated, monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """AWS with one object, found by this process, which tries each request once."""
    set_environment(monkeypatch, AWS_MAX_ATTEMPTS="1", **aws.environment)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.client("s3").put_object(Bucket=BUCKET, Key="content", Body=CONTENT)
    return aws

"""What is refused before a training job costs anything."""

import pytest

from fer.cloud.job_spec import parse_job_spec, validate_job_spec
from fer.errors import ConfigError

JOB = ("aws.bucket=faces", "aws.role=arn:aws:iam::123456789012:role/fer", "aws.training.image=image:1")


def test_a_job_learns_from_no_model_that_it_cannot_reach() -> None:
    validate_job_spec(parse_job_spec(None, [*JOB, "model.teacher=[pretrained]"]))
    with pytest.raises(
        ConfigError, match=r"^model\.teacher=s3://faces/model\.tar\.gz: a training job reaches no model"
    ):
        validate_job_spec(parse_job_spec(None, [*JOB, 'model.teacher=[pretrained,"s3://faces/model.tar.gz"]']))

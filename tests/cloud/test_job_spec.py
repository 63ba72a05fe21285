"""What cannot be trained in SageMaker is refused before a job costs anything."""

import pytest

from fer.cloud.job_spec import parse_job_spec, validate_job_spec
from fer.errors import ConfigError


def test_a_job_with_teachers_is_refused() -> None:
    aws = ["aws.role=arn:aws:iam::123456789012:role/fer", "aws.bucket=fer-jobs", "aws.training.image=fer:1"]
    validate_job_spec(parse_job_spec(None, aws))
    with pytest.raises(ConfigError, match=r"^model\.teacher: a training job has no teachers"):
        validate_job_spec(parse_job_spec(None, [*aws, "model.teacher=[pretrained]"]))

"""The section `aws` is checked against AWS's descriptions before anything is sent; each sentence names its key."""

import logging

import pytest

from fer.aws.settings import check_settings, connect
from fer.cloud.extraction import validate_and_connect
from fer.cloud.training import attach
from fer.config import SageMakerAws
from fer.config.compose import load_overrides
from fer.errors import ConfigError
from fer.infer.pipeline import validate_and_pin
from fer.registry.factory import open_registry

BASE = ("aws=sagemaker", "aws.bucket=faces", "aws.region=us-east-1")
ROLE = "aws.role=arn:aws:iam::123456789012:role/fer"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def settings(*overrides: str) -> SageMakerAws:
    aws = load_overrides([*BASE, *overrides], "infer").aws
    assert isinstance(aws, SageMakerAws)
    return aws


WRONG = [
    ("aws.training.instance_type=ml.zz9.huge", r"aws\.training\.instance_type=ml\.zz9\.huge: is none of the \d+ that"),
    ("aws.training.instance_type=ml.g5.xlarg", r"aws\.training\.instance_type=ml\.g5\.xlarg: .*did you mean ml\.g5\."),
    ("aws.processing.instance_type=ml.zz9.huge", r"aws\.processing\.instance_type=ml\.zz9\.huge: is none"),
    ("aws.transform.instance_type=ml.p5.48xlarge", r"aws\.transform\.instance_type=ml\.p5\.48xlarge: is none"),
    ("+aws.tags={'fac#es!': x}", r"aws\.tags: the name 'fac#es!' must match"),
    ("+aws.tags.team='fac#es!'", r"aws\.tags\.team=fac#es!: must match"),
    ("+aws.tags={'aws:team': x}", r"aws\.tags: the name 'aws:team' begins with aws:"),
    ("aws.kms_key='no such key'", r"aws\.kms_key=no such key: must match"),
    ("aws.kms_key=nokey", r"aws\.kms_key=nokey: a KMS key is named by its id, its ARN, or alias/NAME"),
    ("aws.volume_kms_key='no such key'", r"aws\.volume_kms_key=no such key: must match"),
    ("aws.role='arn:aws:iam::123456789012:role/no role'", r"aws\.role=.*no role: must match"),
    ("aws.vpc.subnets=[subnet_1],aws.vpc.security_groups=[sg-1]", r"aws\.vpc\.subnets=subnet_1: must match"),
    ("aws.vpc.subnets=[subnet-1],aws.vpc.security_groups=['sg 1']", r"aws\.vpc\.security_groups=sg 1: must match"),
    ("+aws.tags={'AWS:team': x}", r"aws\.tags: the name 'AWS:team' begins with aws:"),
    ("+aws.tags={'fer:champion': '7'}", r"aws\.tags: the name 'fer:champion' begins with fer:, by which the registry"),
    ("aws.kms_key=alias/", r"aws\.kms_key=alias/: "),
    ("aws.kms_key=alias/no:key", r"aws\.kms_key=alias/no:key: "),
    ("aws.kms_key=arn:aws:kms:us-east-1:123456789012:grant/x", r"aws\.kms_key=arn:.*: a KMS key is named by its id"),
    ("aws.kms_key=arn:aws:iam::123456789012:role/fer", r"aws\.kms_key=arn:.*: a KMS key is named by its id"),
    ("aws.volume_kms_key=faces", r"aws\.volume_kms_key=faces: a KMS key is named by its id"),
    ("aws.vpc.subnets=[vpc-0a1b],aws.vpc.security_groups=[sg-1]", r"aws\.vpc\.subnets=vpc-0a1b: a subnet is named"),
    ("aws.vpc.subnets=[subnet-1],aws.vpc.security_groups=[default]", r"aws\.vpc\.security_groups=default: a security"),
    (
        "aws.transform.instance_type=ml.c5.zlarge",
        r"aws\.transform\.instance_type=ml\.c5\.zlarge: .*did you mean ml",
    ),
    ("aws.processing.instance_type=ml.inf2.xlarge", r"aws\.processing\.instance_type=ml\.inf2\.xlarge: is none"),
    ("aws.image='123456789012.dkr.ecr.us-east-1.amazonaws.com/fer@sha256:12'", r"aws\.image=.*: a digest is written"),
    ("aws.training.image=fer@md5:12", r"aws\.training\.image=fer@md5:12: a digest is written"),
    ("aws.bucket=faces..of.tests", r"aws\.bucket=faces\.\.of\.tests: S3 gives a bucket no such name"),
    ("aws.bucket=192.168.0.1", r"aws\.bucket=192\.168\.0\.1: S3 gives a bucket no such name"),
    ("aws.bucket=xn--faces", r"aws\.bucket=xn--faces: S3 gives a bucket no such name"),
    ("aws.bucket=faces--x-s3", r"aws\.bucket=faces--x-s3: S3 gives a bucket no such name"),
    ("aws.cloudwatch.namespace=AWS/fer", r"aws\.cloudwatch\.namespace=AWS/fer: .*AWS's own metrics"),
    ("aws.cloudwatch.alarm_topic='arn:aws:sns:no topic'", r"aws\.cloudwatch\.alarm_topic=.*: a topic is named"),
    ("+aws.cloudwatch.dimensions.site=''", r"aws\.cloudwatch\.dimensions\.site=: has 0 characters"),
    ("aws.region=eu-nowhere-9", r"aws\.region=eu-nowhere-9: is no region of SageMaker"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_the_sentence_names_the_key(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    overrides = text.split(",aws.") if ",aws." in text else [text]
    aws = settings(overrides[0], *(f"aws.{rest}" for rest in overrides[1:]))
    for dry_run in (True, False):
        with pytest.raises(ConfigError, match=f"^{said}") as caught:
            connect(aws, dry_run)
        assert len(str(caught.value).splitlines()) == 1


def test_what_aws_takes_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    full = settings(
        *(ROLE, f"aws.kms_key={KEY}", "aws.volume_kms_key=alias/disks", "aws.image=image:1"),
        *("aws.vpc.subnets=[subnet-0a1b2c3d]", "aws.vpc.security_groups=[sg-0a1b2c3d]", "+aws.tags={Größe: '½ +=@'}"),
        *("aws.training.instance_type=ml.c5.xlarge", "aws.cloudwatch.dimensions={Site: Berlin}"),
        "aws.cloudwatch.alarm_topic=arn:aws:sns:us-east-1:123456789012:fer",
    )
    digest = f"'123456789012.dkr.ecr.us-east-1.amazonaws.com/fer:1@sha256:{'0a' * 32}'"
    named = settings(
        *(f"aws.image={digest}", f"aws.training.image={digest}", f"aws.processing.image={digest}"),
        *(
            f"aws.kms_key={KEY.replace('key/', 'alias/teams/')}",
            "aws.volume_kms_key=mrk-1234abcd12ab34cd56ef1234567890ab",
        ),
        *("aws.bucket=1faces.of-tests", f"aws.prefix={'a' * 120}/{'b' * 120}"),
        "aws.training.instance_type=ml.c5.xlarge",
    )
    for aws in (settings(), full, named):
        check_settings(aws, connect(aws, dry_run=True))
    assert caplog.text == ""


def test_disks_that_take_no_key_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        connect(settings(f"aws.volume_kms_key={KEY}", "aws.training.instance_type=ml.g5.xlarge"), dry_run=True)
    assert "aws.volume_kms_key: AWS takes no key for the local disks of aws.training.instance_type=ml.g5" in caplog.text
    assert "ml.c5" not in caplog.text


def test_every_command_checks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    wrong = (*BASE, ROLE, "aws.training.instance_type=ml.zz9.huge")
    said = r"^aws\.training\.instance_type=ml\.zz9\.huge"
    with pytest.raises(ConfigError, match=said):
        open_registry(load_overrides(wrong, "register"))
    with pytest.raises(ConfigError, match=said):
        validate_and_pin(load_overrides([*wrong, "model_uri=models:/fer/1", "extraction.input=s3://faces/v/"], "infer"))
    extraction = ("aws.processing.image=image:1", "extraction.input=s3://faces/v/")
    with pytest.raises(ConfigError, match=said):
        validate_and_connect(load_overrides([*wrong, *extraction], "infer"), ["s3://faces/v/"])
    with pytest.raises(ConfigError, match=said):
        attach("fer-1", wrong)


def test_subnets_and_security_groups_come_together() -> None:
    with pytest.raises(ConfigError, match=r"^aws\.vpc: subnets and security_groups come together"):
        settings("aws.vpc.subnets=[subnet-1]")


def test_network_isolation_is_true_false_or_null() -> None:
    assert [settings(f"aws.network_isolation={text}").network_isolation for text in ("null", "true", "false")] == [
        *(None, True, False)
    ]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("aws.role=arn:aws:iam::123456789012:user/fer", "aws.role"),
        ("aws.role=arn:aws:sts::123456789012:assumed-role/fer/me", "aws.role"),
        ("aws.role=fer", "aws.role"),
        ("aws.bucket=Faces", "aws.bucket"),
        ("aws.bucket=f", "aws.bucket"),
        ("aws.bucket=s3://faces", "aws.bucket"),
        (f"aws.prefix={'a' * 257}", "aws.prefix"),
        ("aws.prefix=a//b", "aws.prefix"),
        ("+aws.tags={" + ",".join(f"k{number}: v" for number in range(51)) + "}", "aws.tags"),
        ("aws.training.instance_type=g5.xlarge", "aws.training.instance_type"),
    ],
)
def test_what_is_of_another_form_is_not_even_a_configuration(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        settings(override)
    assert len(str(caught.value).splitlines()) == 1

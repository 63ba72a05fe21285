"""The registry in AWS: what is sent, what is refused, and faults."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fer.aws.client import AwsClient, CloudError
from fer.aws.s3 import check_bucket_private
from fer.config import Config
from fer.errors import ConfigError, UserError
from fer.registry.base import Aliases
from fer.registry.factory import open_registry
from fer.registry.gate import PENDING
from fer.registry.promotion import assign_alias, promote
from fer.registry.sagemaker import SageMakerRegistry
from fer.registry.sagemaker_model_card import build_quality_report
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.candidates import BUCKET, IMAGE, NAME, candidate

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def described(aws: Simulated, version: int = 1) -> dict[str, Any]:
    sagemaker = aws.client("sagemaker")
    group = sagemaker.describe_model_package_group(ModelPackageGroupName=NAME)["ModelPackageGroupArn"]
    arn = f"{group.replace('model-package-group', 'model-package')}/{version}"
    return dict(sagemaker.describe_model_package(ModelPackageName=arn))


def test_the_package_and_its_card(in_aws: SageMakerRegistry, aws: Simulated, tmp_path: Path) -> None:
    given = candidate(tmp_path, status=PENDING)
    version = in_aws.register(given)
    found = described(aws)
    address = f"s3://{BUCKET}/fer/models/{NAME}/{given.sha256[:16]}/"
    [container] = found["InferenceSpecification"]["Containers"]
    assert (container["Image"], container["ModelDataUrl"]) == (IMAGE, f"{address}model.tar.gz")
    assert container["Environment"]["SAGEMAKER_PROGRAM"] == "inference.py"
    assert found["InferenceSpecification"]["SupportedContentTypes"] == ["image/jpeg", "image/png", "application/x-tar"]
    assert found["ModelApprovalStatus"] == PENDING
    assert found["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"] == f"{address}quality.json"
    assert found["CustomerMetadataProperties"] == given.build_properties()
    assert (version.source, version.card_uri) == (found["ModelPackageArn"], f"{address}model_card.md")
    # The card is the version's own.
    assert aws.calls()["sagemaker:CreateModelCard"] == 0
    content = json.loads(found["ModelCard"]["ModelCardContent"])
    assert found["ModelCard"]["ModelCardStatus"] == "PendingReview"
    assert content["model_overview"]["model_artifact"] == [f"{address}model.tar.gz"]
    assert "prohibited in the EU" in content["intended_uses"]["intended_uses"]
    assert "nobody's picture" in content["training_details"]["training_observations"]
    assert content["additional_information"]["custom_details"]["git_commit"] == "commit-1"
    [test] = content["evaluation_details"]
    assert test["metric_groups"][0]["metric_data"][0] == {
        **{"name": "accuracy", "type": "number", "value": given.metrics["test"]["accuracy"]["value"]},
        "notes": test["metric_groups"][0]["metric_data"][0]["notes"],
    }
    assert [group["name"] for group in test["metric_groups"]][:2] == ["whole", "anger"]


@pytest.mark.parametrize("key", [None, "alias/models"])
def test_what_is_stored_is_encrypted(
    key: str | None, aws: Simulated, configured: Callable[..., Config], tmp_path: Path
) -> None:
    config = configured("aws=sagemaker", f"aws.kms_key={key or 'null'}")
    version = open_registry(config).register(candidate(tmp_path))
    head = aws.client("s3").head_object(Bucket=BUCKET, Key=version.package.removeprefix(f"s3://{BUCKET}/"))
    assert head["ServerSideEncryption"] == ("aws:kms" if key else "AES256")
    assert head.get("SSEKMSKeyId", "").endswith(key or "")


def test_registering_needs_an_image(aws: Simulated, configured: Callable[..., Config]) -> None:
    config = configured("aws=sagemaker")
    without = config.model_copy(update={"aws": config.aws.model_copy(update={"image": None})})
    with pytest.raises(ConfigError, match=r"^aws.image: .*push the image of the Dockerfile to ECR, then add aws.image"):
        open_registry(without).check_ready()


def test_several_at_once_get_a_number_each_and_the_same_gets_one(
    configured: Callable[..., Config], aws: Simulated, tmp_path: Path
) -> None:
    config = configured("aws=sagemaker")
    candidates = [candidate(tmp_path, mark) for mark in ("1", "2", "3", "3")]
    registries = [open_registry(config) for _ in candidates]
    with ThreadPoolExecutor() as pool:
        versions = list(pool.map(lambda pair: pair[0].register(pair[1]), zip(registries, candidates, strict=True)))
    assert sorted({version.version for version in versions}) == [1, 2, 3]
    assert versions[2].source == versions[3].source
    assert [version.status for version in registries[0].list_versions(NAME)] == ["Approved"] * 3


def test_promoting_a_pending_version_tells_sagemaker(in_aws: SageMakerRegistry, aws: Simulated, tmp_path: Path) -> None:
    assign_alias(in_aws, in_aws.register(candidate(tmp_path)))
    in_aws.register(candidate(tmp_path, "2", PENDING))
    promote(in_aws, NAME, 2)
    assert described(aws, 2)["ModelApprovalStatus"] == "Approved"
    assert described(aws, 2)["ApprovalDescription"] == "Approved by hand, by its promotion."
    card = described(aws, 2)["ModelCard"]
    assert card["ModelCardStatus"] == "Approved" and "model_artifact" in card["ModelCardContent"]
    group = aws.client("sagemaker").describe_model_package_group(ModelPackageGroupName=NAME)["ModelPackageGroupArn"]
    tags = {tag["Key"]: tag["Value"] for tag in aws.client("sagemaker").list_tags(ResourceArn=group)["Tags"]}
    assert tags == {"fer:champion": "2", "fer:challenger": "", "fer:history": "1"}


def test_of_two_promotions_at_once_none_is_lost(
    configured: Callable[..., Config], in_aws: SageMakerRegistry, aws: Simulated, tmp_path: Path
) -> None:
    for mark in ("1", "2", "3"):
        assign_alias(in_aws, in_aws.register(candidate(tmp_path, mark)))
    registries = [open_registry(configured("aws=sagemaker")) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda pair: promote(pair[0], NAME, pair[1]), zip(registries, (2, 3), strict=True)))
    aliases = in_aws.get_aliases(NAME)
    assert {aliases.champion, *aliases.history} == {1, 2, 3} and aliases.history[0] == 1
    assert not aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="fer/locks/").get("Contents")


def test_who_lost_the_lock_changes_no_alias(in_aws: SageMakerRegistry, aws: Simulated, tmp_path: Path) -> None:
    assign_alias(in_aws, in_aws.register(candidate(tmp_path)))
    with in_aws.lock(NAME):
        # Another one took it over, because this one was slower than the lock lasts.
        aws.client("s3").put_object(Bucket=BUCKET, Key=f"fer/locks/{NAME}.json", Body=b"{}")
        with pytest.raises(UserError, match="another process has changed this model meanwhile; try again"):
            in_aws.set_aliases(NAME, Aliases(7))
    assert in_aws.get_aliases(NAME) == Aliases(1)


def test_a_bucket_that_blocks_public_access_is_taken(aws: Simulated) -> None:
    check_bucket_private(AwsClient(), BUCKET)
    s3 = aws.client("s3")
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=dict.fromkeys(BLOCKS, True))
    check_bucket_private(AwsClient(), BUCKET)
    assert aws.calls()["s3:GetBucketAcl"] == 1


def test_a_bucket_with_a_public_policy_is_refused(aws: Simulated) -> None:
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
    aws.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=policy)
    with pytest.raises(
        CloudError, match=f"aws.bucket={BUCKET}: is open to the public through its policy; block public"
    ):
        check_bucket_private(AwsClient(), BUCKET)


def test_a_bucket_with_a_public_access_list_is_refused(aws: Simulated) -> None:
    aws.client("s3").put_bucket_acl(Bucket=BUCKET, ACL="public-read")
    with pytest.raises(CloudError, match=r"through its access list \(READ for everybody\)"):
        check_bucket_private(AwsClient(), BUCKET)


def test_a_bucket_that_is_missing_or_closed_is_a_sentence(aws: Simulated) -> None:
    with pytest.raises(CloudError, match="aws.bucket=no-such-bucket-here: there is no such bucket; create it first"):
        check_bucket_private(AwsClient(), "no-such-bucket-here")
    aws.fault("denied", service="s3", operation="GetPublicAccessBlock")
    with pytest.raises(CloudError, match="not allowed"):
        check_bucket_private(AwsClient(), BUCKET)


@pytest.mark.parametrize("operation", ["PutObject", "CreateModelPackageGroup", "CreateModelPackage"])
def test_a_failure_midway_leaves_no_version(
    operation: str, in_aws: SageMakerRegistry, aws: Simulated, tmp_path: Path
) -> None:
    aws.fault("denied", operation=operation)
    with pytest.raises(CloudError, match="not allowed"):
        in_aws.register(candidate(tmp_path))
    assert in_aws.list_versions(NAME) == []
    assert in_aws.register(candidate(tmp_path)).version == 1


def test_the_quality_report_has_sagemakers_form(tmp_path: Path) -> None:
    metrics = candidate(tmp_path).metrics
    report = json.loads(build_quality_report(metrics))["multiclass_classification_metrics"]
    # 14 of 140 wrong; √(0.9 × 0.1 / 140) = 0.02535
    assert report["accuracy"]["value"] == pytest.approx(0.9)
    assert report["accuracy"]["standard_deviation"] == pytest.approx(0.02535, abs=1e-5)
    assert sum(sum(row.values()) for row in report["confusion_matrix"].values()) == 140
    assert report["weighted_recall"]["value"] == pytest.approx(0.9)

"""Registered models in AWS: model package groups of SageMaker, files in S3."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fer.aws.client import AwsCalls, CloudError
from fer.aws.s3 import encryption, refuse_public
from fer.config import SageMakerAws
from fer.errors import ConfigError
from fer.registry.base import (
    CHALLENGER,
    CHAMPION,
    Aliases,
    Candidate,
    Version,
    checked_package,
    facts_of,
    numbered,
)
from fer.registry.package import PACKAGE
from fer.registry.sagemaker_model_card import card_content, card_status

CONTENT_TYPES = ("image/jpeg", "image/png", "application/x-tar")
ANSWER_TYPE = "application/jsonlines"
MACHINES = ("ml.c5.xlarge", "ml.c5.2xlarge", "ml.m5.xlarge", "ml.m5.2xlarge")
TAGS = {CHAMPION: "fer:champion", CHALLENGER: "fer:challenger"}
HISTORY_TAG = "fer:history"
LONGEST_HISTORY = 40  # champions, so that a tag's 256 characters hold them
LONGEST_CARD_NAME, LONGEST_TEXT, LONGEST_PROPERTY, LONGEST_TOKEN = 63, 1024, 256, 36
# What a dry run takes for granted.
SUPPOSED = Aliases(champion=2, challenger=3, history=(1,))
SUPPOSED_VERSION = 4
UNKNOWN_ACCOUNT = "000000000000"
log = logging.getLogger(__name__)


class SageMakerRegistry:
    """The registry of the AWS account and region that ``calls`` go to."""

    def __init__(self, aws: SageMakerAws, calls: AwsCalls) -> None:
        self.aws, self.calls = aws, calls
        self.groups: dict[str, str] = {}

    def sagemaker(self, operation: str, dry: dict[str, Any] | None = None, **parameters: Any) -> dict[str, Any]:
        return self.calls.call("sagemaker", operation, parameters, dry)

    def changing(self, name: str) -> AbstractContextManager[object]:
        # SageMaker numbers versions itself; there is nothing to lock promotions with.
        return nullcontext()

    def versions(self, name: str) -> list[Version]:
        aliases = self.aliases(name)
        return [self.version(name, number, aliases) for number in self.numbers(name)]

    def find(self, name: str, selector: int | str) -> Version:
        aliases = self.aliases(name)
        numbers = self.numbers(name)
        if self.calls.dry_run:
            numbers = sorted({1, 2, 3, *([selector] if isinstance(selector, int) else [])})
        return self.version(name, numbered(name, selector, numbers, aliases, "SageMaker Model Registry"), aliases)

    def numbers(self, name: str) -> list[int]:
        try:
            pages = list(self.pages("list_model_packages", ModelPackageGroupName=name))
        except CloudError as error:
            if absent(error):
                return []
            raise
        return sorted(item["ModelPackageVersion"] for page in pages for item in page.get("ModelPackageSummaryList", []))

    def pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self.sagemaker(operation, **parameters)
            yield page
            if not page.get("NextToken"):
                return
            parameters["NextToken"] = page["NextToken"]

    def version(self, name: str, number: int, aliases: Aliases) -> Version:
        found = self.sagemaker(
            "describe_model_package",
            ModelPackageName=self.arn_of(name, number),
            dry={"ModelApprovalStatus": "Approved", "ModelPackageArn": self.arn_of(name, number)},
        )
        properties = dict(found.get("CustomerMetadataProperties", {}))
        containers = found.get("InferenceSpecification", {}).get("Containers", [{}])
        created = found.get("CreationTime")
        return Version(
            name=name,
            version=number,
            status=found["ModelApprovalStatus"],
            aliases=aliases.of(number),
            source=found["ModelPackageArn"],
            package=containers[0].get("ModelDataUrl", f"s3://{self.aws.bucket}/{self.aws.prefix}/{PACKAGE}"),
            created="" if created is None else created.isoformat(timespec="seconds"),
            reasons=" ".join(filter(None, (found.get("ModelPackageDescription"), found.get("ApprovalDescription")))),
            **facts_of(properties),
        )

    def group_arn(self, name: str) -> str:
        """Raises CloudError where there is no such group."""
        if name not in self.groups:
            dry = {"ModelPackageGroupArn": self.supposed_arn("model-package-group", name)}
            found = self.sagemaker("describe_model_package_group", ModelPackageGroupName=name, dry=dry)
            self.groups[name] = str(found["ModelPackageGroupArn"])
        return self.groups[name]

    def arn_of(self, name: str, number: int) -> str:
        """The ARN of a version, which SageMaker forms from that of its group."""
        return self.group_arn(name).replace(":model-package-group/", ":model-package/", 1) + f"/{number}"

    def supposed_arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self.calls.region}:{UNKNOWN_ACCOUNT}:{kind}/{name}"

    def fetch(self, version: Version, directory: Path) -> Path:
        bucket, prefix = place_of(version.package)
        for key in self.calls.objects(bucket, prefix):
            name = key.removeprefix(prefix)
            if name and "/" not in name and name != PACKAGE:
                self.calls.download(bucket, key, directory / name)
        self.calls.download(bucket, f"{prefix}{PACKAGE}", directory / PACKAGE)
        return directory / PACKAGE if self.calls.dry_run else checked_package(version, directory / PACKAGE)

    def fetch_file(self, version: Version, name: str, directory: Path) -> Path | None:
        bucket, prefix = place_of(version.package)
        try:
            self.calls.download(bucket, f"{prefix}{name}", directory / name)
        except CloudError as error:
            if error.code in ("404", "NoSuchKey"):
                return None
            raise
        return None if self.calls.dry_run else directory / name

    def ready(self) -> None:
        if self.aws.image is None:
            raise ConfigError(
                "aws.image: a registered model needs the container that serves it; push the image of the Dockerfile "
                "to ECR, then add aws.image=…"
            )
        refuse_public(self.calls, self.aws.bucket)

    def register(self, candidate: Candidate) -> Version:
        prefix = f"{self.aws.prefix}/models/{candidate.name}/{candidate.sha256[:16]}/"
        for name, path in candidate.files.items():
            self.calls.upload(path, self.aws.bucket, f"{prefix}{name}", **encryption(self.aws.kms_key))
        self.make_group(candidate.name)
        address = f"s3://{self.aws.bucket}/{prefix}"
        made = self.sagemaker(
            "create_model_package",
            **self.package_parameters(candidate, address),
            dry={"ModelPackageArn": self.supposed_arn("model-package", f"{candidate.name}/{SUPPOSED_VERSION}")},
        )
        number = int(made["ModelPackageArn"].rpartition("/")[2])
        self.make_card(candidate, number, f"{address}{PACKAGE}")
        return self.version(candidate.name, number, self.aliases(candidate.name))

    def make_group(self, name: str) -> None:
        try:
            self.group_arn(name)
            if not self.calls.dry_run:
                return
        except CloudError as error:
            if not absent(error):
                raise
        try:
            self.sagemaker(
                "create_model_package_group",
                ModelPackageGroupName=name,
                ModelPackageGroupDescription="Facial expression of a face.",
            )
        except CloudError as error:
            # Another registration was faster.
            if "already exists" not in str(error):
                raise

    def package_parameters(self, candidate: Candidate, address: str) -> dict[str, Any]:
        """Parameters of CreateModelPackage; ``address`` is what the files' addresses begin with."""
        machines = list(dict.fromkeys([self.aws.transform.instance_type, *MACHINES]))
        environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
        container = {"Image": self.aws.image, "ModelDataUrl": f"{address}{PACKAGE}", "Environment": environment}
        statistics = {"ContentType": "application/json", "S3Uri": f"{address}quality.json"}
        # Of two registrations of the same package at once, both get the same version.
        token = hashlib.sha256(f"{candidate.name} {candidate.sha256}".encode()).hexdigest()[:LONGEST_TOKEN]
        return {
            "ClientToken": token,
            "ModelPackageGroupName": candidate.name,
            "ModelPackageDescription": " ".join(candidate.verdict.reasons)[:LONGEST_TEXT],
            "ModelApprovalStatus": candidate.verdict.status,
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": list(CONTENT_TYPES),
                "SupportedResponseMIMETypes": [ANSWER_TYPE],
                "SupportedTransformInstanceTypes": machines,
                "SupportedRealtimeInferenceInstanceTypes": machines,
            },
            "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
            "CustomerMetadataProperties": {
                name: value[:LONGEST_PROPERTY] for name, value in candidate.properties().items()
            },
        }

    def make_card(self, candidate: Candidate, number: int, package: str) -> None:
        """The model card; the version is good without it, so a failure is only told."""
        name = card_name(candidate.name, str(number))
        security = {} if self.aws.kms_key is None else {"SecurityConfig": {"KmsKeyId": self.aws.kms_key}}
        try:
            self.sagemaker(
                "create_model_card",
                ModelCardName=name,
                ModelCardStatus=card_status(candidate.verdict.status),
                Content=card_content(candidate, package, str(self.aws.image)),
                **security,
            )
        except CloudError as error:
            if error.code == "ConflictException":
                return
            log.warning("Registered, but without SageMaker's model card %s: %s", name, error)

    def approve(self, version: Version, note: str) -> None:
        self.sagemaker(
            "update_model_package",
            ModelPackageArn=version.source,
            ModelApprovalStatus="Approved",
            ApprovalDescription=note,
        )

    def aliases(self, name: str) -> Aliases:
        try:
            group = self.group_arn(name)
        except CloudError as error:
            if absent(error):
                return Aliases()
            raise
        pages = list(self.pages("list_tags", ResourceArn=group))
        if self.calls.dry_run:
            return SUPPOSED
        tags = {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags", [])}
        numbers = {alias: int(tags[key]) for alias, key in TAGS.items() if tags.get(key)}
        history = tuple(int(number) for number in tags.get(HISTORY_TAG, "").split())
        return Aliases(numbers.get(CHAMPION), numbers.get(CHALLENGER), history)

    def set_aliases(self, name: str, aliases: Aliases) -> None:
        values = {key: str(getattr(aliases, alias) or "") for alias, key in TAGS.items()}
        values[HISTORY_TAG] = " ".join(map(str, aliases.history[-LONGEST_HISTORY:]))
        self.sagemaker(
            "add_tags",
            ResourceArn=self.group_arn(name),
            Tags=[{"Key": key, "Value": value} for key, value in values.items()],
        )


def absent(error: CloudError) -> bool:
    """Whether AWS says that there is no such group."""
    return error.code in ("ValidationException", "ResourceNotFound") and (
        "does not exist" in str(error) or "not found" in str(error).lower()
    )


def place_of(package: str) -> tuple[str, str]:
    """The bucket, and the keys' common beginning, of the files beside the model.tar.gz at s3://BUCKET/KEY."""
    parts = urlsplit(package)
    return parts.netloc, f"{parts.path.lstrip('/').rpartition('/')[0]}/"


def card_name(name: str, version: str) -> str:
    return f"{name[: LONGEST_CARD_NAME - len(version) - 1].rstrip('-')}-{version}"

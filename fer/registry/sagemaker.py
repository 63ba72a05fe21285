"""The registry in AWS: model package groups of SageMaker, files in S3."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from fer.aws.client import AwsClient, CloudError
from fer.aws.job_options import build_tags
from fer.aws.lock import S3Lock
from fer.aws.s3 import build_encryption_args, check_bucket_private, delete_folder
from fer.config import SageMakerAws
from fer.errors import ConfigError, UserError
from fer.registry.base import (
    CHALLENGER,
    CHAMPION,
    Aliases,
    Candidate,
    ModelRegistry,
    ModelVersion,
    resolve_version_number,
    verify_checksum,
)
from fer.registry.package import PACKAGE
from fer.registry.sagemaker_endpoints import find_serving_endpoint
from fer.registry.sagemaker_package import (
    build_package_parameters,
    build_status_changes,
    parse_description,
    split_package_uri,
)
from fer.registry.status import APPROVED, Status

TAGS = {CHAMPION: "fer:champion", CHALLENGER: "fer:challenger"}
HISTORY_TAG = "fer:history"
LOCKS = "locks"  # folder below the prefix
MAX_HISTORY = 40  # champions that a tag's 256 characters hold
# What a dry run assumes.
DRY_RUN_ALIASES = Aliases(champion=2, challenger=3, history=(1,))
DRY_RUN_VERSION = 4
DRY_RUN_ACCOUNT = "000000000000"
log = logging.getLogger(__name__)


class SageMakerRegistry(ModelRegistry):
    """The registry of an AWS account and region.

    Args:
        aws: The section `aws` of the configuration.
        client: Client of the account and region.
    """

    def __init__(self, aws: SageMakerAws, client: AwsClient) -> None:
        self.aws, self.client = aws, client
        self.is_dry_run = client.dry_run
        self._group_arns: dict[str, str] = {}
        self._locks: dict[str, S3Lock] = {}
        # What a dry run has recorded of versions, by ARN.
        self._recorded_versions: dict[str, dict[str, Any]] = {}

    def _request(self, operation: str, dry_response: dict[str, Any] | None = None, **parameters: Any) -> dict[str, Any]:
        return self.client.request("sagemaker", operation, parameters, dry_response)

    @override
    def lock(self, name: str) -> AbstractContextManager[object]:
        return self._hold_lock(name)

    @contextmanager
    def _hold_lock(self, name: str) -> Iterator[None]:
        """Hold an object in S3: tags, which aliases are, cannot be written under a condition."""
        key = f"{self.aws.prefix}/{LOCKS}/{name}.json"
        with S3Lock(self.client, self.aws.bucket, key, build_encryption_args(self.aws.kms_key)) as lock:
            self._locks[name] = lock
            try:
                yield
            finally:
                del self._locks[name]

    @override
    def list_versions(self, name: str) -> list[ModelVersion]:
        aliases = self.get_aliases(name)
        return [self._get_version(name, number, aliases) for number in self._list_version_numbers(name)]

    @override
    def find(self, name: str, selector: int | str) -> ModelVersion:
        aliases = self.get_aliases(name)
        numbers = self._list_version_numbers(name)
        if self.client.dry_run:
            numbers = sorted({1, 2, 3, *([selector] if isinstance(selector, int) else [])})
        return self._get_version(
            name, resolve_version_number(name, selector, numbers, aliases, "SageMaker Model Registry"), aliases
        )

    def _list_version_numbers(self, name: str) -> list[int]:
        try:
            pages = list(self.client.iter_pages("sagemaker", "list_model_packages", {"ModelPackageGroupName": name}))
        except CloudError as error:
            if _is_missing(error):
                return []
            raise
        return sorted(item["ModelPackageVersion"] for page in pages for item in page.get("ModelPackageSummaryList", []))

    def _get_version(self, name: str, number: int, aliases: Aliases) -> ModelVersion:
        arn = self._build_version_arn(name, number)
        response = self._request(
            "describe_model_package",
            ModelPackageName=arn,
            dry_response={
                "ModelApprovalStatus": APPROVED,
                "ModelPackageArn": arn,
                **self._recorded_versions.get(arn, {}),
            },
        )
        # In a dry run each version has files of its own, somewhere in the folder of its model.
        package = f"s3://{self.aws.bucket}/{self.aws.prefix}/models/{name}/FILES-OF-{number}/{PACKAGE}"
        return parse_description(response, name, number, aliases, package)

    def _get_group_arn(self, name: str) -> str:
        """Return the ARN of a model's group. Raises CloudError where there is no such group."""
        if name not in self._group_arns:
            response = self._request(
                "describe_model_package_group",
                ModelPackageGroupName=name,
                dry_response={"ModelPackageGroupArn": self._build_dry_run_arn("model-package-group", name)},
            )
            self._group_arns[name] = str(response["ModelPackageGroupArn"])
        return self._group_arns[name]

    def _build_version_arn(self, name: str, number: int) -> str:
        """Return the ARN of a version, which SageMaker derives from that of its group."""
        return self._get_group_arn(name).replace(":model-package-group/", ":model-package/", 1) + f"/{number}"

    def _build_dry_run_arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self.client.region}:{DRY_RUN_ACCOUNT}:{kind}/{name}"

    @override
    def fetch(self, version: ModelVersion, directory: Path) -> Path:
        bucket, prefix = split_package_uri(version.package)
        for key in self.client.list_object_sizes(bucket, prefix):
            name = key.removeprefix(prefix)
            if name and "/" not in name and name != PACKAGE:
                self.client.download(bucket, key, directory / name)
        self.client.download(bucket, f"{prefix}{PACKAGE}", directory / PACKAGE)
        return directory / PACKAGE if self.client.dry_run else verify_checksum(version, directory / PACKAGE)

    @override
    def fetch_file(self, version: ModelVersion, name: str, directory: Path) -> Path | None:
        bucket, prefix = split_package_uri(version.package)
        try:
            self.client.download(bucket, f"{prefix}{name}", directory / name)
        except CloudError as error:
            if error.code in ("404", "NoSuchKey"):
                return None
            raise
        return None if self.client.dry_run else directory / name

    @override
    def check_ready(self) -> None:
        if self.aws.image is None:
            raise ConfigError(
                "aws.image: a registered model needs the container that serves it; push the image of the Dockerfile "
                "to ECR, then add aws.image=…"
            )
        check_bucket_private(self.client, self.aws.bucket)

    @override
    def register(self, candidate: Candidate) -> ModelVersion:
        prefix = f"{self.aws.prefix}/models/{candidate.name}/{candidate.sha256[:16]}/"
        for name, path in candidate.files.items():
            self.client.upload(path, self.aws.bucket, f"{prefix}{name}", **build_encryption_args(self.aws.kms_key))
        self._ensure_group(candidate.name)
        files_uri = f"s3://{self.aws.bucket}/{prefix}"
        parameters = build_package_parameters(self.aws, candidate, files_uri)
        dry_arn = self._build_dry_run_arn("model-package", f"{candidate.name}/{DRY_RUN_VERSION}")
        response = self._request("create_model_package", **parameters, dry_response={"ModelPackageArn": dry_arn})
        self._recorded_versions[response["ModelPackageArn"]] = parameters
        number = int(response["ModelPackageArn"].rpartition("/")[2])
        return self._get_version(candidate.name, number, self.get_aliases(candidate.name))

    def _ensure_group(self, name: str) -> None:
        """Create the model's group where there is none; a dry run records both requests."""
        try:
            self._get_group_arn(name)
            if not self.client.dry_run:
                return
        except CloudError as error:
            if not _is_missing(error):
                raise
        try:
            self._request(
                "create_model_package_group",
                ModelPackageGroupName=name,
                ModelPackageGroupDescription="Facial expression of a face.",
                **build_tags(self.aws),
            )
        except CloudError as error:
            # Another registration was faster.
            if "already exists" not in str(error):
                raise

    @override
    def set_status(self, version: ModelVersion, status: Status, note: str) -> None:
        changes = build_status_changes(version, status, note)
        self._request("update_model_package", ModelPackageArn=version.source, **changes)
        self._recorded_versions[version.source] = {**self._recorded_versions.get(version.source, {}), **changes}

    @override
    def store_file(self, version: ModelVersion, path: Path) -> None:
        bucket, prefix = split_package_uri(version.package)
        self.client.upload(path, bucket, f"{prefix}{path.name}", **build_encryption_args(self.aws.kms_key))

    @override
    def check_not_served(self, version: ModelVersion) -> None:
        if (endpoint := find_serving_endpoint(self.client, version)) is not None:
            raise UserError(
                f"{version.uri}: the endpoint {endpoint} serves it, and would find no model for a new machine; deploy "
                "another version there (registry.action=deploy), or delete the endpoint (registry.action=undeploy)"
            )

    @override
    def delete(self, version: ModelVersion) -> None:
        # Of two versions of the same package, registered by hand, the other one keeps it.
        others = [other for other in self.list_versions(version.name) if other.version != version.version]
        if all(other.package != version.package for other in others):
            delete_folder(self.client, *split_package_uri(version.package))
        self._request("delete_model_package", ModelPackageName=version.source)

    @override
    def get_aliases(self, name: str) -> Aliases:
        try:
            group = self._get_group_arn(name)
        except CloudError as error:
            if _is_missing(error):
                return Aliases()
            raise
        pages = list(self.client.iter_pages("sagemaker", "list_tags", {"ResourceArn": group}))
        if self.client.dry_run:
            return DRY_RUN_ALIASES
        tags = {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags", [])}
        numbers = {alias: int(tags[key]) for alias, key in TAGS.items() if tags.get(key)}
        history = tuple(int(number) for number in tags.get(HISTORY_TAG, "").split())
        return Aliases(numbers.get(CHAMPION), numbers.get(CHALLENGER), history)

    @override
    def set_aliases(self, name: str, aliases: Aliases) -> None:
        values = {key: str(getattr(aliases, alias) or "") for alias, key in TAGS.items()}
        if (lock := self._locks.get(name)) is not None:
            lock.confirm()
        values[HISTORY_TAG] = " ".join(map(str, aliases.history[-MAX_HISTORY:]))
        self._request(
            "add_tags",
            ResourceArn=self._get_group_arn(name),
            Tags=[{"Key": key, "Value": value} for key, value in values.items()],
        )


def _is_missing(error: CloudError) -> bool:
    """Whether AWS says that there is no such model package group."""
    return error.code in ("ValidationException", "ResourceNotFound") and (
        "does not exist" in str(error) or "not found" in str(error).lower()
    )

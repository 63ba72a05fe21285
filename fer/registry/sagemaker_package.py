"""A version as SageMaker has it: the requests that make and change a model package, and what its description says."""

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fer.config import SageMakerAws
from fer.registry.base import JUDGED_ANEW, Aliases, Candidate, ModelVersion, parse_properties
from fer.registry.package import PACKAGE
from fer.registry.sagemaker_model_card import build_card_content, get_card_status
from fer.registry.status import ARCHIVED, REJECTED, Status

CONTENT_TYPES = ("image/jpeg", "image/png", "application/x-tar")
RESPONSE_TYPE = "application/jsonlines"
INSTANCE_TYPES = ("ml.c5.xlarge", "ml.c5.2xlarge", "ml.m5.xlarge", "ml.m5.2xlarge")
ARCHIVED_PROPERTY = "archived"
MAX_TEXT, MAX_PROPERTY, MAX_TOKEN = 1024, 256, 36  # characters


def build_package_parameters(aws: SageMakerAws, candidate: Candidate, files_uri: str) -> dict[str, Any]:
    """Return the parameters of CreateModelPackage.

    Args:
        aws: The section `aws` of the configuration.
        candidate: What is registered.
        files_uri: The s3:// folder of its files, with a slash.
    """
    instance_types = list(dict.fromkeys([aws.transform.instance_type, *INSTANCE_TYPES]))
    environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    container = {"Image": aws.image, "ModelDataUrl": f"{files_uri}{PACKAGE}", "Environment": environment}
    statistics = {"ContentType": "application/json", "S3Uri": f"{files_uri}quality.json"}
    # Two registrations of the same package at the same time get the same version.
    token = hashlib.sha256(f"{candidate.name} {candidate.sha256}".encode()).hexdigest()[:MAX_TOKEN]
    return {
        "ClientToken": token,
        "ModelPackageGroupName": candidate.name,
        "ModelPackageDescription": " ".join(candidate.verdict.reasons)[:MAX_TEXT],
        "ModelApprovalStatus": candidate.verdict.status,
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": list(CONTENT_TYPES),
            "SupportedResponseMIMETypes": [RESPONSE_TYPE],
            "SupportedTransformInstanceTypes": instance_types,
            "SupportedRealtimeInferenceInstanceTypes": instance_types,
        },
        "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
        "CustomerMetadataProperties": {
            name: value[:MAX_PROPERTY] for name, value in candidate.build_properties().items()
        },
        # It belongs to the version: it is made, found and deleted with it.
        "ModelCard": {
            "ModelCardStatus": get_card_status(candidate.verdict.status),
            "ModelCardContent": build_card_content(candidate, f"{files_uri}{PACKAGE}", str(aws.image)),
        },
        **({} if aws.kms_key is None else {"SecurityConfig": {"KmsKeyId": aws.kms_key}}),
    }


def build_status_changes(version: ModelVersion, status: Status, note: str) -> dict[str, Any]:
    """Return the parameters of UpdateModelPackage, without the version's ARN, for another status and its reason."""
    # The description of a version cannot be changed; of one that was judged anew the note has all reasons.
    judged_before = version.reasons.startswith(JUDGED_ANEW) and not note.startswith(JUDGED_ANEW)
    text = f"{version.reasons} {note}" if judged_before else note
    # SageMaker knows no archived versions, and uses no rejected ones.
    mark: dict[str, Any] = {"CustomerMetadataPropertiesToRemove": [ARCHIVED_PROPERTY]}
    if status == ARCHIVED:
        mark = {"CustomerMetadataProperties": {ARCHIVED_PROPERTY: "true"}}
    return {
        "ModelApprovalStatus": REJECTED if status == ARCHIVED else status,
        "ApprovalDescription": text[:MAX_TEXT],
        "ModelCard": {"ModelCardStatus": get_card_status(status)},
        **(mark if ARCHIVED in (status, version.status) else {}),
    }


def parse_description(
    description: Mapping[str, Any], name: str, number: int, aliases: Aliases, default_package: str
) -> ModelVersion:
    """Return the version that an answer to DescribeModelPackage describes.

    Args:
        description: The answer.
        name: Name of the model.
        number: Number of the version.
        aliases: The aliases of the model.
        default_package: s3:// URI of the package where the answer has none, as in a dry run.
    """
    properties = dict(description.get("CustomerMetadataProperties", {}))
    containers = description.get("InferenceSpecification", {}).get("Containers", [{}])
    created = description.get("CreationTime")
    archived = properties.pop(ARCHIVED_PROPERTY, None) is not None
    return ModelVersion(
        name=name,
        version=number,
        status=ARCHIVED if archived else description["ModelApprovalStatus"],
        aliases=aliases.get_names(number),
        source=description["ModelPackageArn"],
        package=containers[0].get("ModelDataUrl", default_package),
        created="" if created is None else created.isoformat(timespec="seconds"),
        reasons=_join_reasons(description.get("ModelPackageDescription"), description.get("ApprovalDescription")),
        **parse_properties(properties),
    )


def split_package_uri(package: str) -> tuple[str, str]:
    """Return the bucket and the key prefix of the files beside the model.tar.gz at s3://BUCKET/KEY."""
    parts = urlsplit(package)
    return parts.netloc, f"{parts.path.lstrip('/').rpartition('/')[0]}/"


def _join_reasons(description: str | None, note: str | None) -> str:
    """Return the reasons of the status that a version has now."""
    if note and note.startswith(JUDGED_ANEW):
        return note
    return " ".join(filter(None, (description, note)))

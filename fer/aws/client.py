"""A client for AWS whose errors are one sentence, and which records requests instead of sending them in a dry run."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.aws.shapes import find_violations
from fer.core.extras import require_packages
from fer.core.installation import format_command
from fer.core.io import atomic_write
from fer.errors import ConfigError, UserError, shorten_error

# boto3 is not installed everywhere (see fer/core/extras.py): it is imported where a client is used.
if TYPE_CHECKING:
    from botocore.exceptions import ClientError

MULTIPART_CHUNK_BYTES = 8 << 20  # bytes of one part of a multipart upload
EXPIRED_CREDENTIALS_CODES = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
UNKNOWN_CREDENTIALS_CODES = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
}
ACCESS_DENIED_CODES = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
NOT_SIGNED_IN = "NotSignedIn"
MAX_MESSAGE_LENGTH = 300  # characters

# At their own level they log, for every client, where credentials and endpoints come from.
for name in ("botocore", "boto3", "s3transfer"):
    logging.getLogger(name).setLevel(logging.WARNING)


class CloudError(UserError):
    """AWS refused a request or did not answer.

    Args:
        message: One sentence: what was asked, what went wrong, what to do about it.
        code: AWS's name of the error, such as ``AccessDenied``; empty where there is none.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def is_not_found(error: CloudError) -> bool:
    """Whether SageMaker says that there is no such job, endpoint or model."""
    return error.code in ("ValidationException", "ResourceNotFound") and (
        "not find" in str(error) or "not found" in str(error)
    )


class AwsClient:
    """Sends requests to AWS in one region, once they are what AWS takes.

    A dry run records them in ``recorded_requests`` instead.

    Args:
        region: AWS region; by default the one of AWS's own settings.
        dry_run: Send nothing, and need no credentials.

    Raises:
        CloudError: AWS's own settings (profile, configuration file) cannot be used.
        ConfigError: No region is known.
        UserError: boto3 is not installed.

    Examples:
        >>> client = AwsClient("eu-central-1", dry_run=True)
        >>> client.request("sagemaker", "describe_model", {"ModelName": "m"})
        {}
        >>> client.recorded_requests[0]["operation"]
        'describe_model'
    """

    def __init__(self, region: str | None = None, dry_run: bool = False) -> None:
        require_packages("boto3", purpose="AWS")
        import boto3
        from botocore.exceptions import BotoCoreError

        self.dry_run = dry_run
        self.recorded_requests: list[dict[str, Any]] = []
        self.clients: dict[str, Any] = {}
        keys: dict[str, Any] = {}
        if dry_run:
            # Nothing is signed or sent, but boto3 makes no client without credentials.
            keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
        try:
            self.session = boto3.Session(region_name=region, **keys)
        except BotoCoreError as error:
            raise CloudError(f"AWS's own settings cannot be used: {shorten_error(error)}") from None
        self.region = self.session.region_name or ("us-east-1" if dry_run else None)
        if self.region is None:
            raise ConfigError("aws.region: is not set, and AWS's own settings name none; add aws.region=…")

    def get_client(self, service: str) -> Any:
        """Return boto3's client of a service, which is created once. Raises CloudError, ConfigError."""
        if service not in self.clients:
            from botocore.config import Config

            retries = {
                "mode": os.environ.get("AWS_RETRY_MODE", "adaptive"),
                "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", "8")),
            }
            timeouts = {"connect_timeout": 10, "read_timeout": 60}
            client_config = Config(retries=retries, **timeouts)
            self.clients[service] = self.attempt(
                service,
                lambda: self.session.client(service, region_name=self.region, config=client_config),
            )
        return self.clients[service]

    def request(
        self, service: str, operation: str, parameters: dict[str, Any], dry_response: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send one request.

        Args:
            service: Name of the service as boto3 has it, such as ``s3``.
            operation: Method of boto3's client, such as ``list_objects_v2``.
            parameters: Its keyword arguments.
            dry_response: What a dry run answers instead of AWS; by default an empty mapping.

        Raises:
            CloudError: AWS refused or did not answer, or the parameters are not those of the operation.
        """
        client = self.get_client(service)
        _check_parameters(client, operation, parameters)
        if self.dry_run:
            self._record(service, operation, parameters)
            return dry_response or {}
        action = f"{service}:{client.meta.method_to_api_mapping[operation]}"
        return self.attempt(action, lambda: getattr(client, operation)(**parameters))

    def iter_pages(self, service: str, operation: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield all pages of a listing; arguments and errors are those of ``request``.

        A dry run records the request for the first page, and yields one that is empty.
        """
        if self.dry_run:
            yield self.request(service, operation, parameters)
            return
        client = self.get_client(service)
        _check_parameters(client, operation, parameters)
        action = f"{service}:{client.meta.method_to_api_mapping[operation]}"
        pages = iter(client.get_paginator(operation).paginate(**parameters))
        while (page := self.attempt(action, lambda: next(pages, None))) is not None:
            yield page

    def upload(self, path: Path, bucket: str, key: str, **extra: Any) -> None:
        """Upload a file to S3, a large one in parts; ``extra`` are arguments of PutObject. Raises CloudError."""
        _check_parameters(self.get_client("s3"), "put_object", {"Bucket": bucket, "Key": key, **extra})
        if self.dry_run:
            self._record_upload(path, bucket, key, extra)
            return
        from boto3.s3.transfer import TransferConfig

        transfer = TransferConfig(
            multipart_threshold=MULTIPART_CHUNK_BYTES, multipart_chunksize=MULTIPART_CHUNK_BYTES, max_concurrency=4
        )
        self.attempt(
            f"s3:PutObject of s3://{bucket}/{key}",
            lambda: self.get_client("s3").upload_file(str(path), bucket, key, ExtraArgs=extra, Config=transfer),
        )

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Download an object from S3 to ``path``, whole or not at all. Raises CloudError."""
        if self.dry_run:
            self.request("s3", "get_object", {"Bucket": bucket, "Key": key})
            return
        with atomic_write(path) as tmp_path:
            self.attempt(
                f"s3:GetObject of s3://{bucket}/{key}",
                lambda: self.get_client("s3").download_file(bucket, key, str(tmp_path)),
            )

    def list_object_sizes(self, bucket: str, prefix: str) -> dict[str, int]:
        """Return the size in bytes of each object whose key begins with ``prefix``, by key. Raises CloudError."""
        return {item["Key"]: item["Size"] for item in self.iter_objects(bucket, prefix)}

    def iter_objects(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield S3's entry (Key, Size, ETag…) of each object whose key begins with ``prefix``. Raises CloudError."""
        for page in self.iter_pages("s3", "list_objects_v2", {"Bucket": bucket, "Prefix": prefix}):
            yield from page.get("Contents", [])

    def attempt(self, action: str, send: Callable[[], Any]) -> Any:
        """Return what ``send`` returns; boto3's errors become a sentence that begins with ``action``.

        Raises:
            CloudError: AWS refused or did not answer.
            ConfigError: The region does not exist.
        """
        from boto3.exceptions import Boto3Error, S3UploadFailedError
        from botocore import exceptions
        from s3transfer.exceptions import S3DownloadFailedError, S3ValidationError

        credentials_errors = (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.CredentialRetrievalError,
            exceptions.TokenRetrievalError,
            exceptions.SSOError,
            exceptions.LoginError,
        )
        try:
            return send()
        except exceptions.ClientError as error:
            raise _to_cloud_error(action, error) from None
        except S3UploadFailedError as error:
            inner = error.__cause__ or error.__context__
            if isinstance(inner, exceptions.ClientError):
                raise _to_cloud_error(action, inner) from None
            raise CloudError(f"{action} failed: {shorten_error(error)}; try again") from None
        except (Boto3Error, S3DownloadFailedError, S3ValidationError) as error:
            raise CloudError(f"{action} broke off: {_format_error(error)}; try again") from None
        except credentials_errors as error:
            message = f"{action}: {_format_error(error)}; sign in to AWS (aws configure, aws sso login)"
            raise CloudError(message, NOT_SIGNED_IN) from None
        except exceptions.InvalidRegionError:
            raise ConfigError(f"aws.region={self.region}: is no region of AWS; name one such as us-east-1") from None
        except exceptions.ParamValidationError as error:
            raise CloudError(f"{action}: {' '.join(str(error).split())}", "ParamValidation") from None
        except (exceptions.BotoCoreError, exceptions.HTTPClientError) as error:
            raise CloudError(
                f"{action}: AWS cannot be reached ({_format_error(error)}); check the network, try again"
            ) from None

    def _record(self, service: str, operation: str, parameters: dict[str, Any]) -> None:
        plain = json.loads(json.dumps(parameters, default=str))
        self.recorded_requests.append({"service": service, "operation": operation, "parameters": plain})

    def _record_upload(self, path: Path, bucket: str, key: str, extra: dict[str, Any]) -> None:
        size = path.stat().st_size
        target = {"Bucket": bucket, "Key": key}
        content = f"{size} bytes of {path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
        if size < MULTIPART_CHUNK_BYTES:
            self._record("s3", "put_object", {**target, **extra, "Body": content})
            return
        self._record("s3", "create_multipart_upload", {**target, **extra})
        parts = -(-size // MULTIPART_CHUNK_BYTES)
        for part in range(1, parts + 1):
            body = f"part {part} of {parts}: {content}"
            self._record("s3", "upload_part", {**target, "PartNumber": part, "UploadId": "UPLOAD", "Body": body})
        self._record("s3", "complete_multipart_upload", {**target, "UploadId": "UPLOAD"})


def _check_parameters(client: Any, operation: str, parameters: dict[str, Any]) -> None:
    """Refuse, before it is sent, what AWS's own description of the operation does not allow. Raises CloudError."""
    from botocore.validate import ParamValidator

    api = client.meta.method_to_api_mapping[operation]
    shape = client.meta.service_model.operation_model(api).input_shape
    if shape is None:
        return
    if (report := ParamValidator().validate(parameters, shape)).has_errors():
        raise CloudError(f"{api}: {' '.join(report.generate_report().split())}", "ParamValidation")
    if violations := list(find_violations(shape, parameters)):
        raise CloudError(f"{api}: {'; '.join(map(str, violations))}", "ParamValidation")


def _to_cloud_error(action: str, error: "ClientError") -> CloudError:
    """Return AWS's answer and the remedy as one sentence."""
    code = str(error.response["Error"].get("Code", ""))
    # Proxies between this machine and AWS answer with whole pages.
    message = " ".join(str(error.response["Error"].get("Message", "")).split()).rstrip(".")[:MAX_MESSAGE_LENGTH]
    if code in EXPIRED_CREDENTIALS_CODES:
        return CloudError(f"{action}: AWS's credentials have expired; sign in again (aws sso login), then go on", code)
    if code in UNKNOWN_CREDENTIALS_CODES:
        return CloudError(f"{action}: AWS does not know these credentials ({code}); sign in to AWS", code)
    if code in ACCESS_DENIED_CODES:
        policy = format_command("fer.cloud.policy")
        return CloudError(f"{action}: not allowed ({message}); `{policy}` prints the rights that are needed", code)
    # Failures on AWS's side and throttling pass by themselves.
    is_transient = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500 or "Throttl" in code
    return CloudError(f"{action}: {message or 'refused'} ({code}){'; try again later' if is_transient else ''}", code)


def _format_error(error: BaseException) -> str:
    return shorten_error(error).rstrip(".")

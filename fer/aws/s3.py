"""S3: URIs, encryption, the check that a bucket is not public, and transfers in parallel."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from fer.aws.client import AwsClient, CloudError
from fer.core.file_tree import is_hidden
from fer.core.progress import track_progress
from fer.errors import ModelError

MAX_TRANSFERS = 8
# What Hadoop's jobs leave beside their results, besides what is hidden on this machine too.
JOB_MARK = "_SUCCESS"
MAX_LISTED = 5
MAX_DELETED = 1000  # objects in one request
Item = TypeVar("Item")
log = logging.getLogger(__name__)

PUBLIC_ACCESS_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
PUBLIC_GRANTEES = {
    "http://acs.amazonaws.com/groups/global/AllUsers": "everybody",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": "every AWS user",
}
MISSING_BUCKET_CODES = {"404", "NoSuchBucket"}


def build_encryption_args(kms_key: str | None) -> dict[str, str]:
    """Return the arguments of PutObject that encrypt an object with this KMS key, or with S3's own key."""
    if kms_key is None:
        return {"ServerSideEncryption": "AES256"}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}


def check_bucket_private(client: AwsClient, bucket: str) -> None:
    """Refuse a bucket from which faces or models could leak.

    Raises:
        CloudError: The bucket is public, does not exist, or this cannot be found out.
    """
    parameters = {"Bucket": bucket}
    response = _request_or_empty(client, "get_public_access_block", parameters, "NoSuchPublicAccessBlockConfiguration")
    if client.dry_run or all(
        response.get("PublicAccessBlockConfiguration", {}).get(block) for block in PUBLIC_ACCESS_BLOCKS
    ):
        return
    policy = _request_or_empty(client, "get_bucket_policy_status", parameters, "NoSuchBucketPolicy")
    if policy.get("PolicyStatus", {}).get("IsPublic"):
        raise _build_public_error(bucket, "its policy")
    for grant in client.request("s3", "get_bucket_acl", parameters).get("Grants", []):
        if grantees := PUBLIC_GRANTEES.get(grant["Grantee"].get("URI", "")):
            raise _build_public_error(bucket, f"its access list ({grant['Permission']} for {grantees})")


def _request_or_empty(
    client: AwsClient, operation: str, parameters: dict[str, str], absent_code: str
) -> dict[str, dict[str, bool]]:
    """Send a request about a bucket; the answer is empty where the bucket has no such setting. Raises CloudError."""
    try:
        return client.request("s3", operation, parameters)
    except CloudError as error:
        if error.code == absent_code:
            return {}
        if error.code in MISSING_BUCKET_CODES:
            raise CloudError(
                f"aws.bucket={parameters['Bucket']}: there is no such bucket; create it first, or name another",
                error.code,
            ) from None
        raise


def _build_public_error(bucket: str, cause: str) -> CloudError:
    return CloudError(
        f"aws.bucket={bucket}: is open to the public through {cause}; block public access to it "
        "(aws s3api put-public-access-block), or name another"
    )


def delete_folder(client: AwsClient, bucket: str, prefix: str) -> int:
    """Delete all objects whose keys begin with ``prefix``; returns how many.

    Raises:
        CloudError: AWS refused, or kept some of them.
    """
    keys = [f"{prefix}…"] if client.dry_run else []
    keys += client.list_object_sizes(bucket, prefix)
    for start in range(0, len(keys), MAX_DELETED):
        objects = [{"Key": key} for key in keys[start : start + MAX_DELETED]]
        response = client.request(
            "s3", "delete_objects", {"Bucket": bucket, "Delete": {"Objects": objects, "Quiet": True}}
        )
        if errors := response.get("Errors"):
            raise CloudError(
                f"s3:DeleteObjects: {len(errors)} objects below s3://{bucket}/{prefix} stay "
                f"({errors[0].get('Key')}: {errors[0].get('Message')})",
                str(errors[0].get("Code", "")),
            )
    return len(keys)


def map_uri_to_path(uri: str) -> Path:
    """Return a relative path for s3://BUCKET/KEY; names with a meaning to file systems (`.`, `..`) are prefixed."""
    return Path(*(f"%{name}" if name in ("", ".", "..") else name for name in uri.removeprefix("s3://").split("/")))


def run_in_parallel(func: Callable[[Item], None], items: Sequence[Item], title: str) -> None:
    """Call ``func`` with each item in a few threads, with a progress bar; the first error cancels the rest."""
    with ThreadPoolExecutor(MAX_TRANSFERS) as pool:
        try:
            for _ in track_progress(pool.map(func, items), len(items), title, "objects"):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def find_objects(client: AwsClient, uri: str) -> list[dict[str, Any]]:
    """List what s3://BUCKET/KEY names: the object KEY itself or, where there is none, the folder KEY/ with all below.

    Objects beside it whose names only begin so are others. Hidden ones are a file manager's or a job's: they are left
    out, and counted in the log.

    Args:
        client: Client for AWS.
        uri: The address; s3://BUCKET is the whole bucket.

    Returns:
        S3's entries (Key, Size, ETag…); none where there is nothing.

    Raises:
        CloudError: AWS refused or did not answer.
        ModelError: The address names no bucket.
    """
    bucket, key = parse_s3_uri(uri)
    if key and not key.endswith("/"):
        # Of all keys that begin so, this one comes first.
        first = next(client.iter_objects(bucket, key), None)
        if first is not None and first["Key"] == key:
            return [first]
    folder = f"{key.rstrip('/')}/" if key else ""
    entries, hidden = [], []
    for entry in client.iter_objects(bucket, folder):
        name = entry["Key"].removeprefix(folder)
        if _stands_for_folder(name):
            continue
        if _is_hidden(name):
            hidden.append(name)
        else:
            entries.append(entry)
    if hidden:
        log.warning("%s: %d objects are hidden: not used: %s", uri, len(hidden), format_examples(hidden))
    return entries


def format_examples(names: Sequence[str]) -> str:
    """The first few of many names, for the log."""
    return ", ".join([*names[:MAX_LISTED], *["…"] * (len(names) > MAX_LISTED)])


def _stands_for_folder(name: str) -> bool:
    """Whether an object is no file but what consoles and Hadoop put where a folder is to be seen."""
    return name == "" or name.endswith(("/", "_$folder$"))


def _is_hidden(name: str) -> bool:
    """Whether the name of an object below a folder is hidden; `.` and `..` are names like others in S3."""
    parts = [part for part in name.split("/") if part.strip(".")]
    return JOB_MARK in parts or any(is_hidden(PurePosixPath(part)) for part in parts)


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """Split s3://BUCKET/KEY into bucket and key, which may be empty. Raises ModelError where no bucket is named."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise ModelError(f"{uri}: names no bucket; it must have the form s3://BUCKET/KEY")
    return bucket, key

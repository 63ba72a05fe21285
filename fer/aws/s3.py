"""What models and faces need of a bucket: closed to the public, and encrypted."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fer.aws.client import AwsClient, CloudError
from fer.core.progress import track_progress
from fer.errors import ModelError

MAX_TRANSFERS = 8
Item = TypeVar("Item")

PUBLIC_ACCESS_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
PUBLIC_GRANTEES = {
    "http://acs.amazonaws.com/groups/global/AllUsers": "everybody",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": "every AWS user",
}
MISSING_BUCKET_CODES = {"404", "NoSuchBucket"}


def build_encryption_args(kms_key: str | None) -> dict[str, str]:
    """What PutObject is told, so that S3 encrypts an object with this key, or with its own."""
    if kms_key is None:
        return {"ServerSideEncryption": "AES256"}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}


def check_bucket_private(client: AwsClient, bucket: str) -> None:
    """Raises CloudError for a bucket that is public, does not exist, or may not be looked at."""
    parameters = {"Bucket": bucket}
    blocked = _request_or_empty(client, "get_public_access_block", parameters, "NoSuchPublicAccessBlockConfiguration")
    if client.dry_run or all(
        blocked.get("PublicAccessBlockConfiguration", {}).get(block) for block in PUBLIC_ACCESS_BLOCKS
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
    """The answer; empty where the bucket has no such thing. Raises CloudError."""
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


def map_uri_to_path(uri: str) -> Path:
    """Where the file of s3://BUCKET/KEY comes to lie: names that mean something else to a file system get a mark."""
    return Path(*(f"%{name}" if name in ("", ".", "..") else name for name in uri.removeprefix("s3://").split("/")))


def run_in_parallel(func: Callable[[Item], None], items: Sequence[Item], title: str) -> None:
    """Do ``work`` on each item, several at a time; the first error ends it."""
    with ThreadPoolExecutor(MAX_TRANSFERS) as pool:
        try:
            for _ in track_progress(pool.map(func, items), len(items), title, "objects"):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """Raises ModelError for what is no s3://BUCKET/KEY; the key may be empty."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise ModelError(f"{uri}: names no bucket; it must have the form s3://BUCKET/KEY")
    return bucket, key

"""What models and faces need of a bucket: closed to the public, and encrypted."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fer.aws.client import AwsCalls, CloudError
from fer.core.progress import progress
from fer.errors import ModelError

TRANSFERS = 8
Item = TypeVar("Item")

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
EVERYBODY = {
    "http://acs.amazonaws.com/groups/global/AllUsers": "everybody",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": "every AWS user",
}
MISSING = {"404", "NoSuchBucket"}


def encryption(kms_key: str | None) -> dict[str, str]:
    """What PutObject is told, so that S3 encrypts an object with this key, or with its own."""
    if kms_key is None:
        return {"ServerSideEncryption": "AES256"}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}


def refuse_public(calls: AwsCalls, bucket: str) -> None:
    """Raises CloudError for a bucket that is public, does not exist, or may not be looked at."""
    named = {"Bucket": bucket}
    blocked = asked(calls, "get_public_access_block", named, "NoSuchPublicAccessBlockConfiguration")
    if calls.dry_run or all(blocked.get("PublicAccessBlockConfiguration", {}).get(block) for block in BLOCKS):
        return
    policy = asked(calls, "get_bucket_policy_status", named, "NoSuchBucketPolicy")
    if policy.get("PolicyStatus", {}).get("IsPublic"):
        raise public(bucket, "its policy")
    for grant in calls.call("s3", "get_bucket_acl", named).get("Grants", []):
        if whom := EVERYBODY.get(grant["Grantee"].get("URI", "")):
            raise public(bucket, f"its access list ({grant['Permission']} for {whom})")


def asked(calls: AwsCalls, operation: str, named: dict[str, str], absent: str) -> dict[str, dict[str, bool]]:
    """The answer; empty where the bucket has no such thing. Raises CloudError."""
    try:
        return calls.call("s3", operation, named)
    except CloudError as error:
        if error.code == absent:
            return {}
        if error.code in MISSING:
            raise CloudError(
                f"aws.bucket={named['Bucket']}: there is no such bucket; create it first, or name another", error.code
            ) from None
        raise


def public(bucket: str, through: str) -> CloudError:
    return CloudError(
        f"aws.bucket={bucket}: is open to the public through {through}; block public access to it "
        "(aws s3api put-public-access-block), or name another"
    )


def place_of(uri: str) -> Path:
    """Where the file of s3://BUCKET/KEY comes to lie: names that mean something else to a file system get a mark."""
    return Path(*(f"%{name}" if name in ("", ".", "..") else name for name in uri.removeprefix("s3://").split("/")))


def in_parallel(work: Callable[[Item], None], items: Sequence[Item], title: str) -> None:
    """Do ``work`` on each item, several at a time; the first error ends it."""
    with ThreadPoolExecutor(TRANSFERS) as pool:
        try:
            for _ in progress(pool.map(work, items), len(items), title, "objects"):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Raises ModelError for what is no s3://BUCKET/KEY; the key may be empty."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise ModelError(f"{uri}: names no bucket; it must have the form s3://BUCKET/KEY")
    return bucket, key

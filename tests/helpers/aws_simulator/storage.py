"""The simulator's own view of its S3: no HTTP, so that neither faults nor counts see it."""

from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends


def backend() -> Any:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


def parts_of(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def has_bucket(uri: str) -> bool:
    try:
        backend().get_bucket(parts_of(uri)[0])
    except MissingBucket:
        return False
    return True


def read(uri: str) -> bytes | None:
    """Content of an object; None where there is none."""
    if not has_bucket(uri):
        return None
    found = backend().get_object(*parts_of(uri))
    return bytes(found.value) if found else None


def keys_below(uri: str) -> list[str]:
    """Keys that begin with the key of ``uri``, sorted."""
    bucket, prefix = parts_of(uri)
    if not has_bucket(uri):
        return []
    return sorted(key for key in list(backend().get_bucket(bucket).keys) if key.startswith(prefix))


def write(uri: str, content: bytes, kms_key: str | None) -> None:
    bucket, key = parts_of(uri)
    encryption = {"encryption": "aws:kms", "kms_key_id": kms_key} if kms_key else {}
    backend().put_object(bucket, key, content, **encryption)

"""Addresses of objects in buckets: s3://BUCKET/KEY is Amazon's, gs://BUCKET/KEY Google's."""

import hashlib
from pathlib import Path, PurePosixPath

from fer.errors import ConfigError, ModelError

# What reads and writes each scheme; fer/storage has the code.
SERVICES = {"s3": "S3", "gs": "Google Cloud Storage"}
# Azure's, of which no file is fetched.
AZURE = ("az", "abfs", "abfss", "wasb", "wasbs")
# File systems take 255 bytes for a name, of which files that are being written need some.
MAX_NAME_BYTES, MAX_SUFFIX_BYTES, HASH = 200, 16, 12


def is_object_uri(text: str) -> bool:
    """Whether a text is the address of an object, a folder or a bucket that can be read, and no path."""
    return text.startswith(tuple(f"{scheme}://" for scheme in SERVICES))


def is_s3_uri(text: str) -> bool:
    """Whether a text is an address of Amazon's, which SageMaker reads by itself."""
    return text.startswith("s3://")


def get_scheme(uri: str) -> str:
    """Return what stands before `://`."""
    return uri.partition("://")[0]


def split_object_uri(uri: str) -> tuple[str, str]:
    """Split s3://BUCKET/KEY or gs://BUCKET/KEY.

    Args:
        uri: The address.

    Returns:
        Bucket and key, which may be empty.

    Raises:
        ModelError: No bucket is named.

    Examples:
        >>> split_object_uri("gs://faces/study1/a.mp4")
        ('faces', 'study1/a.mp4')
    """
    scheme, _, place = uri.partition("://")
    bucket, _, key = place.partition("/")
    if not bucket:
        raise ModelError(f"{uri}: names no bucket; it must have the form {scheme}://BUCKET/KEY")
    return bucket, key


def refuse_azure(text: str) -> None:
    """Refuse an address of Azure's. Raises ConfigError."""
    if problem := explain_azure(text):
        raise ConfigError(problem)


def explain_azure(text: str) -> str | None:
    """Why an address of Azure's is not read, and what to do; None for any other text."""
    if not text.startswith(tuple(f"{scheme}://" for scheme in AZURE)):
        return None
    return f"{text}: Azure's storage is not read; copy it to this machine (azcopy copy), or into s3:// or gs://"


def map_key_to_path(key: str) -> Path:
    """Return a relative path for a key.

    Names with a meaning to file systems (`.`, `..`) are prefixed, those that are too long for one are cut, and end in a
    hash and their suffix.
    """
    return Path(*map(_map_name, key.split("/")))


def _map_name(name: str) -> str:
    if name in ("", ".", ".."):
        return f"%{name}"
    content = name.encode()
    if len(content) <= MAX_NAME_BYTES:
        return name
    suffix = PurePosixPath(name).suffix if len(PurePosixPath(name).suffix.encode()) <= MAX_SUFFIX_BYTES else ""
    beginning = content[: MAX_NAME_BYTES - MAX_SUFFIX_BYTES - HASH - 1].decode(errors="ignore")
    return f"{beginning}-{hashlib.sha256(content).hexdigest()[:HASH]}{suffix}"


def map_uri_to_path(uri: str) -> Path:
    """Return a relative path for the address of an object: BUCKET/KEY, of Google's gs/BUCKET/KEY."""
    scheme, _, place = uri.partition("://")
    # No bucket of Amazon's has so short a name.
    return map_key_to_path(place) if scheme == "s3" else Path(scheme) / map_key_to_path(place)

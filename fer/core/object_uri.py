"""Addresses of objects in buckets: s3://BUCKET/KEY is Amazon's, gs://BUCKET/KEY Google's."""

from pathlib import Path

from fer.errors import ConfigError, ModelError

# What reads and writes each scheme; fer/storage has the code.
SERVICES = {"s3": "S3", "gs": "Google Cloud Storage"}
# Azure's, of which no file is fetched.
AZURE = ("az", "abfs", "abfss", "wasb", "wasbs")


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
    """Return a relative path for a key; names with a meaning to file systems (`.`, `..`) are prefixed."""
    return Path(*(f"%{name}" if name in ("", ".", "..") else name for name in key.split("/")))


def map_uri_to_path(uri: str) -> Path:
    """Return a relative path for the address of an object: BUCKET/KEY, of Google's gs/BUCKET/KEY."""
    scheme, _, place = uri.partition("://")
    # No bucket of Amazon's has so short a name.
    return map_key_to_path(place) if scheme == "s3" else Path(scheme) / map_key_to_path(place)

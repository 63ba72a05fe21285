"""The inputs of a job in S3: each uploaded once, under a key that is a hash of its content."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fer.aws.client import AwsClient
from fer.aws.s3 import build_encryption_args
from fer.core.archive import iter_files
from fer.core.io import compute_sha256
from fer.core.object_uri import split_object_uri
from fer.errors import DataError
from fer.storage.listing import find_objects
from fer.storage.s3 import S3Store
from fer.storage.transfers import run_in_parallel

DATA = "/opt/ml/input/data"


@dataclass(frozen=True)
class InputChannel:
    """An input that SageMaker puts into the container.

    Args:
        channel: Name of the channel.
        uri: s3:// URI of an object or, with a slash at the end, of a folder.
        container_path: Path of the file or directory in the container.
    """

    channel: str
    uri: str
    container_path: str

    @property
    def object_uri(self) -> str:
        """The URI of the object, for an input that is a single file."""
        return (
            self.uri.rstrip("/") + "/" + self.container_path.rpartition("/")[2] if self.uri.endswith("/") else self.uri
        )


class Staging:
    """Uploads files to a bucket below a prefix.

    Args:
        client: Client for AWS.
        bucket: The bucket.
        prefix: What all keys begin with, without a slash at the end.
        kms_key: KMS key that objects are encrypted with; None takes S3's own.
    """

    def __init__(self, client: AwsClient, bucket: str, prefix: str, kms_key: str | None) -> None:
        self.client, self.bucket, self.prefix = client, bucket, prefix
        self.encryption = build_encryption_args(kms_key)

    def build_uri(self, key: str) -> str:
        """Return the s3:// URI of a key below the prefix."""
        return f"s3://{self.bucket}/{self.prefix}/{key}"

    def put(self, path: Path, key: str) -> str:
        """Upload a file; returns its s3:// URI. Raises CloudError."""
        self.client.upload(path, self.bucket, f"{self.prefix}/{key}", **self.encryption)
        return self.build_uri(key)

    def upload_once(self, path: Path, channel: str) -> InputChannel:
        """Upload a file or directory, unless the bucket has this content already.

        Args:
            path: The file or directory.
            channel: Name of its channel.

        Raises:
            CloudError: AWS refused or did not answer.
            DataError: The directory is empty.
        """
        files = dict(iter_files(path)) if path.is_dir() else {path.name: path}
        if not files:
            raise DataError(f"{path}: is empty, so there is nothing to train on")
        digest = hashlib.sha256()
        for name, file in files.items():
            digest.update(f"{compute_sha256(file)}  {name}\n".encode())
        folder = f"inputs/{digest.hexdigest()[:32]}"
        existing = self.client.list_object_sizes(self.bucket, f"{self.prefix}/{folder}/")
        pending = [
            name
            for name, file in files.items()
            if existing.get(f"{self.prefix}/{folder}/{name}") != file.stat().st_size
        ]

        def put(name: str) -> None:
            self.put(files[name], f"{folder}/{name}")

        run_in_parallel(put, pending, f"Uploading {path.name}")
        return InputChannel(
            channel, self.build_uri(f"{folder}/"), f"{DATA}/{channel}" + ("" if path.is_dir() else f"/{path.name}")
        )

    def resolve_uri(self, uri: str, channel: str) -> InputChannel:
        """Return the channel of an object or folder that is in S3 already.

        Args:
            uri: Its s3:// URI.
            channel: Name of its channel.

        Raises:
            CloudError: AWS refused or did not answer.
            DataError: There is no such object or folder.
        """
        _, key = split_object_uri(uri)
        if self.client.dry_run:
            # AWS cannot be asked: what has an extension is taken for a file.
            single = "." in key.rpartition("/")[2]
        else:
            keys = [item.key for item in find_objects(S3Store(self.client), uri)]
            single = keys == [key]
            if not keys:
                raise DataError(f"{uri}: there is no such object or folder in S3")
        if single:
            return InputChannel(channel, uri, f"{DATA}/{channel}/{key.rpartition('/')[2]}")
        return InputChannel(channel, uri.rstrip("/") + "/", f"{DATA}/{channel}")

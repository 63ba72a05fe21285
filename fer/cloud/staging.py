"""What a job reads, in S3: each file once, under a key that is its content."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fer.aws.client import AwsClient
from fer.aws.s3 import build_encryption_args, run_in_parallel
from fer.core.archive import iter_files
from fer.core.io import compute_sha256
from fer.errors import DataError

DATA = "/opt/ml/input/data"


@dataclass(frozen=True)
class InputChannel:
    """Something that SageMaker puts into the container: all objects below ``uri``, at ``place``."""

    channel: str
    uri: str
    container_path: str

    @property
    def object_uri(self) -> str:
        """The URI of what is a single file."""
        return (
            self.uri.rstrip("/") + "/" + self.container_path.rpartition("/")[2] if self.uri.endswith("/") else self.uri
        )


class Staging:
    """Puts files into a bucket below a prefix."""

    def __init__(self, calls: AwsClient, bucket: str, prefix: str, kms_key: str | None) -> None:
        self.calls, self.bucket, self.prefix = calls, bucket, prefix
        self.encryption = build_encryption_args(kms_key)

    def build_uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}/{key}"

    def put(self, path: Path, key: str) -> str:
        """Upload a file; its URI. Raises CloudError."""
        self.calls.upload(path, self.bucket, f"{self.prefix}/{key}", **self.encryption)
        return self.build_uri(key)

    def upload_once(self, path: Path, channel: str) -> InputChannel:
        """A file or directory, uploaded where the bucket does not have just this content. Raises UserError."""
        files = dict(iter_files(path)) if path.is_dir() else {path.name: path}
        if not files:
            raise DataError(f"{path}: is empty, so there is nothing to train on")
        digest = hashlib.sha256()
        for name, file in files.items():
            digest.update(f"{compute_sha256(file)}  {name}\n".encode())
        folder = f"inputs/{digest.hexdigest()[:32]}"
        existing = self.calls.list_object_sizes(self.bucket, f"{self.prefix}/{folder}/")
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
        """What stands in S3 already: an object, or a folder. Raises UserError."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if self.calls.dry_run:
            # Nothing is asked: what has an extension is taken for a file.
            single = "." in key.rpartition("/")[2]
        else:
            keys = self.calls.list_object_sizes(bucket, key)
            single = key in keys and not key.endswith("/")
            if not single and not any(name.startswith(key.rstrip("/") + "/") for name in keys):
                raise DataError(f"{uri}: there is no such object or folder in S3")
        if single:
            return InputChannel(channel, uri, f"{DATA}/{channel}/{key.rpartition('/')[2]}")
        return InputChannel(channel, uri.rstrip("/") + "/", f"{DATA}/{channel}")

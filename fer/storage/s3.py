"""Amazon's S3 as a store of objects, by the client that all requests to AWS go through."""

from collections.abc import Iterator
from pathlib import Path

from typing_extensions import override

from fer.aws.client import AwsClient
from fer.aws.s3 import build_encryption_args, check_bucket_private
from fer.storage.base import ObjectStore, StoredObject


class S3Store(ObjectStore):
    """S3.

    Args:
        client: Client for AWS.
        kms_key: KMS key that objects are encrypted with; None takes S3's own.
    """

    scheme = "s3"

    def __init__(self, client: AwsClient, kms_key: str | None = None) -> None:
        self.client = client
        self.encryption = build_encryption_args(kms_key)

    @override
    def iter_objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        for entry in self.client.iter_objects(bucket, prefix):
            yield StoredObject(entry["Key"], entry["Size"], entry["ETag"])

    @override
    def download(self, bucket: str, key: str, path: Path) -> None:
        self.client.download(bucket, key, path)

    @override
    def upload(self, path: Path, bucket: str, key: str) -> None:
        self.client.upload(path, bucket, key, **self.encryption)

    @override
    def check_private(self, bucket: str, key: str) -> None:
        check_bucket_private(self.client, bucket, key)

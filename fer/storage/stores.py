"""The one place that chooses the store of an address."""

from collections.abc import Callable
from pathlib import Path

from fer.aws.client import AwsClient
from fer.core.object_uri import get_scheme, split_object_uri
from fer.storage.base import ObjectStore
from fer.storage.s3 import S3Store


class ObjectStores:
    """The stores that a program needs, each opened when its first address comes.

    Args:
        region: AWS region of objects in S3; None takes the environment's.
        client: Client for AWS; by default a new one, where an address of S3 comes.
        kms_key: KMS key that objects put into S3 are encrypted with; None takes S3's own.

    Examples:
        >>> stores = ObjectStores()
        >>> stores.download("gs://faces/study1/a.mp4", Path("a.mp4"))
    """

    def __init__(self, region: str | None = None, client: AwsClient | None = None, kms_key: str | None = None) -> None:
        self.region, self.client, self.kms_key = region, client, kms_key
        self._open: dict[str, ObjectStore] = {}

    @property
    def is_dry_run(self) -> bool:
        """Whether requests to AWS are recorded instead of sent, so that answers say nothing."""
        return self.client is not None and self.client.dry_run

    def get(self, uri: str) -> ObjectStore:
        """Return the store that an address is of. Raises UserError where it cannot be used."""
        scheme = get_scheme(uri)
        if scheme not in self._open:
            self._open[scheme] = STORES[scheme](self)
        return self._open[scheme]

    def download(self, uri: str, path: Path) -> None:
        """Write the object at an address to ``path``, whole or not at all. Raises UserError."""
        self.get(uri).download(*split_object_uri(uri), path)

    def upload(self, path: Path, uri: str) -> None:
        """Store a file at an address, whole or not at all. Raises UserError."""
        self.get(uri).upload(path, *split_object_uri(uri))


def _open_s3(stores: ObjectStores) -> ObjectStore:
    return S3Store(stores.client or AwsClient(stores.region), stores.kms_key)


def _open_google(_: ObjectStores) -> ObjectStore:
    # Google's libraries are not installed everywhere, and take a second to import.
    from fer.storage.google import GoogleStore

    return GoogleStore()


# By the scheme of addresses: those of fer.core.object_uri.SERVICES.
STORES: dict[str, Callable[[ObjectStores], ObjectStore]] = {"s3": _open_s3, "gs": _open_google}

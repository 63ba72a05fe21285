"""The interface of a store of objects."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class StoredObject:
    """An object in a bucket.

    Args:
        key: Its name in the bucket.
        size: Bytes.
        version: Another text wherever another content was stored under the key.
    """

    key: str
    size: int
    version: str


class ObjectStore(ABC):
    """Buckets of one service. Every method may raise UserError, a sentence that names the object or the bucket.

    A new service is a subclass in a file of its own, a line in ``fer.storage.stores`` and its scheme in
    ``fer.core.object_uri``.

    Attributes:
        scheme: What its addresses begin with, before ``://``.
    """

    scheme: ClassVar[str]

    @abstractmethod
    def iter_objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Yield each object whose key begins with ``prefix``, in the order of keys."""

    @abstractmethod
    def download(self, bucket: str, key: str, path: Path) -> None:
        """Write an object's bytes as they are stored to ``path``, whole and checked, or not at all."""

    @abstractmethod
    def upload(self, path: Path, bucket: str, key: str) -> None:
        """Store a file as an object, whole or not at all; a large one goes in parts."""

    @abstractmethod
    def check_private(self, bucket: str, key: str) -> None:
        """Refuse a bucket that strangers can read, that does not exist, or of which this cannot be found out.

        Args:
            bucket: Name of the bucket.
            key: The key of the configuration with its value, which named it; messages begin with it.
        """

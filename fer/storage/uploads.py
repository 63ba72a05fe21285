"""Results in a folder of a bucket."""

from collections.abc import Mapping
from pathlib import Path

from fer.core.object_uri import split_object_uri
from fer.errors import PreconditionError
from fer.storage.stores import ObjectStores
from fer.storage.transfers import run_in_parallel


def check_folder(stores: ObjectStores, folder: str, key: str, is_new: bool) -> None:
    """Check before hours of work that results may go into a folder.

    Args:
        stores: Where buckets are asked.
        folder: Its address, SCHEME://BUCKET/FOLDER.
        key: The key of the configuration that names it.
        is_new: Whether it must not hold anything yet.

    Raises:
        UserError: The bucket is public or does not exist, or the service refuses.
        PreconditionError: It is to be new, and holds objects.
    """
    named, (bucket, prefix) = f"{key}={folder}", split_object_uri(folder)
    store = stores.get(folder)
    store.check_private(bucket, named)
    if is_new and next(iter(store.iter_objects(bucket, f"{prefix}/")), None) is not None:
        raise PreconditionError(f"{named}: holds objects already; name another folder")


def upload_files(stores: ObjectStores, files: Mapping[str, Path], folder: str, last: str) -> None:
    """Put files into a folder of a bucket, each whole or not at all.

    Args:
        stores: Where buckets are asked.
        files: The files by their names in the folder.
        folder: Its address, SCHEME://BUCKET/FOLDER.
        last: Name of the file that goes last: where it is there, all are.

    Raises:
        UserError: The service refuses or cannot be reached.
    """
    others = [name for name in files if name != last]
    run_in_parallel(lambda name: stores.upload(files[name], f"{folder}/{name}"), others, "Uploading")
    stores.upload(files[last], f"{folder}/{last}")

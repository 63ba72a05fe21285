"""What an address of a bucket means: one object, or a folder with all below it."""

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

from fer.core.file_tree import is_hidden
from fer.core.object_uri import split_object_uri
from fer.storage.base import ObjectStore, StoredObject

# What Hadoop's jobs leave beside their results, besides what is hidden on this machine too.
JOB_MARK = "_SUCCESS"
MAX_LISTED = 5
log = logging.getLogger(__name__)


def find_objects(store: ObjectStore, uri: str) -> list[StoredObject]:
    """List what SCHEME://BUCKET/KEY names: the object KEY or, where there is none, the folder KEY/ with all below.

    Objects beside it whose names only begin so are others. Hidden ones are a file manager's or a job's: they are left
    out, and counted in the log.

    Args:
        store: The store of the address's scheme.
        uri: The address; SCHEME://BUCKET is the whole bucket.

    Returns:
        The objects; none where there is nothing.

    Raises:
        UserError: The service refused or did not answer, or the address names no bucket.
    """
    bucket, key = split_object_uri(uri)
    if key and not key.endswith("/"):
        # Of all keys that begin so, this one comes first.
        first = next(iter(store.iter_objects(bucket, key)), None)
        if first is not None and first.key == key:
            return [first]
    folder = f"{key.rstrip('/')}/" if key else ""
    found, hidden = [], []
    for item in store.iter_objects(bucket, folder):
        name = item.key.removeprefix(folder)
        if _stands_for_folder(name):
            continue
        if _is_hidden(name):
            hidden.append(name)
        else:
            found.append(item)
    if hidden:
        log.warning("%s: %d objects are hidden: not used: %s", uri, len(hidden), format_examples(hidden))
    return found


def format_examples(names: Sequence[str]) -> str:
    """The first few of many names, for the log."""
    return ", ".join([*names[:MAX_LISTED], *["…"] * (len(names) > MAX_LISTED)])


def _stands_for_folder(name: str) -> bool:
    """Whether an object is no file but what consoles and Hadoop put where a folder is to be seen."""
    return name == "" or name.endswith(("/", "_$folder$"))


def _is_hidden(name: str) -> bool:
    """Whether the name of an object below a folder is hidden; `.` and `..` are names like others in a bucket."""
    parts = [part for part in name.split("/") if part.strip(".")]
    return JOB_MARK in parts or any(is_hidden(PurePosixPath(part)) for part in parts)

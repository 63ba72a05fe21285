"""Videos and images that a run looks at: files of this machine, and objects of buckets, fetched one at a time."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer.config import Config
from fer.core.documents import read_json
from fer.core.installation import format_command
from fer.core.io import write_text
from fer.core.object_uri import get_scheme, is_object_uri, map_uri_to_path, refuse_azure, split_object_uri
from fer.core.run_layout import FORGET_JSON, PARTS_DIR
from fer.errors import DataError, PreconditionError, UserError, shorten_error
from fer.storage.listing import find_objects, format_examples
from fer.storage.stores import ObjectStores
from fer.video.media import Media, check_input_is_there, find_media, get_media_kind, is_media, make_unique_names

FETCHED = "fetched"
MEDIA = "media.json"
# Paths of files that are neither, in provenance.json.
MAX_KEPT = 1000
log = logging.getLogger(__name__)


def list_inputs(config: Config) -> tuple[str, ...]:
    """What ``extraction.input`` names, one or several; of a study the recordings that have consent."""
    if config.extraction.study is not None:
        # It reads videos, and few runs have one.
        from fer.infer.study_inputs import list_inputs_of_file

        return list_inputs_of_file(config.extraction.study)
    value = config.extraction.input
    return () if value is None else (value,) if isinstance(value, str) else value


def check_inputs_are_there(config: Config) -> None:
    """Check that each file and directory of ``extraction.input`` exists; nothing is looked into. Raises DataError."""
    if config.extraction.study is None:
        for uri in list_inputs(config):
            if not is_object_uri(uri):
                refuse_azure(uri)
                check_input_is_there(uri)


def resolve_media(
    inputs: Sequence[str], directory: Path, stores: ObjectStores, left_out: list[str] | None = None
) -> list[Media]:
    """Find the videos and images that the inputs mean.

    Args:
        inputs: Files, directories, globs, and objects or folders of buckets (s3://BUCKET/FOLDER, gs://…).
        directory: The run directory, into which those of buckets will be fetched.
        stores: Where buckets are asked.
        left_out: Gets the paths and addresses of files that are no video and no image.

    Returns:
        Those of this machine first, all under different names.

    Raises:
        UserError: An input gives nothing, or a bucket refuses.
    """
    for uri in inputs:
        refuse_azure(uri)
    local = [uri for uri in inputs if not is_object_uri(uri)]
    left_out = [] if left_out is None else left_out
    media = find_media(local, left_out) if local else []
    remote: dict[Path, str] = {}
    for prefix in inputs:
        if is_object_uri(prefix):
            remote |= {
                directory / FETCHED / map_uri_to_path(uri): uri for uri in _list_media_uris(stores, prefix, left_out)
            }
    if not remote:
        return media
    media += [Media(path, path.name, get_media_kind(path), uri) for path, uri in remote.items()]
    names = make_unique_names([item.path for item in media])
    return [Media(item.path, name, item.kind, item.remote) for item, name in zip(media, names, strict=True)]


def _list_media_uris(stores: ObjectStores, uri: str, left_out: list[str]) -> list[str]:
    """The videos and images that SCHEME://BUCKET/KEY names, an object or a folder. Raises UserError.

    Addresses of other objects are appended to ``left_out``.
    """
    bucket, _ = split_object_uri(uri)
    keys, unused = [], []
    for item in find_objects(stores.get(uri), uri):
        name = item.key.rpartition("/")[2]
        if is_media(Path(name)):
            keys.append(item.key)
        else:
            unused.append(name)
            left_out.append(f"{get_scheme(uri)}://{bucket}/{item.key}")
    if unused:
        # Only names are known: looking into each would fetch it.
        log.warning(
            "%s: %d objects are no video or image by their suffix: not used: %s",
            *(uri, len(unused), format_examples(unused)),
        )
    if not keys and not stores.is_dry_run:
        raise DataError(f"{uri}: no video or image there")
    return [f"{get_scheme(uri)}://{bucket}/{key}" for key in keys]


def describe_left_out(paths: Sequence[str]) -> dict[str, Any]:
    """What provenance.json keeps of the files beside a run's videos and images: how many, and the first of them."""
    return {"unused_files": {"count": len(paths), "paths": list(paths[:MAX_KEPT])}} if paths else {}


def save_media(media: Sequence[Media], run_directory: Path) -> None:
    """Keep in a run what it looks at, for when it is resumed."""
    content = [{"path": str(item.path), "name": item.name, "kind": item.kind, "remote": item.remote} for item in media]
    write_text(run_directory / PARTS_DIR / MEDIA, json.dumps(content, indent=2) + "\n")


def load_media(run_directory: Path, forgetting: bool = False) -> list[Media]:
    """What an earlier run looks at.

    Args:
        run_directory: The run.
        forgetting: Read it also while somebody is being forgotten.

    Raises:
        UserError: There is no run to go on with, or somebody is half forgotten in it.
    """
    if (run_directory / FORGET_JSON).exists() and not forgetting:
        raise UserError(
            f"{run_directory}: forgetting a respondent was interrupted; finish it with "
            f"`{format_command('fer.privacy.forget')} {run_directory}`"
        )
    path = run_directory / PARTS_DIR / MEDIA
    if not path.is_file():
        raise PreconditionError(f"resume={run_directory}: holds no run of infer.py that could go on")
    try:
        content = read_json(path)
        return [_parse_media(item, run_directory) for item in content]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is damaged ({shorten_error(error)}); start a new run") from None


def _parse_media(item: dict[str, Any], run_directory: Path) -> Media:
    """An entry of media.json. Raises KeyError, TypeError, ValueError for what is none."""
    path, name, kind, remote = (item[key] for key in ("path", "name", "kind", "remote"))
    if not all(isinstance(value, str) for value in (path, name, remote)) or kind not in ("video", "image"):
        raise ValueError("an entry names no video or image")
    # What is fetched is removed again: that must be no other file.
    return Media(run_directory / FETCHED / map_uri_to_path(remote) if remote else Path(path), name, kind, remote)


class MediaFetcher:
    """Provides the file of each item while it is read.

    Args:
        region: AWS region of objects in S3; None takes the environment's.
        keep: Whether files from buckets stay; otherwise each is removed when it was read.
    """

    def __init__(self, region: str | None, keep: bool) -> None:
        self.stores, self.keep = ObjectStores(region), keep

    @contextmanager
    def __call__(self, item: Media) -> Iterator[None]:
        """Have the file of ``item`` on this machine for as long as the block lasts. Raises UserError."""
        if not item.remote:
            yield
            return
        if not item.path.is_file():
            self.stores.download(item.remote, item.path)
        try:
            yield
        finally:
            if not self.keep:
                item.path.unlink(missing_ok=True)

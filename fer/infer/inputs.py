"""Videos and images that a run looks at: files of this machine, and objects of S3 that are fetched one at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fer.aws.client import AwsClient
from fer.aws.s3 import map_uri_to_path, parse_s3_uri
from fer.config import Config
from fer.errors import DataError
from fer.video.media import Media, find_media, get_media_kind, is_media, make_unique_names

FETCHED = "fetched"


def list_inputs(config: Config) -> tuple[str, ...]:
    value = config.extraction.input
    return () if value is None else (value,) if isinstance(value, str) else value


def resolve_media(inputs: Sequence[str], directory: Path, client: AwsClient | None) -> list[Media]:
    """What the inputs mean, files first; ``calls`` lists those of S3. Raises UserError."""
    local = [given for given in inputs if not given.startswith("s3://")]
    media = find_media(local) if local else []
    remote: dict[Path, str] = {}
    for given in inputs:
        if given.startswith("s3://") and client is not None:
            remote |= {directory / FETCHED / map_uri_to_path(uri): uri for uri in _list_media_uris(client, given)}
    media += [Media(path, path.name, get_media_kind(path), uri) for path, uri in remote.items()]
    names = make_unique_names([item.path for item in media])
    return [Media(item.path, name, item.kind, item.remote) for item, name in zip(media, names, strict=True)]


def _list_media_uris(client: AwsClient, uri: str) -> list[str]:
    """The videos and images among the objects that begin with s3://BUCKET/PREFIX. Raises UserError."""
    bucket, prefix = parse_s3_uri(uri)
    keys = [key for key in client.list_object_sizes(bucket, prefix) if is_media(Path(key.rpartition("/")[2]))]
    if not keys and not client.dry_run:
        raise DataError(f"{uri}: no video or image there")
    return [f"s3://{bucket}/{key}" for key in keys]


class MediaFetcher:
    """Has the file of each item at hand while it is read; one from S3 is removed afterwards, unless it is ``kept``."""

    def __init__(self, region: str | None, kept: bool) -> None:
        self.region, self.kept = region, kept
        self.client: AwsClient | None = None

    @contextmanager
    def __call__(self, item: Media) -> Iterator[None]:
        if not item.remote:
            yield
            return
        if self.client is None:
            self.client = AwsClient(self.region)
        if not item.path.is_file():
            self.client.download(*parse_s3_uri(item.remote), item.path)
        try:
            yield
        finally:
            if not self.kept:
                item.path.unlink(missing_ok=True)

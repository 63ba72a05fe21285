"""Videos and images that a run looks at: files of this machine, and objects of S3 that are fetched one at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fer.aws.client import AwsCalls
from fer.aws.s3 import bucket_and_key, place_of
from fer.config import Config
from fer.errors import DataError
from fer.video.media import Media, distinct_names, find_media, kind_of, known

FETCHED = "fetched"


def inputs_of(config: Config) -> tuple[str, ...]:
    chosen = config.extraction.input
    return () if chosen is None else (chosen,) if isinstance(chosen, str) else chosen


def media_of(inputs: Sequence[str], directory: Path, calls: AwsCalls | None) -> list[Media]:
    """What the inputs mean, files first; ``calls`` lists those of S3. Raises UserError."""
    local = [given for given in inputs if not given.startswith("s3://")]
    media = find_media(local) if local else []
    remote: dict[Path, str] = {}
    for given in inputs:
        if given.startswith("s3://") and calls is not None:
            remote |= {directory / FETCHED / place_of(uri): uri for uri in listed(calls, given)}
    media += [Media(path, path.name, kind_of(path), uri) for path, uri in remote.items()]
    names = distinct_names([item.path for item in media])
    return [Media(item.path, name, item.kind, item.remote) for item, name in zip(media, names, strict=True)]


def listed(calls: AwsCalls, uri: str) -> list[str]:
    """The videos and images among the objects that begin with s3://BUCKET/PREFIX. Raises UserError."""
    bucket, prefix = bucket_and_key(uri)
    wanted = [key for key in calls.objects(bucket, prefix) if known(Path(key.rpartition("/")[2]))]
    if not wanted and not calls.dry_run:
        raise DataError(f"{uri}: no video or image there")
    return [f"s3://{bucket}/{key}" for key in wanted]


class Fetching:
    """Has the file of each item at hand while it is read; one from S3 is removed afterwards, unless it is ``kept``."""

    def __init__(self, region: str | None, kept: bool) -> None:
        self.region, self.kept = region, kept
        self.calls: AwsCalls | None = None

    @contextmanager
    def __call__(self, item: Media) -> Iterator[None]:
        if not item.remote:
            yield
            return
        if self.calls is None:
            self.calls = AwsCalls(self.region)
        if not item.path.is_file():
            self.calls.download(*bucket_and_key(item.remote), item.path)
        try:
            yield
        finally:
            if not self.kept:
                item.path.unlink(missing_ok=True)

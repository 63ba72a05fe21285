"""What a training reads: data sets and weights at the places of this machine, fetched once where they stand in S3."""

import hashlib
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fer.aws.client import AwsCalls
from fer.aws.s3 import bucket_and_key, in_parallel, place_of
from fer.config import Config
from fer.core.io import written_beside
from fer.core.path_map import here
from fer.data.image_store import Store, open_store
from fer.data.manifest import Manifest, build_manifest
from fer.data.sources import Source, label_rules, read_source
from fer.errors import DataError
from fer.registry.resolve import region_of
from fer.runs.run_directory import Run

FETCHED = "s3"
log = logging.getLogger(__name__)


def sources_of(config: Config) -> list[Source]:
    """The data sets of a configuration, read. Raises UserError."""
    sources = []
    for name, spec in config.dataset.sources.items():
        options = spec.model_dump()
        if "root" in options:
            options["root"] = at_hand(options["root"], config)
        sources.append(read_source(name, **options))
    return sources


def at_hand(path: str, config: Config) -> str:
    """The place on this machine of a path or s3:// URI of the configuration. Raises UserError."""
    place = here(path)
    return str(fetched(place, config)) if place.startswith("s3://") else place


def fetched(uri: str, config: Config) -> Path:
    """The object of s3://BUCKET/KEY, or all below it, in the cache; what changes in the bucket is fetched anew."""
    calls = AwsCalls(region_of(config))
    bucket, key = bucket_and_key(uri)
    # Keys that end with a slash are what the console shows as empty folders.
    versions = {item["Key"]: item["ETag"] for item in calls.listed(bucket, key) if not item["Key"].endswith("/")}
    # An object of just this name, or a folder; not what else begins so.
    folder = key.rstrip("/") + "/"
    wanted = sorted(name for name in versions if name == key or (key not in versions and name.startswith(folder)))
    if not wanted:
        raise DataError(f"{uri}: there is no such object or folder in S3")
    content = hashlib.sha256("".join(f"{name}\0{versions[name]}\n" for name in wanted).encode()).hexdigest()
    cache = Path(config.dataset.cache_dir).absolute() / FETCHED / content[:20]
    if not cache.is_dir():
        log.info("Fetching %s once into %s", uri, cache)
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent, prefix=f".{cache.name}-") as unfinished:
            whole = Path(unfinished) / "whole"
            in_parallel(lambda name: calls.download(bucket, name, whole / place_of(name)), wanted, "Fetching")
            try:
                whole.rename(cache)
            except OSError:
                # Another program fetched the same in the meantime.
                if not cache.is_dir():
                    raise
    return cache / place_of(key.rstrip("/"))


@dataclass(frozen=True)
class PreparedData:
    """Decoded images, what is used of them and how, and ``notes`` on the sources for people."""

    store: Store
    manifest: Manifest
    notes: list[str]


def prepare_data(config: Config, largest_side: int) -> PreparedData:
    """Read, decode, check and split the data. Raises UserError."""
    chosen = config.dataset
    specs = {name: spec.model_dump() for name, spec in chosen.sources.items()}
    sources = sources_of(config)
    notes = [f"{source.name}: {note}" for source in sources for note in source.notes]
    for note in notes:
        log.info("Source %s", note)
    store = open_store(sources, largest_side, chosen.cache_dir)
    manifest = build_manifest(
        sources,
        store,
        label_rules(specs),
        classes=chosen.classes,
        split=chosen.split,
        fractions=chosen.fractions,
        on_leak=chosen.on_leak,
        near_duplicate_bits=chosen.near_duplicate_bits,
        on_corrupt=chosen.on_corrupt,
        on_empty_class=chosen.on_empty_class,
        balance=chosen.balance,
        limit=chosen.limit,
        seed=config.seed,
    )
    return PreparedData(store, manifest, notes)


def record_data(run: Run, data: PreparedData) -> None:
    """Write manifest.parquet and exclusions.parquet, and what the data are into the provenance."""
    run.note(data_fingerprint=data.store.fingerprint, data_notes=data.notes)
    for name, table in (("manifest.parquet", data.manifest.samples), ("exclusions.parquet", data.manifest.excluded)):
        with written_beside(run.directory / name) as beside:
            table.to_parquet(beside, index=False)

"""The inputs of a training: data sets and weights on this machine, downloaded once where they are in a bucket."""

import hashlib
import logging
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from fer.config import Config
from fer.config.dataset import list_source_paths
from fer.core.io import atomic_write
from fer.core.object_uri import SERVICES, get_scheme, is_object_uri, map_key_to_path, split_object_uri
from fer.core.path_map import map_path
from fer.core.run_layout import EXCLUSIONS_PARQUET, MANIFEST_PARQUET
from fer.data.clip_store import open_clip_store
from fer.data.exclude import read_excluded
from fer.data.image_store import ImageStore, open_image_store
from fer.data.joined_sources import check_source_problems, check_subjects
from fer.data.manifest import Manifest, ManifestConfig, build_manifest
from fer.data.sources import Source, collect_label_rules, read_source
from fer.errors import DataError
from fer.registry.resolve import open_stores
from fer.runs.run_directory import Run
from fer.storage.listing import find_objects
from fer.storage.transfers import run_in_parallel
from fer.train.clip_extraction import build_clip_options, describe_people

log = logging.getLogger(__name__)


def read_sources(config: Config) -> list[Source]:
    """Read the data sets of a configuration.

    Args:
        config: The configuration; roots in a bucket are downloaded into its cache.

    Raises:
        UserError: A data set is missing, broken or laid out otherwise than expected.
    """
    sources = []
    for name, spec in config.dataset.sources.items():
        options = spec.model_dump()
        for key, path in list_source_paths(spec).items():
            options[key] = localize(path, config)
        sources.append(read_source(name, **options))
    return sources


def localize(path: str, config: Config) -> str:
    """Return the path on this machine of a path, or of an address of a bucket, in the configuration.

    Args:
        path: The path; what is in a bucket is downloaded once.
        config: The configuration, for the cache and the region of AWS.

    Raises:
        UserError: The bucket does not hold it, or cannot be reached.
    """
    local_path = map_path(path)
    return str(_download(local_path, config)) if is_object_uri(local_path) else local_path


def _download(uri: str, config: Config) -> Path:
    """Path in the cache of SCHEME://BUCKET/KEY or all below it; what has changed there is downloaded again."""
    store, scheme = open_stores(config).get(uri), get_scheme(uri)
    bucket, key = split_object_uri(uri)
    versions = {item.key: item.version for item in find_objects(store, uri)}
    keys = sorted(versions)
    if not keys:
        raise DataError(f"{uri}: there is no such object or folder in {SERVICES[scheme]}")
    content = hashlib.sha256("".join(f"{name}\0{versions[name]}\n" for name in keys).encode()).hexdigest()
    cache = Path(config.dataset.cache_dir).absolute() / scheme / content[:20]
    if not cache.is_dir():
        log.info("Fetching %s once into %s", uri, cache)
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent, prefix=f".{cache.name}-") as temp_dir:
            download_dir = Path(temp_dir) / "whole"
            run_in_parallel(
                lambda name: store.download(bucket, name, download_dir / map_key_to_path(name)), keys, "Fetching"
            )
            try:
                download_dir.rename(cache)
            except OSError:
                # Another program has downloaded the same in the meantime.
                if not cache.is_dir():
                    raise
    return cache / map_key_to_path(key.rstrip("/"))


@dataclass(frozen=True)
class PreparedData:
    """The data of a training.

    Attributes:
        store: The decoded images.
        manifest: Which of them are used, with what labels, in which split.
        notes: What a reader must know about the sources.
        sources: The data sets, in the order of the store's rows.
    """

    store: ImageStore
    manifest: Manifest
    notes: list[str]
    sources: list[Source] = field(default_factory=list)


def prepare_data(config: Config, largest_side: int, sources: list[Source] | None = None) -> PreparedData:
    """Read, decode, check and split the data of a configuration.

    Args:
        config: The configuration, of which the section ``dataset`` and the seed count.
        largest_side: Width and height up to which images keep their resolution, pixels.
        sources: The data sets, where they were read already.

    Raises:
        UserError: A data set cannot be read, or breaks a rule of ``dataset``.
    """
    cfg = config.dataset
    specs = {name: spec.model_dump() for name, spec in cfg.sources.items()}
    if sources is None:
        sources = read_sources(config)
    notes = [f"{source.name}: {note}" for source in sources for note in source.notes]
    for note in notes:
        log.info("Source %s", note)
    if cfg.on_corrupt == "error":
        check_source_problems(sources)
    if cfg.split == "subject":
        check_subjects(sources)
    if cfg.has_clips:
        store = open_clip_store(sources, largest_side, cfg.cache_dir, build_clip_options(config))
        notes += describe_people(sources, store)
    else:
        store = open_image_store(sources, largest_side, cfg.cache_dir)
    manifest_config = ManifestConfig(
        label_rules=collect_label_rules(specs),
        classes=cfg.classes,
        split=cfg.split,
        fractions=cfg.fractions,
        on_leak=cfg.on_leak,
        near_duplicate_bits=cfg.near_duplicate_bits,
        on_corrupt=cfg.on_corrupt,
        on_empty_class=cfg.on_empty_class,
        balance=cfg.balance,
        limit=cfg.limit,
        seed=config.seed,
        exclude={} if cfg.exclude is None else read_excluded(Path(localize(cfg.exclude, config))),
        training="fit" in config.trainer.stages,
    )
    return PreparedData(store, build_manifest(sources, store, manifest_config), notes, sources)


def record_data(run: Run, data: PreparedData) -> None:
    """Write manifest.parquet and exclusions.parquet, and fingerprint and notes of the data into the provenance."""
    run.update_provenance(data_fingerprint=data.store.fingerprint, data_notes=data.notes)
    for name, table in ((MANIFEST_PARQUET, data.manifest.samples), (EXCLUSIONS_PARQUET, data.manifest.excluded)):
        with atomic_write(run.directory / name) as temporary:
            table.to_parquet(temporary, index=False)

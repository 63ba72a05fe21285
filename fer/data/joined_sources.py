"""The images of several data sets in one table, and what is wrong with their files."""

from collections.abc import Iterable, Sequence

import pandas as pd

from fer.data.duplicates import group_duplicates
from fer.data.image_store import ImageStore
from fer.data.sources.base import Source
from fer.data.splits import build_subject_error, find_unknown_subjects
from fer.errors import DataError

MAX_LISTED = 5
EXCLUSION_COLUMNS = ["sample_id", "source", "path", "part", "reason"]


def join_samples(sources: Sequence[Source], store: ImageStore, near_duplicate_bits: int) -> pd.DataFrame:
    """Join the tables of all sources, one below the other, beside the store's index and the groups of duplicates."""
    samples = pd.concat([source.table.assign(source=source.name) for source in sources], ignore_index=True)
    samples.insert(0, "sample_id", samples["source"] + "/" + samples["path"])
    samples = samples.join(store.index[["content_hash", "perceptual_hash", "problem"]])
    samples["duplicate_group"] = group_duplicates(store.index, near_duplicate_bits)
    return samples


def join_groups(sources: Sequence[Source]) -> pd.DataFrame:
    """Join the groups of all sources, a row for each of ``join_samples``; no column where no source has any."""
    tables = [pd.DataFrame(index=source.table.index) if source.groups is None else source.groups for source in sources]
    joined = pd.concat(tables, ignore_index=True)
    return joined.where(joined.notna(), None) if joined.columns.size else joined


def list_exclusions(listed: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> pd.DataFrame:
    """List as exclusions what sources have beside their samples: by source, (path, reason) pairs."""
    rows = [(f"{name}/{path}", name, path, "", reason) for name, pairs in listed for path, reason in pairs]
    return pd.DataFrame(rows, columns=EXCLUSION_COLUMNS, dtype=object)


def build_corrupt_error(listed: Sequence[str]) -> DataError:
    """Build the error of images that cannot be used, of which ``listed`` names each with its reason."""
    text = shorten_list(listed, "; ")
    return DataError(f"{text}. Fix them, or set dataset.on_corrupt=skip to list them and go on without")


def shorten_list(items: Sequence[str], separator: str) -> str:
    """Join the first MAX_LISTED items, and say how many more there are."""
    more = f"{separator}and {len(items) - MAX_LISTED} more" if len(items) > MAX_LISTED else ""
    return separator.join(items[:MAX_LISTED]) + more


def check_subjects(sources: Sequence[Source]) -> None:
    """Refuse data for a split by subject of which nobody is known, before anything is decoded. Raises DataError."""
    sample_ids = [f"{source.name}/{path}" for source in sources for path in source.table["path"]]
    unknown = find_unknown_subjects(join_groups(sources))
    if unknown.all() and sample_ids:
        raise build_subject_error(pd.Series(sample_ids), unknown)


def check_source_problems(sources: Sequence[Source]) -> None:
    """Refuse rows and images that do not meet, before anything is decoded. Raises DataError."""
    listed = [f"{source.name}/{path} ({reason})" for source in sources for path, reason in source.problems]
    if listed:
        raise build_corrupt_error(listed)

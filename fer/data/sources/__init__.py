"""Readers of data sets; all return the same table.

To add a data set: write ``read_NAME(name, …) -> Source`` in a file of its own, enter it below, and describe its
keys in ``fer/config/dataset.py`` and its values in ``conf/dataset/``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fer.data.sources.base import Source
from fer.data.sources.clips import read_clips
from fer.data.sources.fer2013 import read_fer2013
from fer.data.sources.ferplus import read_ferplus
from fer.data.sources.image_folder import read_folder
from fer.data.sources.rafdb import read_rafdb
from fer.data.sources.synthetic import read_synthetic
from fer.data.sources.synthetic_clips import read_synthetic_clips
from fer.data.sources.table import read_table
from fer.errors import DataError

READERS: dict[str, Callable[..., Source]] = {
    "ferplus": read_ferplus,
    "rafdb": read_rafdb,
    "fer2013": read_fer2013,
    "folder": read_folder,
    "table": read_table,
    "synthetic": read_synthetic,
    "clips": read_clips,
    "synthetic_clips": read_synthetic_clips,
}

# Keys of a source that say how its votes become labels; the readers do not know them.
RULE_KEYS = frozenset({"label_rule", "eval_label_rule", "contempt"})


def read_source(name: str, kind: str, **options: Any) -> Source:
    """Read a data set with the reader of its kind.

    Args:
        name: Name of the source, the first part of its sample ids.
        kind: A key of ``READERS``.
        options: The other keys of the source's configuration, such as ``root``.

    Raises:
        DataError: The files are missing, laid out differently or malformed, or hold no images.

    Examples:
        >>> source = read_source("faces", "folder", root="faces.zip", class_map={})
        >>> source.table["label"].value_counts()
    """
    source = READERS[kind](name, **{key: value for key, value in options.items() if key not in RULE_KEYS})
    if source.table.empty and not source.problems:
        raise DataError(f"{options['root']}: there are no images for the source {name!r}")
    return source


def collect_label_rules(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Collect the label rules of the sources that have votes, from the configuration of all sources by name."""
    return {name: {key: spec[key] for key in RULE_KEYS} for name, spec in specs.items() if spec.keys() >= RULE_KEYS}


__all__ = ["READERS", "Source", "collect_label_rules", "read_source"]

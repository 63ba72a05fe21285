"""Images that a user leaves out: a list of sample ids, such as label_issues.csv."""

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from fer.core.csv import read_csv
from fer.errors import DataError

KEY = "dataset.exclude"
REASON = f"listed in {KEY}"
log = logging.getLogger(__name__)


def read_excluded(path: Path) -> dict[str, str]:
    """Read the images to leave out.

    Args:
        path: A CSV with a column ``sample_id``, as the manifest has it, and perhaps a column ``reason``.

    Returns:
        Sample id: why it is left out.

    Raises:
        DataError: The file cannot be read, or lacks the column.
    """
    table = read_csv(path, KEY, ["sample_id"], ["reason"])
    if table.empty:
        log.warning("%s=%s: lists no image", KEY, path)
    empty = table.index[table["sample_id"] == ""]
    if len(empty):
        raise DataError(f"{KEY}={path}: line {empty[0]} has no sample_id; name an image, or remove the line")
    return {
        str(sample): f"{REASON}: {reason}" if reason else REASON
        for sample, reason in zip(table["sample_id"], table["reason"], strict=True)
    }


def check_excluded(excluded: Mapping[str, str], samples: pd.Series) -> None:
    """Refuse ids that no image of the sources has: they are of other data, and leaving them out would do nothing.

    Args:
        excluded: As ``read_excluded`` gives them.
        samples: The ids of all images.

    Raises:
        DataError: Names one of them, and the id that is nearest.
    """
    known = set(samples)
    unknown = [sample for sample in excluded if sample not in known]
    if not unknown:
        return
    # A comparison with every id of a large data set would take minutes.
    nearest = get_close_matches(unknown[0], samples.head(2000), n=1, cutoff=0.0)
    example = f"; an id that there is: {nearest[0]}" if nearest else ""
    raise DataError(
        f"{KEY}: {len(unknown)} of {len(excluded)} ids are not among the images of dataset.sources, such as "
        f"{unknown[0]}{example}; list sample_id as manifest.parquet has it (SOURCE/PATH), and no others"
    )

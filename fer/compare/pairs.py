"""Any two runs tested against each other on the images that both judged."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

from fer.compare.ranking import PART_NAMES
from fer.compare.runs import ComparedRun
from fer.core.progress import progress
from fer.errors import first_line
from fer.metrics.bootstrap import Resampled, decisions, difference, resample

KEY = ["sample_id", "label"]


@dataclass(frozen=True)
class Pairs:
    """``table``: a row a pair of runs: first, second (places among the runs), images in common, same_data (None where
    a fingerprint is not known), and unless they share no image accuracy_first, accuracy_second, accuracy_difference,
    accuracy_low, accuracy_high, accuracy_p and the same of macro_f1. ``missing``: why runs cannot be tested, by place.
    """

    table: pd.DataFrame
    missing: dict[int, str]


def compare_pairs(runs: Sequence[ComparedRun], part: str) -> Pairs:
    """Test every pair of runs that have predictions of ``part``, by one paired bootstrap for each set of images."""
    tables, missing = {}, {}
    for place, run in enumerate(runs):
        try:
            tables[place] = read_decisions(run, part)
        except ValueError as error:
            missing[place] = str(error)
    # Runs that judged the same images are resampled together, which is much faster than pair by pair.
    alike: dict[bytes, list[int]] = {}
    for place, table in tables.items():
        hashes = pd.util.hash_pandas_object(table[KEY], index=False).to_numpy()
        alike.setdefault(hashlib.sha256(hashes.tobytes()).digest(), []).append(place)
    tests = list(combinations_with_replacement(alike.values(), 2))
    rows: list[dict[str, float]] = []
    for first, second in progress(tests, len(tests), "Comparing", "sets of images"):
        rows += pairs_of(tables, first, second)
    found = pd.DataFrame(rows).sort_values(["first", "second"], ignore_index=True) if rows else pd.DataFrame()
    prints = [run.facts.get("data_fingerprint") for run in runs]
    if rows:
        found["same_data"] = [
            None if None in (prints[one], prints[two]) else prints[one] == prints[two]
            for one, two in zip(found["first"], found["second"], strict=True)
        ]
    return Pairs(found, missing)


def read_decisions(run: ComparedRun, part: str) -> pd.DataFrame:
    """sample_id, label and predicted of each image, in order. Raises ValueError that says what is wrong."""
    path = run.directory / f"predictions_{part}.parquet"
    if not path.exists():
        raise ValueError(f"has no predictions of {PART_NAMES[part]}")
    try:
        table = pd.read_parquet(path)
        found = decisions(table.astype({"sample_id": str, "label": str}), "sample_id")
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise ValueError(f"{path.name} cannot be read ({first_line(error)})") from None
    if found.empty:
        raise ValueError(f"{path.name} holds no images")
    return found.sort_values(KEY, ignore_index=True)


def pairs_of(tables: dict[int, pd.DataFrame], first: list[int], second: list[int]) -> list[dict[str, float]]:
    """The rows of all pairs of one run of ``first`` and one of ``second``, each a list of runs with the same images."""
    members = first if first is second else [*first, *second]
    common = tables[first[0]][KEY]
    if first is not second:
        common = common.merge(tables[second[0]][KEY], on=KEY)
    wanted = [
        (one, two) if one < two else (two, one)
        for number, one in enumerate(first)
        for two in (first[number + 1 :] if first is second else second)
    ]
    if not wanted:
        return []
    if common.empty:
        return [{"first": one, "second": two, "images": 0} for one, two in wanted]
    # Tables of the same images are in the same order already.
    alike = (tables[place] if len(tables[place]) == len(common) else common.merge(tables[place]) for place in members)
    samples = resample(common["label"].to_numpy(), np.column_stack([table["predicted"].to_numpy() for table in alike]))
    return tested(samples, {place: column for column, place in enumerate(members)}, wanted, len(common))


def tested(
    samples: Resampled, column: dict[int, int], wanted: list[tuple[int, int]], images: int
) -> list[dict[str, float]]:
    """Rows of the pairs ``wanted``, whose runs are the columns of ``samples``."""
    rows = []
    others: dict[int, list[int]] = {}
    for one, two in wanted:
        others.setdefault(one, []).append(two)
    for one, opposite in others.items():
        block: list[dict[str, float]] = [{"first": one, "second": two, "images": images} for two in opposite]
        for name, figure in (("accuracy", samples.accuracy), ("macro_f1", samples.macro_f1)):
            found = difference(figure[:, column[one]], figure[:, [column[two] for two in opposite]])
            for place, row in enumerate(block):
                row[f"{name}_first"] = float(figure[0, column[one]])
                row[f"{name}_second"] = float(figure[0, column[opposite[place]]])
                row[f"{name}_difference"] = float(found.value[place])
                row[f"{name}_low"], row[f"{name}_high"] = float(found.low[place]), float(found.high[place])
                row[f"{name}_p"] = float(found.p[place])
        rows += block
    return rows

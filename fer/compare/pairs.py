"""Paired tests of any two runs on the images that both classified."""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

from fer.compare.comparability import describe_data, find_differences
from fer.compare.ranking import SPLIT_NAMES
from fer.compare.runs import ComparedRun
from fer.core.parquet import read_parquet
from fer.core.progress import track_progress
from fer.core.run_layout import format_predictions_name
from fer.errors import shorten_error
from fer.metrics.bootstrap import (
    PAIRED_METRICS,
    BootstrapMetrics,
    compute_paired_difference,
    extract_predictions,
    resample_metrics,
)

SAMPLE_KEY = ["sample_id", "label"]
# Pairs grow with the square: those of a thousand runs would take minutes and hundreds of megabytes. Of more runs than
# all of which are tested, those at the top of the table are; what is read of so many are the best.
MAX_RUNS, MAX_TESTED_OF_MORE = 200, 100


@dataclass(frozen=True)
class PairedTests:
    """Results of testing every pair of runs.

    Attributes:
        table: A row a pair: `first`, `second` (indices of the runs), `images` in common, `same_data` (None where a
            fingerprint is not known), `differences` (in what data and labels differ, empty where in nothing), and
            unless they share no image `accuracy_first`, `accuracy_second`, `accuracy_difference`, `accuracy_low`,
            `accuracy_high`, `accuracy_p` and the same of `balanced_accuracy` and `macro_f1`.
        untested: Why a run cannot be tested, by its index.
    """

    table: pd.DataFrame
    untested: dict[int, str]


def compare_pairs(runs: Sequence[ComparedRun], split: str) -> PairedTests:
    """Test every pair of runs that have predictions of ``split``, by one paired bootstrap for each set of images.

    Args:
        runs: Best first; of more than MAX_RUNS the first MAX_TESTED_OF_MORE are tested.
        split: "val" or "test".
    """
    tables = {}
    count = len(runs) if len(runs) <= MAX_RUNS else MAX_TESTED_OF_MORE
    reason = f"is not among the first {count} of {len(runs)} runs; compare at most {MAX_RUNS} to test it"
    untested = dict.fromkeys(range(count, len(runs)), reason)
    for index, run in enumerate(runs[:count]):
        try:
            tables[index] = _read_decisions(run, split)
        except ValueError as error:
            untested[index] = str(error)
    # Runs that classified the same images are resampled together, which is much faster than pair by pair.
    groups_by_images: dict[bytes, list[int]] = {}
    for index, table in tables.items():
        hashes = pd.util.hash_pandas_object(table[SAMPLE_KEY], index=False).to_numpy()
        groups_by_images.setdefault(hashlib.sha256(hashes.tobytes()).digest(), []).append(index)
    tests = list(combinations_with_replacement(groups_by_images.values(), 2))
    rows: list[dict[str, float]] = []
    for first, second in track_progress(tests, len(tests), "Comparing", "sets of images"):
        rows += _build_pair_rows(tables, first, second)
    result = pd.DataFrame(rows).sort_values(["first", "second"], ignore_index=True) if rows else pd.DataFrame()
    fingerprints = [run.facts.get("data_fingerprint") for run in runs]
    if rows:
        result["same_data"] = [
            None if None in (fingerprints[one], fingerprints[two]) else fingerprints[one] == fingerprints[two]
            for one, two in zip(result["first"], result["second"], strict=True)
        ]
        data = [describe_data(run, split) for run in runs]
        # Most runs are of the same data, and asking takes long.
        found: dict[tuple[Hashable, Hashable], str] = {}
        for one, two in zip(result["first"], result["second"], strict=True):
            if (data[one], data[two]) not in found:
                found[data[one], data[two]] = ", ".join(find_differences([runs[one], runs[two]], split))
        result["differences"] = [
            found[data[one], data[two]] for one, two in zip(result["first"], result["second"], strict=True)
        ]
    return PairedTests(result, untested)


def _read_decisions(run: ComparedRun, split: str) -> pd.DataFrame:
    """Read sample_id, label and predicted of each image, in order. Raises ValueError that says what is wrong."""
    path = run.directory / format_predictions_name(split)
    if not path.exists():
        raise ValueError(f"has no predictions of {SPLIT_NAMES[split]}")
    try:
        table = read_parquet(path)
        result = extract_predictions(table.astype({"sample_id": str, "label": str}), "sample_id")
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise ValueError(f"{path.name} cannot be read ({shorten_error(error)})") from None
    if result.empty:
        raise ValueError(f"{path.name} holds no images")
    return result.sort_values(SAMPLE_KEY, ignore_index=True)


def _build_pair_rows(tables: dict[int, pd.DataFrame], first: list[int], second: list[int]) -> list[dict[str, float]]:
    """Build the rows of all pairs between ``first`` and ``second``, each a list of runs with the same images."""
    members = first if first is second else [*first, *second]
    common = tables[first[0]][SAMPLE_KEY]
    if first is not second:
        common = common.merge(tables[second[0]][SAMPLE_KEY], on=SAMPLE_KEY)
    pairs = [
        (one, two) if one < two else (two, one)
        for number, one in enumerate(first)
        for two in (first[number + 1 :] if first is second else second)
    ]
    if not pairs:
        return []
    if common.empty:
        return [{"first": one, "second": two, "images": 0} for one, two in pairs]
    # Tables of the same images are in the same order already.
    aligned = (tables[index] if len(tables[index]) == len(common) else common.merge(tables[index]) for index in members)
    samples = resample_metrics(
        common["label"].to_numpy(), np.column_stack([table["predicted"].to_numpy() for table in aligned])
    )
    return _test_pairs(samples, {index: column for column, index in enumerate(members)}, pairs, len(common))


def _test_pairs(
    samples: BootstrapMetrics, column: dict[int, int], pairs: list[tuple[int, int]], images: int
) -> list[dict[str, float]]:
    """Build the rows of ``pairs``; ``column`` is the column of ``samples`` of each run."""
    rows = []
    others: dict[int, list[int]] = {}
    for one, two in pairs:
        others.setdefault(one, []).append(two)
    for one, opponents in others.items():
        block: list[dict[str, float]] = [{"first": one, "second": two, "images": images} for two in opponents]
        for name in PAIRED_METRICS:
            metric = getattr(samples, name)
            result = compute_paired_difference(metric[:, column[one]], metric[:, [column[two] for two in opponents]])
            for index, row in enumerate(block):
                row[f"{name}_first"] = float(metric[0, column[one]])
                row[f"{name}_second"] = float(metric[0, column[opponents[index]]])
                row[f"{name}_difference"] = float(result.value[index])
                row[f"{name}_low"], row[f"{name}_high"] = float(result.low[index]), float(result.high[index])
                row[f"{name}_p"] = float(result.p[index])
        rows += block
    return rows

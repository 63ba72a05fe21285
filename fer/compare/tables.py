"""The comparison as CSV files: a row a run, a row a group of seeds, a row a pair."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fer.compare.groups import SeedGroup
from fer.compare.hyperparameters import SEED, find_varying_keys, get_value, has_effect
from fer.compare.pairs import PairedTests
from fer.compare.runs import ComparedRun, parse_number
from fer.config.diff import ABSENT, format_override_value
from fer.core.csv import write_csv
from fer.core.flatten import flatten_dict

FACT_COLUMNS = (
    "monitor",
    "best_epoch",
    "epochs",
    "temperature",
    "git_commit",
    "data_fingerprint",
    "weights_sha256",
    "start",
)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV."""
    # A path that is no valid text keeps its bytes.
    write_csv(table, path, lineterminator="\n", errors="surrogateescape")


def build_runs_table(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Build a row a run: how it ended, the keys in which runs differ, every metric with its bounds."""
    keys = find_varying_keys(runs)
    return pd.DataFrame(
        [
            {
                "run": run.label,
                "directory": str(run.directory),
                "status": run.status,
                "reason": run.reason,
                **{key: _format_csv_value(get_value(run, key)) for key in keys},
                **{
                    f"{split}.{name}": value
                    for split, metrics in run.metrics.items()
                    for name, value in flatten_metrics(metrics).items()
                },
                "seconds": run.seconds,
                "images_per_second": run.images_per_second,
                **{name: _format_csv_value(run.facts.get(name, ABSENT)) for name in FACT_COLUMNS},
            }
            for run in runs
        ]
    )


def _format_csv_value(value: Any) -> Any:
    """Keep numbers, return None for an absent key, format anything else as an override writes it."""
    if value is ABSENT:
        return None
    return value if parse_number(value) is not None else format_override_value(value)


def flatten_metrics(metrics: dict[str, Any]) -> dict[str, float | None]:
    """The numbers of a split in metrics.json by dotted name; that of `accuracy.value` is `accuracy`."""
    return {
        name.removesuffix(".value"): parse_number(value)
        for name, value in flatten_dict(metrics).items()
        if not isinstance(value, list)
    }


def build_groups_table(groups: Sequence[SeedGroup], runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Build a row a group of seeds, with mean and standard deviation of each metric."""
    keys = [key for key in find_varying_keys(runs) if has_effect(key) and key != SEED]
    rows = []
    for group in groups:
        stats = {f"{metric.split}.{metric.key}": values for metric, values in group.metrics.items()}
        rows.append(
            {
                "runs": " ".join(run.label for run in group.runs),
                "seeds": len(group.runs),
                **{key: _format_csv_value(get_value(group.runs[0], key)) for key in keys},
                **{f"{name}.mean": values.mean for name, values in stats.items()},
                **{f"{name}.deviation": values.std for name, values in stats.items()},
            }
        )
    return pd.DataFrame(rows)


def build_pairs_table(pairs: PairedTests, runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Build a row a pair of runs, by their labels."""
    labels = [run.label for run in runs]
    named = {name: [labels[index] for index in pairs.table[name]] for name in ("first", "second")}
    return pairs.table.assign(**named)

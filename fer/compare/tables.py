"""The comparison as CSV files: a row a run, a row a group of seeds, a row a pair."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fer.compare.groups import Group
from fer.compare.hyperparameters import SEED, all_differing, has_effect, value_of
from fer.compare.pairs import Pairs
from fer.compare.runs import ComparedRun, number
from fer.config.diff import ABSENT, as_typed
from fer.core.io import written_beside

DEEPEST = 3  # per_class.anger.recall.low
FACTS = ("monitor", "best_epoch", "epochs", "temperature", "git_commit", "data_fingerprint", "weights_sha256", "start")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    with written_beside(path) as beside:
        # A path that is no valid text keeps its bytes.
        table.to_csv(beside, index=False, lineterminator="\n", errors="surrogateescape")


def runs_table(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Everything about each run: how it ended, the keys in which runs differ, every figure with its bounds."""
    keys = all_differing(runs)
    return pd.DataFrame(
        [
            {
                "run": run.label,
                "directory": str(run.directory),
                "status": run.status,
                "reason": run.reason,
                **{key: csv_value(value_of(run, key)) for key in keys},
                **{f"{part}.{name}": value for part, found in run.metrics.items() for name, value in figures_of(found)},
                "seconds": run.seconds,
                "images_per_second": run.images_per_second,
                **{name: csv_value(run.facts.get(name, ABSENT)) for name in FACTS},
            }
            for run in runs
        ]
    )


def csv_value(value: Any) -> Any:
    """Numbers as they are, nothing for an absent key, anything else as an override writes it."""
    return None if value is ABSENT else value if number(value) is not None else as_typed(value)


def figures_of(part: dict[str, Any], prefix: str = "", depth: int = DEEPEST) -> Iterator[tuple[str, float | None]]:
    """(dotted name, value) of the numbers of metrics.json; of `accuracy.value` the name is `accuracy`."""
    for name, found in part.items():
        if isinstance(found, dict) and depth:
            yield from figures_of(found, f"{prefix}{name}.", depth - 1)
        elif not isinstance(found, list):
            yield (prefix.removesuffix(".") if name == "value" else f"{prefix}{name}"), number(found)


def groups_table(groups: Sequence[Group], runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Mean and standard deviation of each group of seeds."""
    keys = [key for key in all_differing(runs) if has_effect(key) and key != SEED]
    rows = []
    for group in groups:
        spreads = {f"{figure.part}.{figure.key}": found for figure, found in group.figures.items()}
        rows.append(
            {
                "runs": " ".join(run.label for run in group.runs),
                "seeds": len(group.runs),
                **{key: csv_value(value_of(group.runs[0], key)) for key in keys},
                **{f"{name}.mean": found.mean for name, found in spreads.items()},
                **{f"{name}.deviation": found.deviation for name, found in spreads.items()},
            }
        )
    return pd.DataFrame(rows)


def pairs_table(pairs: Pairs, runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Every test of two runs, by their labels."""
    labels = [run.label for run in runs]
    named = {name: [labels[place] for place in pairs.table[name]] for name in ("first", "second")}
    return pairs.table.assign(**named)

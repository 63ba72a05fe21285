"""Norms: where this study's stimuli stand among those of earlier studies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fer.config.study import Study
from fer.core.parquet import ParquetError, read_parquet
from fer.emotions import CONTEMPT, EMOTIONS
from fer.errors import shorten_error

NORM_COLUMNS = ("stimulus", "segment", "measure", "value", "percentile", "studies", "stimuli")
SEGMENT = "whole"
# Where a run of a study keeps it.
VALUES_FILE = Path("study") / "segment_values.parquet"
ROUNDING = 1e-9
_COLUMNS = ("respondent", "stimulus", "kind", "measure", "mean")


def compare_with_norms(
    segment_values: pd.DataFrame, study: Study, directory: Path | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Build ``StudyData.norms``.

    Args:
        segment_values: ``StudyData.segment_values``.
        study: Whose ``norms`` name run directories of earlier studies, or directories that hold some.
        directory: The study's own run, which is no norm of itself.

    Returns:
        NORM_COLUMNS, a row for each stimulus and measure of the study of which earlier ones have any: the mean over
        respondents (and conditions) of the whole stimulus, and the percentage of earlier stimuli that are below it,
        equal ones counting half. And a sentence for each directory that tells nothing: changes from a baseline are
        compared with such changes alone.
    """
    own = _average(segment_values)
    own = own[own["measure"].isin(study.measures)]
    earlier, cautions = [], []
    for name in dict.fromkeys(study.norms):
        runs = [run for run in _list_runs(Path(name)) if directory is None or run.resolve() != directory.resolve()]
        if not runs:
            cautions.append(f"The norms {name} hold no run of a study (no {VALUES_FILE}).")
        for run in runs:
            try:
                earlier.append(_read_run(run, study).assign(run=str(run.resolve())))
            except (ValueError, OSError) as error:
                cautions.append(f"The norms {run} are left out: {shorten_error(error)}.")
    if own.empty or not earlier:
        return pd.DataFrame(columns=list(NORM_COLUMNS)), tuple(cautions)
    known = pd.concat(earlier, ignore_index=True).drop_duplicates(["run", "stimulus", "measure"])
    rows = []
    for stimulus, measure, value in own[["stimulus", "measure", "value"]].itertuples(index=False):
        others = known[known["measure"] == measure]
        if len(others):
            values = others["value"].to_numpy()
            percentile = 100 * float((values < value).mean() + (values == value).mean() / 2)
            counts = (others["run"].nunique(), len(others))
            rows.append((stimulus, SEGMENT, measure, value, percentile, *counts))
    return pd.DataFrame(rows, columns=list(NORM_COLUMNS)), tuple(cautions)


def _average(segment_values: pd.DataFrame) -> pd.DataFrame:
    """`stimulus, measure, value`: the mean over respondents of whole stimuli."""
    rows = segment_values[segment_values["kind"] == SEGMENT]
    rows = rows.assign(mean=rows["mean"].astype("float64").where(np.isfinite(rows["mean"].astype("float64"))))
    people = rows.dropna(subset=["mean"]).groupby(["stimulus", "measure", "respondent"], sort=False)["mean"].mean()
    return people.groupby(["stimulus", "measure"], sort=False).mean().rename("value").reset_index()


def _list_runs(folder: Path) -> Iterator[Path]:
    """The directory itself, or those of its subdirectories, that are runs of a study, in the order of names."""
    for run in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else ():
        if (run / VALUES_FILE).is_file():
            yield run


def _read_run(run: Path, study: Study) -> pd.DataFrame:
    try:
        table = read_parquet(run / VALUES_FILE, _COLUMNS)
    except ParquetError as error:
        raise ValueError(f"{VALUES_FILE}: {error}") from None
    if not pd.api.types.is_numeric_dtype(table["mean"]):
        raise ValueError(f"{VALUES_FILE}: the column `mean` holds no numbers")
    if _holds_changes(table) != (study.baseline is not None):
        kinds = ("as they are", "changes from a baseline")
        has, needs = kinds if study.baseline is not None else kinds[::-1]
        raise ValueError(f"its values are {has}, and those of this study are {needs}")
    return _average(table)


def _holds_changes(table: pd.DataFrame) -> bool:
    """Whether the values are changes from a baseline: no emotion's probability is negative, but some change is."""
    emotions = table["measure"].isin((*EMOTIONS, CONTEMPT))
    return bool((table.loc[emotions, "mean"].astype("float64") < -ROUNDING).any())

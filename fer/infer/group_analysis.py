"""Analysis over respondents: curves per stimulus and group with bands, and tests between groups."""

import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from fer.core.csv import check_video_name, read_csv
from fer.core.tables import TIME_TOLERANCE_S
from fer.emotions import list_emotions
from fer.errors import DataError
from fer.metrics.permutation import compute_permutation_p, compute_smallest_p
from fer.metrics.small_samples import compute_difference_interval, compute_hedges_g, compute_mean_interval

GROUP_COLUMNS = ("video", "respondent", "stimulus", "group")
CURVE_COLUMNS = (
    *("stimulus", "group", "emotion", "second", "respondents"),
    *("mean", "low", "high", "share", "max", "min"),
)
COMPARISON_COLUMNS = (
    *("stimulus", "emotion", "group_a", "group_b", "respondents_a", "respondents_b"),
    *("mean_a", "mean_b", "difference", "p", "p_corrected"),
    *("difference_low", "difference_high", "effect", "p_smallest"),
)
log = logging.getLogger(__name__)


def read_groups(path: Path, videos: Sequence[str]) -> pd.DataFrame:
    """Read who watched what in which video.

    Args:
        path: A CSV file, see ``fer.core.csv.read_csv``.
        videos: The names of the run's videos; the file need not use all.

    Returns:
        Columns GROUP_COLUMNS, all text, in the file's order.

    Raises:
        DataError: The first line that is incomplete, unknown or contradicts another, or why there is none.
    """
    groups = read_csv(path, "extraction.groups", GROUP_COLUMNS)
    if groups.empty:
        raise DataError(f"extraction.groups={path}: names no video; it needs a line for each")
    _validate_groups(path, groups, videos)
    return groups.reset_index(drop=True)


def _validate_groups(path: Path, groups: pd.DataFrame, videos: Sequence[str]) -> None:
    lines: dict[str, int] = {}
    known_groups: dict[tuple[str, str], str] = {}
    for line, video, respondent, stimulus, group in groups.itertuples():
        location = f"extraction.groups={path}, line {line}"
        empty = [name for name in GROUP_COLUMNS if not groups.at[line, name]]
        if empty:
            raise DataError(f"{location}: has no {' and no '.join(empty)}")
        check_video_name(video, videos, location)
        if video in lines:
            raise DataError(f"{location}: {video!r} stands in line {lines[video]} already; a video takes one line")
        lines[video] = line
        if known_groups.setdefault((stimulus, respondent), group) != group:
            raise DataError(
                f"{location}: respondent {respondent!r} is in the groups {known_groups[stimulus, respondent]!r} and "
                f"{group!r} of the stimulus {stimulus!r}; groups are compared as different people, so choose one"
            )


def _select_respondent_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The usable rows of the person who is recorded: where a frame shows several faces, the largest.

    A person who was lost and found again has several tracks, so tracks do not tell who it is.
    """
    usable = table[table["status"] == "ok"].dropna(subset=[f"p_{name}" for name in list_emotions(table)])
    size = (usable["face_w"] * usable["face_h"]).rename("size")
    largest = usable.join(size).sort_values("size", ascending=False, kind="stable").drop_duplicates(["video", "frame"])
    return largest.drop(columns="size").sort_values(["video", "frame"])


def subtract_baseline(table: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """Turn probabilities into changes from each video's own mean over its first seconds.

    Args:
        table: The emotion table.
        seconds: How long the baseline lasts.

    Returns:
        The table with p_ and s_ minus their baseline. A recording without a usable face in that time, or after it, gets
        empty values, and so leaves the group analysis: a mean over changes and probabilities would mean nothing, and
        that of the changes within the baseline is 0 whatever the face does.
    """
    columns = [name for name in table.columns.astype(str) if name.startswith(("p_", "s_"))]
    rows = _select_respondent_rows(table)
    start = table.groupby("video")["time_s"].min()
    is_early = rows["time_s"] < rows["video"].map(start) + seconds - TIME_TOLERANCE_S
    means = rows[is_early].groupby("video")[columns].mean()
    followed = means.index.isin(rows.loc[~is_early, "video"])
    for videos, when in ((set(rows["video"]) - set(means.index), "in"), (set(means.index[~followed]), "after")):
        for video in sorted(videos):
            log.warning(
                "%s: left out of the group figures: no usable face %s its first %g seconds", video, when, seconds
            )
    means = means[followed]
    changes = table.copy()
    changes[columns] = table[columns] - means.reindex(table["video"]).to_numpy()
    return changes


def compute_group_curves(table: pd.DataFrame, groups: pd.DataFrame, step_s: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """Summarize each emotion over the respondents of a group, step of time by step of time.

    Args:
        table: The emotion table.
        groups: As ``read_groups`` returns them.
        step_s: Length of a step, seconds.
        seed: Of the bootstrap.

    Returns:
        CURVE_COLUMNS, a row for each stimulus, group, emotion and step. A respondent counts once a step, with the mean
        of the step's rows, before smoothing. ``mean``, ``max`` and ``min`` are over respondents, ``low`` and ``high``
        the 95 % band of the mean (see ``compute_mean_interval``; empty for fewer than MIN_RESPONDENTS), ``share`` the
        fraction of respondents in whom the emotion leads at least one frame of the step. ``second`` is the step's
        beginning; steps without anybody are there too, empty.
    """
    emotions = list_emotions(table)
    respondents = _summarize_respondents(table, groups, step_s)
    # Changes against a baseline may be negative, probabilities may not.
    lowest = -1.0 if (respondents[[f"p_{name}" for name in emotions]] < 0).any(axis=None) else 0.0
    curves = []
    for stimulus, group in _list_stimulus_groups(groups):
        members = respondents[(respondents["stimulus"] == stimulus) & (respondents["group"] == group)]
        if members.empty:
            continue
        steps = pd.RangeIndex(members["step"].min(), members["step"].max() + 1)
        values = {
            name: members.pivot(index="respondent", columns="step", values=f"p_{name}").reindex(columns=steps)
            for name in emotions
        }
        bands = compute_mean_interval(np.hstack([table.to_numpy() for table in values.values()]), seed)
        low, high = (np.clip(end, lowest, 1.0).reshape(len(emotions), -1) for end in bands)
        for number, name in enumerate(emotions):
            columns = {
                "stimulus": stimulus,
                "group": group,
                "emotion": name,
                "second": steps * float(step_s),
                "respondents": values[name].count(),
                "mean": values[name].mean(),
                "low": low[number],
                "high": high[number],
                "share": members.groupby("step")[f"leads_{name}"].mean().reindex(steps),
                "max": values[name].max(),
                "min": values[name].min(),
            }
            curves.append(pd.DataFrame(columns, index=steps))
    if not curves:
        return pd.DataFrame(columns=list(CURVE_COLUMNS))
    return pd.concat(curves, ignore_index=True)[list(CURVE_COLUMNS)]


def _summarize_respondents(table: pd.DataFrame, groups: pd.DataFrame, step_s: float) -> pd.DataFrame:
    """A row for each respondent and step: the mean of p_<emotion>, and leads_<emotion>, whether it leads a frame."""
    emotions = list_emotions(table)
    rows = _select_respondent_rows(table).merge(groups, on="video")
    rows["step"] = np.floor(rows["time_s"] / step_s + TIME_TOLERANCE_S).astype("int64")
    leads = pd.DataFrame({f"leads_{name}": rows["emotion"] == name for name in emotions}, index=rows.index)
    keys = ["stimulus", "group", "respondent", "step"]
    means = rows[[*keys, *(f"p_{name}" for name in emotions)]].groupby(keys).mean()
    return means.join(rows[keys].join(leads).groupby(keys).any()).reset_index()


def compare_groups(table: pd.DataFrame, groups: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Test the differences between groups of respondents.

    Args:
        table: The emotion table.
        groups: As ``read_groups`` returns them.
        seed: Of the permutation test.

    Returns:
        COMPARISON_COLUMNS, a row for each stimulus, emotion and pair of groups. ``difference`` is mean_a - mean_b of
        the respondents' means; ``p`` comes from a two-sided permutation test of it, exact where there are few enough
        permutations, and is empty where a group has fewer than two respondents. ``p_corrected`` bounds the false
        discovery rate over all tests of the table (Benjamini & Hochberg 1995), which holds approximately for two-sided
        tests that depend on each other as those of one stimulus do (Reiner-Benaim 2007, Biometrical Journal 49).
        ``difference_low`` and ``difference_high`` are its 95 % interval, ``effect`` is Hedges' g, and ``p_smallest``
        the p of the clearest difference that so few respondents could show.
    """
    emotions = list_emotions(table)
    rows = _select_respondent_rows(table).merge(groups, on="video")
    means = rows.groupby(["stimulus", "group", "respondent"])[[f"p_{name}" for name in emotions]].mean()
    results = []
    for stimulus in dict.fromkeys(groups["stimulus"]):
        samples = {
            group: means.loc[(stimulus, group)].to_numpy()
            for group_stimulus, group in _list_stimulus_groups(groups)
            if group_stimulus == stimulus and (stimulus, group) in means.index
        }
        for (name_a, a), (name_b, b) in combinations(samples.items(), 2):
            p_values, effects = compute_permutation_p(a, b, seed), compute_hedges_g(a, b)
            low, high = compute_difference_interval(a, b, seed)
            smallest = compute_smallest_p(len(a), len(b))
            for column, emotion in enumerate(emotions):
                mean_a, mean_b = a[:, column].mean(), b[:, column].mean()
                keys = (stimulus, emotion, name_a, name_b, len(a), len(b))
                interval = (low[column], high[column], effects[column], smallest)
                results.append((*keys, mean_a, mean_b, mean_a - mean_b, p_values[column], np.nan, *interval))
    comparison = pd.DataFrame(results, columns=list(COMPARISON_COLUMNS))
    tested = comparison["p"].notna()
    if tested.any():
        # Slow to import, and few runs compare groups.
        from scipy.stats import false_discovery_control

        comparison.loc[tested, "p_corrected"] = false_discovery_control(comparison.loc[tested, "p"].to_numpy())
    return comparison


def _list_stimulus_groups(groups: pd.DataFrame) -> list[tuple[str, str]]:
    """Each pair of stimulus and group once, as the file first names them."""
    return list(dict.fromkeys(zip(groups["stimulus"], groups["group"], strict=True)))

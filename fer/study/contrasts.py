"""Contrasts of a study: two groups, or the same respondents twice, in each segment.

All of a contrast's rows - stimuli, segments and measures - are one family of tests, over which p is corrected.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer.config.study import BetweenContrast, Study, WithinContrast
from fer.metrics.effect_sizes import (
    compute_cliffs_delta,
    compute_hedges_g_interval,
    compute_paired_delta,
    compute_paired_g_interval,
)
from fer.metrics.multiple_tests import correct_p_values
from fer.metrics.permutation import (
    compute_permutation_p,
    compute_sign_flip_p,
    compute_smallest_p,
    compute_smallest_sign_flip_p,
)
from fer.metrics.power import compute_power_between, compute_power_paired
from fer.metrics.small_samples import compute_difference_interval, compute_mean_interval

CONTRAST_COLUMNS = (
    *("contrast", "kind", "factor", "a", "b", "stimulus", "segment", "measure", "n_a", "n_b", "mean_a", "mean_b"),
    *("difference", "difference_low", "difference_high", "p", "p_corrected", "p_smallest"),
    *("hedges_g", "hedges_g_low", "hedges_g_high", "cliffs_delta", "cliffs_delta_low", "cliffs_delta_high", "power"),
)
_FIGURES = ("kind", "segment", "measure")


@dataclass(frozen=True)
class Sides:
    """What a contrast compares in one stimulus: rows of a table with `respondent, stimulus, condition`.

    Attributes:
        stimulus: "" where the two sides are stimuli.
        a: Rows of one side.
        b: Rows of the other.
    """

    stimulus: str
    a: pd.DataFrame
    b: pd.DataFrame


def name_contrasts(study: Study) -> list[str]:
    """Name the contrasts of a study: "gender: f – m", "gender + stimulus"; equal names are numbered."""
    names: list[str] = []
    for contrast in study.contrasts:
        if contrast.kind == "mixed":
            name = " + ".join(contrast.factors)
        else:
            name = f"{contrast.factor}: {contrast.a} – {contrast.b}"
        numbered, number = name, 2
        while numbered in names:
            numbered, number = f"{name} ({number})", number + 1
        names.append(numbered)
    return names


def list_sides(table: pd.DataFrame, contrast: BetweenContrast | WithinContrast, study: Study) -> Iterator[Sides]:
    """List what a contrast compares, stimulus by stimulus.

    Args:
        table: Rows with `respondent, stimulus, condition`.
        contrast: Between groups or conditions, or within persons. Between conditions those who saw both do not count,
            as the sides are different people.
        study: Whose respondents they are.
    """
    if contrast.kind == "within" and contrast.factor == "stimulus":
        yield Sides("", *(table[table["stimulus"] == name] for name in (contrast.a, contrast.b)))
        return
    wanted = contrast.stimuli if isinstance(contrast, BetweenContrast) and contrast.stimuli is not None else None
    for stimulus in study.stimuli if wanted is None else dict.fromkeys(wanted):
        rows = table[table["stimulus"] == stimulus]
        if rows.empty:
            continue
        if contrast.factor == "condition":
            sides = [rows[rows["condition"] == value] for value in (contrast.a, contrast.b)]
            if contrast.kind == "between":
                both = set(sides[0]["respondent"]) & set(sides[1]["respondent"])
                sides = [side[~side["respondent"].isin(both)] for side in sides]
        else:
            values = rows["respondent"].map(
                {name: person.groups.get(contrast.factor) for name, person in study.respondents.items()}
            )
            sides = [rows[values == value] for value in (contrast.a, contrast.b)]
        yield Sides(stimulus, *sides)


def compute_contrasts(segment_values: pd.DataFrame, study: Study, seed: int = 0) -> pd.DataFrame:
    """Build ``StudyData.contrasts``.

    Args:
        segment_values: ``StudyData.segment_values``, of which `mean` is compared.
        study: Whose contrasts they are; those of a mixed model stand in ``StudyData.mixed``.
        seed: Of the permutations and the intervals.

    Returns:
        CONTRAST_COLUMNS, a row for each contrast, stimulus, segment and measure. A respondent counts once, with the
        mean over conditions where those do not differ. Within persons only those with both values count; stimuli are
        compared in the segments that both have, by name, and ``stimulus`` is "". ``p_corrected`` is corrected over all
        rows of a contrast; ``p_smallest`` the smallest p that so few can show; ``power`` the chance, at a level of 5 %
        and for one test, to find ``study.effect``. Within persons ``hedges_g`` is in standard deviations of the
        differences, and ``cliffs_delta`` the share of respondents in whom a is larger less that in whom b is.
    """
    tables = []
    for name, contrast in zip(name_contrasts(study), study.contrasts, strict=True):
        if contrast.kind == "mixed":
            continue
        measures = study.measures if contrast.measures is None else contrast.measures
        rows = segment_values[segment_values["measure"].isin(measures)]
        found = [_compare(sides, contrast, study, seed) for sides in list_sides(rows, contrast, study)]
        found = [table for table in found if len(table)]
        if not found:
            continue
        table = pd.concat(found, ignore_index=True)
        table["p_corrected"] = correct_p_values(table["p"].to_numpy(np.float64), study.correction)
        tables.append(
            table.assign(contrast=name, kind=contrast.kind, factor=contrast.factor, a=contrast.a, b=contrast.b)
        )
    if not tables:
        return pd.DataFrame(columns=list(CONTRAST_COLUMNS))
    return pd.concat(tables, ignore_index=True)[list(CONTRAST_COLUMNS)]


def _compare(sides: Sides, contrast: BetweenContrast | WithinContrast, study: Study, seed: int) -> pd.DataFrame:
    """A row for each segment and measure, without what is the contrast's."""
    a, b = (
        side.assign(mean=side["mean"].astype("float64"))
        .groupby(["respondent", *_FIGURES], sort=False)["mean"]
        .mean()
        .unstack(list(_FIGURES), sort=False)
        .sort_index()
        for side in (sides.a, sides.b)
    )
    figures = list(dict.fromkeys([*a.columns, *b.columns]))
    if contrast.kind == "within":
        figures = [figure for figure in figures if figure in a.columns and figure in b.columns]
        people = [name for name in a.index if name in b.index]
        a, b = a.reindex(index=people), b.reindex(index=people)
    if not figures:
        return pd.DataFrame()
    columns = pd.MultiIndex.from_tuples(figures, names=_FIGURES)
    values_a, values_b = (side.reindex(columns=columns).to_numpy(np.float64) for side in (a, b))
    if contrast.kind == "within":
        missing = np.isnan(values_a) | np.isnan(values_b)
        values_a, values_b = np.where(missing, np.nan, values_a), np.where(missing, np.nan, values_b)
    table = pd.DataFrame(index=range(len(figures)), columns=list(_RESULTS), dtype="float64")
    # Figures of the same people share their permutations.
    present = np.isfinite(np.concatenate([values_a, values_b]))
    _, pattern = np.unique(present, axis=1, return_inverse=True)
    for index in np.unique(pattern):
        places = np.flatnonzero(pattern.reshape(-1) == index)
        known_a, known_b = (
            values[np.ix_(np.isfinite(values[:, places[0]]), places)] for values in (values_a, values_b)
        )
        compare = _compare_within if contrast.kind == "within" else _compare_between
        for name, column in compare(known_a, known_b, study.effect, seed).items():
            table.loc[places, name] = column
    found = columns.to_frame(index=False).drop(columns="kind").assign(stimulus=sides.stimulus)
    return found.join(table.astype({"n_a": "int64", "n_b": "int64"}))


_RESULTS = tuple(name for name in CONTRAST_COLUMNS[8:] if name != "p_corrected")


def _compare_between(a: np.ndarray, b: np.ndarray, effect: float, seed: int) -> dict[str, np.ndarray | float]:
    low, high = compute_difference_interval(a, b, seed)
    return {
        **_describe(a, b),
        "difference_low": low,
        "difference_high": high,
        "p": compute_permutation_p(a, b, seed),
        "p_smallest": compute_smallest_p(len(a), len(b)),
        **_name_ends("hedges_g", compute_hedges_g_interval(a, b)),
        **_name_ends("cliffs_delta", compute_cliffs_delta(a, b)),
        "power": compute_power_between(effect, len(a), len(b)),
    }


def _compare_within(a: np.ndarray, b: np.ndarray, effect: float, seed: int) -> dict[str, np.ndarray | float]:
    differences = a - b
    low, high = compute_mean_interval(differences, seed)
    return {
        **_describe(a, b),
        "difference_low": low,
        "difference_high": high,
        "p": compute_sign_flip_p(differences, seed),
        "p_smallest": compute_smallest_sign_flip_p(len(differences)),
        **_name_ends("hedges_g", compute_paired_g_interval(differences)),
        **_name_ends("cliffs_delta", compute_paired_delta(differences)),
        "power": compute_power_paired(effect, len(differences)),
    }


def _describe(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray | float]:
    mean_a, mean_b = (side.mean(axis=0) if len(side) else np.full(side.shape[1], np.nan) for side in (a, b))
    return {"n_a": len(a), "n_b": len(b), "mean_a": mean_a, "mean_b": mean_b, "difference": mean_a - mean_b}


def _name_ends(name: str, ends: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))

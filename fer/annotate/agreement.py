"""How far annotators agree beyond chance: Cohen's kappa of each two of them, Fleiss' kappa of all."""

import warnings
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

COHEN, FLEISS = "Cohen", "Fleiss"


def measure_agreement(labels: pd.DataFrame, annotators: Sequence[str]) -> pd.DataFrame:
    """Measure how far annotators agree.

    Args:
        labels: Rows of the table of labels.
        annotators: Their names, in the order of the result.

    Returns:
        A row for each two annotators, and one for all where there are more: ``annotators``, ``measure`` (COHEN, or
        FLEISS), ``faces`` that all of them labelled, ``agreement`` (the share of faces, or of pairs of annotators, with
        the same label) and ``kappa``, NaN where it is not defined: no face, or a single label.
    """
    table = labels[labels["label"] != ""].pivot(index="image", columns="annotator", values="label")
    table = table.reindex(columns=list(annotators))
    rows = []
    for first, second in combinations(annotators, 2):
        both = table[[first, second]].dropna()
        same = float((both[first] == both[second]).mean()) if len(both) else np.nan
        rows.append((f"{first}, {second}", COHEN, len(both), same, _compute_cohen(both)))
    if len(annotators) > 2:
        rows.append(("all", FLEISS, *_compare_all(table.dropna())))
    return pd.DataFrame(rows, columns=["annotators", "measure", "faces", "agreement", "kappa"])


def _compute_cohen(both: pd.DataFrame) -> float:
    from sklearn.metrics import cohen_kappa_score

    if both.stack().nunique() < 2:
        return np.nan
    return float(cohen_kappa_score(both.iloc[:, 0], both.iloc[:, 1]))


def _compare_all(table: pd.DataFrame) -> tuple[int, float, float]:
    """Faces, agreement of pairs, and Fleiss' kappa, of a table with a column an annotator."""
    # Its import is slow, and few runs have so many annotators.
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    if table.empty:
        return 0, np.nan, np.nan
    counts, _ = aggregate_raters(table.to_numpy())
    raters = table.shape[1]
    agreement = float(((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))).mean())
    if table.stack().nunique() < 2:
        return len(table), agreement, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return len(table), agreement, float(fleiss_kappa(counts))

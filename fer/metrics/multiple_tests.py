"""Corrections for several tests: Holm's, and that of Benjamini and Hochberg."""

from typing import Literal

import numpy as np
from scipy.stats import false_discovery_control


def correct_p_values(p_values: np.ndarray, method: Literal["holm", "fdr_bh"]) -> np.ndarray:
    """Correct the p-values of one family of tests.

    Args:
        p_values: (tests,), NaN for one that could not be done, which does not count.
        method: ``holm`` bounds the chance of any false alarm, however the tests depend on each other (Holm 1979);
            ``fdr_bh`` the share of false alarms among those found (Benjamini & Hochberg 1995), under independence or
            positive dependence.

    Returns:
        (tests,) corrected p-values.
    """
    corrected = np.full(len(p_values), np.nan)
    done = np.isfinite(p_values)
    known = np.asarray(p_values, dtype=np.float64)[done]
    if not len(known):
        return corrected
    if method == "fdr_bh":
        corrected[done] = false_discovery_control(known)
        return corrected
    order = np.argsort(known, kind="stable")
    steps = np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1))
    ordered = np.empty(len(known))
    ordered[order] = np.minimum(steps, 1.0)
    corrected[done] = ordered
    return corrected

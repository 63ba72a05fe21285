"""Corrections for several tests: those of statsmodels."""

from typing import Literal

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from fer.metrics.multiple_tests import correct_p_values


@pytest.mark.parametrize("method", ["holm", "fdr_bh"])
def test_corrected_p_values_are_those_of_statsmodels(method: Literal["holm", "fdr_bh"]) -> None:
    random = np.random.default_rng(0)
    for count in (1, 2, 7, 30):
        p_values = np.round(random.uniform(size=count) ** 2, 2)
        np.testing.assert_allclose(correct_p_values(p_values, method), multipletests(p_values, method=method)[1])


def test_holm_is_by_hand() -> None:
    found = correct_p_values(np.array([0.04, 0.01, np.nan, 0.03]), "holm")
    np.testing.assert_allclose(found, [0.06, 0.03, np.nan, 0.06])
    assert len(correct_p_values(np.array([]), "holm")) == 0
    assert np.isnan(correct_p_values(np.array([np.nan]), "fdr_bh")).all()

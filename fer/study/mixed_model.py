"""Several factors at once: a linear mixed model with an intercept for each respondent.

Factors are coded against their first level in alphabetical order. The model is fitted by REML (statsmodels). Its terms
are tested by Student's t instead of the normal distribution, which is too sure of few people: a factor that differs
between respondents has the degrees of freedom that people leave, one that changes within them those that their values
leave (the between-within method; Pinheiro & Bates 2000, section 2.4.2).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from fer.config.study import MixedContrast, Study
from fer.core.extras import require_packages
from fer.metrics.multiple_tests import correct_p_values
from fer.study.contrasts import name_contrasts

MIXED_COLUMNS = ("contrast", "measure", "term", "estimate", "low", "high", "p", "p_corrected")
INTERCEPT = "intercept"
LEVEL = 0.95
# Values that differ by less than this fraction of their size are equal.
ROUNDING = 1e-9


class _ModelError(Exception):
    """A model cannot be fitted; the message says why, and what to do."""


@dataclass(frozen=True)
class Design:
    """The columns of a model.

    Attributes:
        names: Of the columns: "intercept", and "FACTOR: LEVEL (against FIRST)".
        matrix: (values, columns) of 0 and 1.
    """

    names: tuple[str, ...]
    matrix: np.ndarray


def fit_mixed_models(segment_values: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Build ``StudyData.mixed``.

    Args:
        segment_values: ``StudyData.segment_values``; what is modelled is the `mean` of the segment `whole`, one value a
            respondent, stimulus and condition.
        study: Whose contrasts of the kind ``mixed`` are fitted.

    Returns:
        MIXED_COLUMNS, a row for each contrast, measure and term, with 95 % intervals; ``p_corrected`` is corrected over
        all terms and measures of a contrast but the intercepts. And a sentence for each model that cannot be fitted,
        which is missing from the table.
    """
    tables, cautions = [], []
    for name, contrast in zip(name_contrasts(study), study.contrasts, strict=True):
        if contrast.kind != "mixed":
            continue
        require_packages("statsmodels", purpose=f"the mixed model {name!r}")
        rows = []
        for measure in dict.fromkeys(study.measures if contrast.measures is None else contrast.measures):
            try:
                rows += [(measure, *term) for term in _fit_measure(segment_values, measure, contrast, study)]
            except _ModelError as error:
                cautions.append(f"The mixed model {name!r} of {measure} is missing: {error}.")
        if rows:
            table = pd.DataFrame(rows, columns=["measure", "term", "estimate", "low", "high", "p"])
            tested = table["p"].where(table["term"] != INTERCEPT).to_numpy(np.float64)
            tables.append(table.assign(contrast=name, p_corrected=correct_p_values(tested, study.correction)))
    if not tables:
        return pd.DataFrame(columns=list(MIXED_COLUMNS)), tuple(cautions)
    return pd.concat(tables, ignore_index=True)[list(MIXED_COLUMNS)], tuple(cautions)


def _fit_measure(
    segment_values: pd.DataFrame, measure: str, contrast: MixedContrast, study: Study
) -> list[tuple[str, float, float, float, float]]:
    """Term, estimate, low, high and p of a model."""
    rows = segment_values[(segment_values["kind"] == "whole") & (segment_values["measure"] == measure)]
    rows = rows.assign(mean=rows["mean"].astype("float64")).dropna(subset=["mean"])
    if rows.empty:
        raise _ModelError("nobody has a value of it")
    factors = {factor: _get_levels(rows, factor, study) for factor in dict.fromkeys(contrast.factors)}
    known = np.all([pd.notna(values) for values in factors.values()], axis=0)
    design = build_design({factor: values[known] for factor, values in factors.items()})
    values, people = rows["mean"].to_numpy()[known], pd.factorize(rows["respondent"])[0][known]
    _check_design(design, values, people, list(factors))
    estimates, errors = _fit(values, people, design.matrix)
    freedom = _compute_freedom(design.matrix, people)
    half = student_t.ppf((1 + LEVEL) / 2, freedom) * errors
    p_values = 2 * student_t.sf(np.abs(estimates) / errors, freedom)
    columns = (estimates, estimates - half, estimates + half, p_values)
    return list(zip(design.names, *(column.tolist() for column in columns), strict=True))


def _get_levels(rows: pd.DataFrame, factor: str, study: Study) -> np.ndarray:
    """Each row's value of a factor; None where the respondent has none."""
    if factor in ("stimulus", "condition"):
        return np.asarray(rows[factor].astype(str), object)
    groups = {name: person.groups.get(factor) or None for name, person in study.respondents.items()}
    return np.array([groups.get(name) for name in rows["respondent"]], object)


def build_design(factors: dict[str, np.ndarray]) -> Design:
    """Code factors against their first level in alphabetical order.

    Args:
        factors: The value of each factor in each row.

    Returns:
        The intercept, and a column for each further level of each factor that has several.
    """
    count = len(next(iter(factors.values())))
    names, columns = [INTERCEPT], [np.ones(count)]
    for factor, values in factors.items():
        first, *others = sorted(set(values)) or [None]
        for level in others:
            names.append(f"{factor}: {level} (against {first})")
            columns.append((values == level).astype(np.float64))
    return Design(tuple(names), np.stack(columns, axis=1))


def _check_design(design: Design, values: np.ndarray, people: np.ndarray, factors: Sequence[str]) -> None:
    count = len(np.unique(people))
    if count < 2:
        raise _ModelError(f"a model needs two respondents at least, and {'one has' if count else 'nobody has'} values")
    constant = [factor for factor in factors if not any(name.startswith(f"{factor}: ") for name in design.names[1:])]
    if constant:
        raise _ModelError(f"the factor {constant[0]!r} has one value only among those who have values")
    if np.linalg.matrix_rank(design.matrix) < design.matrix.shape[1]:
        raise _ModelError(f"the factors {', '.join(map(repr, factors))} cannot be told apart; leave one out")
    if len(people) == count:
        raise _ModelError("each respondent has one value, so no respondent can have an own level; test it as `between`")
    if (_compute_freedom(design.matrix, people) < 1).any():
        raise _ModelError(f"{count} respondents with {len(values)} values are too few for its terms")
    if np.ptp(values) <= ROUNDING * np.abs(values).max():
        raise _ModelError("all values are equal")


def _compute_freedom(matrix: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Degrees of freedom of each column, by whether it changes within a person."""
    count = people.max() + 1
    sizes = np.maximum(np.bincount(people, minlength=count), 1)
    means = np.stack([np.bincount(people, column, count) / sizes for column in matrix.T], axis=1)
    changes = (np.abs(matrix - means[people]) > ROUNDING).any(axis=0)
    persons = len(np.unique(people))
    between, within = persons - (~changes).sum(), len(people) - persons - changes.sum()
    return np.where(changes, within, between)


def _fit(values: np.ndarray, people: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and standard errors (columns,)."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    # The optimiser's tolerances are for values of about 1.
    scale = values.std()
    with warnings.catch_warnings():
        # That respondents do not differ, a variance of 0, is an answer, not a failure.
        warnings.simplefilter("ignore")
        try:
            result = MixedLM(values / scale, matrix, groups=people).fit(reml=True)
        except (np.linalg.LinAlgError, ValueError, ZeroDivisionError) as error:
            raise _ModelError("it cannot be fitted to these values") from error
    estimates, errors = np.asarray(result.fe_params) * scale, np.asarray(result.bse_fe) * scale
    if not result.converged or not np.isfinite(errors).all() or not (errors > 0).all():
        raise _ModelError("the fit does not converge; leave out a factor, or compare two at a time")
    return estimates, errors

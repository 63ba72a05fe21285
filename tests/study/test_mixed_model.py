"""Mixed models: statsmodels' by formula, any names, and sentences where no model can be fitted."""

import numpy as np
import pandas as pd
import pytest

from fer.config.study import MixedContrast, Respondent, Study
from fer.metrics.multiple_tests import correct_p_values
from fer.study.mixed_model import MIXED_COLUMNS, fit_mixed_models
from tests.helpers.study_panel import draw_steps, draw_study, summarize_steps


def draw(factors: tuple[str, ...], respondents: int = 14) -> tuple[Study, pd.DataFrame]:
    study = draw_study(respondents, contrasts=(MixedContrast(kind="mixed", factors=factors),))
    steps = draw_steps(study, seconds=6, effects={("ad", ""): [(0, 6, 0.1)], ("film", "f"): [(0, 6, 0.05)]})
    return study, summarize_steps(steps)


def test_estimates_are_those_of_statsmodels_by_formula() -> None:
    import statsmodels.formula.api as smf

    study, values = draw(("gender", "stimulus"))
    found, cautions = fit_mixed_models(values, study)
    assert not cautions and tuple(found.columns) == MIXED_COLUMNS and set(found["contrast"]) == {"gender + stimulus"}
    own = values[(values["kind"] == "whole") & (values["measure"] == "happiness")]
    own = own.assign(gender=own["respondent"].map(lambda name: study.respondents[name].groups["gender"]))
    expected = smf.mixedlm("mean ~ C(gender) + C(stimulus)", own, groups=own["respondent"]).fit(reml=True)
    rows = found[found["measure"] == "happiness"]
    assert rows["term"].tolist() == ["intercept", "gender: m (against f)", "stimulus: film (against ad)"]
    np.testing.assert_allclose(rows["estimate"], expected.fe_params, rtol=1e-4, atol=1e-6)
    halves = ((rows["high"] - rows["low"]) / 2).to_numpy()
    # Student's t with 14 people less two columns, and 28 values less 14 people less one column.
    quantiles = [2.178813, 2.178813, 2.160369]
    np.testing.assert_allclose(halves, expected.bse_fe * quantiles, rtol=1e-3)
    tested = found["p"].where(found["term"] != "intercept")
    np.testing.assert_allclose(found["p_corrected"], correct_p_values(tested.to_numpy(), "holm"))


def test_names_are_texts_and_no_formulas() -> None:
    study, values = draw(("gender", "stimulus"))
    evil = "C(x) + __import__('os').abort() ~ \"1\""
    values["stimulus"] = values["stimulus"].replace({"ad": evil, "film": "0"})
    people = {
        name: Respondent(consent=True, groups={evil: person.groups["gender"]})
        for name, person in study.respondents.items()
    }
    contrast = MixedContrast(kind="mixed", factors=(evil, "stimulus"))
    study = study.model_copy(update={"respondents": people, "contrasts": (contrast,)})
    found, cautions = fit_mixed_models(values, study)
    assert not cautions
    assert f"{evil}: m (against f)" in set(found["term"]) and f"stimulus: {evil} (against 0)" in set(found["term"])


@pytest.mark.parametrize(
    ("factors", "change", "words"),
    [
        (("gender",), lambda t: t[t["respondent"] == "p0"], "needs two respondents"),
        (("gender",), lambda t: t[t["stimulus"] == "ad"], "each respondent has one value"),
        (("stimulus",), lambda t: t[t["stimulus"] == "ad"], "'stimulus' has one value only"),
        (("condition",), lambda t: t, "'condition' has one value only"),
        (("stimulus",), lambda t: t.assign(mean=np.nan), "nobody has a value"),
        (("stimulus",), lambda t: t.assign(mean=0.25), "all values are equal"),
        (("stimulus", "condition"), lambda t: t.assign(condition=t["stimulus"]), "cannot be told apart"),
        (("gender", "stimulus"), lambda t: t[t["respondent"].isin(["p0", "p1"])], "too few"),
    ],
)
def test_what_cannot_be_fitted_is_a_sentence(factors: tuple[str, ...], change, words: str) -> None:
    study, values = draw(factors, respondents=6)
    found, cautions = fit_mixed_models(change(values), study)
    assert tuple(found.columns) == MIXED_COLUMNS and found.empty
    assert len(cautions) == 2 and all(words in caution for caution in cautions)
    assert cautions[0].startswith(f"The mixed model '{' + '.join(factors)}' of happiness is missing: ")


def test_a_fit_that_does_not_converge_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    def fail(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(MixedLM, "fit", fail)
    study, values = draw(("gender", "stimulus"), respondents=6)
    found, cautions = fit_mixed_models(values, study)
    assert found.empty and "cannot be fitted" in cautions[0]


def test_studies_without_a_mixed_contrast_have_an_empty_table() -> None:
    study = draw_study(4)
    found, cautions = fit_mixed_models(summarize_steps(draw_steps(study, seconds=3)), study)
    assert found.empty and tuple(found.columns) == MIXED_COLUMNS and cautions == ()

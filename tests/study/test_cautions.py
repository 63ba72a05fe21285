"""Words of caution: each where its reason is, and none where nothing is amiss."""

import pandas as pd
import pytest

from fer.config.study import BetweenContrast, Study, Window
from fer.study.cautions import list_cautions
from fer.study.contrasts import compute_contrasts
from tests.helpers.study_panel import draw_steps, draw_study, summarize_steps

pytestmark = pytest.mark.slow

GOOD = {"recalls": {name: {"value": 0.8} for name in ("happiness", "neutral", "fear", "disgust")}}
CONTRAST = BetweenContrast(kind="between", factor="gender", a="f", b="m")


def draw(respondents: int = 160, **keys: object) -> Study:
    return draw_study(respondents, ["ad"], **{"baseline": Window(start_s=0, end_s=1), **keys})


def list_recordings(study: Study, **changes: object) -> pd.DataFrame:
    rows = [
        {"recording": item.file, "file": item.file, "respondent": item.respondent, "stimulus": item.stimulus}
        for item in study.recordings
    ]
    table = pd.DataFrame(rows).assign(
        condition="", onset_s=0.0, offset_s=60.0, frames=60, usable_share=0.95, tracking_losses=0, brightness=0.5,
        people=1, included=True, reason="",
    )  # fmt: skip
    for column, value in changes.items():
        table.loc[0, column] = value
    return table


def judge(study: Study, recordings: pd.DataFrame | None = None, performance: dict | None = GOOD) -> tuple[str, ...]:
    steps = draw_steps(study, seconds=3)
    contrasts = compute_contrasts(summarize_steps(steps), study)
    return list_cautions(
        study, list_recordings(study) if recordings is None else recordings, steps, contrasts, performance
    )


def test_a_good_study_needs_none() -> None:
    assert judge(draw(contrasts=(CONTRAST,))) == ()


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (draw(3), "3 respondents saw 'ad': too few for a band"),
        (draw(1), "1 respondent saw 'ad': too few for a band"),
        (draw(12), "12 respondents saw 'ad': bands are wide"),
        (draw(8), "fewer than 5 respondents have no band: gender f (4), gender m (4)"),
        (draw(baseline=None), "There is no baseline"),
        (draw(baseline=Window(start_s=-2, end_s=0)), "160 recordings begin after the baseline does, -2 s"),
        (
            draw(4, contrasts=(CONTRAST,)),
            "'gender: f – m' cannot become significant: so few respondents give a p of 0.33",
        ),
        (draw(1, contrasts=(CONTRAST,)), "'gender: f – m' could not be tested"),
        (draw(20, contrasts=(CONTRAST,)), "80% need 64 respondents in each group"),
        (draw(contrasts=(CONTRAST,) * 10), "20 tests were done"),
    ],
)
def test_the_panel_and_its_contrasts(study: Study, words: str) -> None:
    assert [words in sentence for sentence in judge(study)].count(True) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"included": False, "reason": "no consent"}, "1 recording of 160 is left out: no consent (1)."),
        ({"usable_share": 0.6}, "1 recording of 160 shows the face in less than 80% of the time"),
        ({"tracking_losses": 9}, "lost more than 3 times a minute in 1 recording: p0-ad.mp4."),
        ({"people": 2}, "1 recording shows several people"),
    ],
)
def test_the_recordings(changes: dict[str, object], words: str) -> None:
    study = draw()
    sentences = judge(study, list_recordings(study, **changes))
    assert len(sentences) == 1 and words in sentences[0]


def test_the_model() -> None:
    weak = {"recalls": GOOD["recalls"] | {"happiness": {"value": 0.41}, "disgust": {"value": 0.2}}}
    assert "happiness (41%)" in judge(draw(measures=("happiness",)), performance=weak)[0]
    assert "disgust" not in judge(draw(measures=("happiness",)), performance=weak)[0]
    assert "disgust (20%)" in judge(draw(measures=("valence",)), performance=weak)[0]
    for unknown in (None, {"recalls": {}}):
        assert "not known" in judge(draw(), performance=unknown)[0]
    assert judge(draw(), performance={"recalls": {"happiness": {"value": None}}}) == ()


def test_nothing_at_all() -> None:
    study = draw(4, contrasts=(CONTRAST,))
    steps = draw_steps(study, seconds=3).head(0)
    contrasts = compute_contrasts(summarize_steps(draw_steps(study)).head(0), study)
    recordings = list_recordings(study).assign(included=False, reason="dark")
    sentences = list_cautions(study, recordings, steps, contrasts, GOOD)
    assert sentences[:2] == (
        "No recording could be analysed, so nothing can be said.",
        "4 recordings of 4 are left out: dark (4).",
    )


def test_reasons_of_one_kind_are_counted_together() -> None:
    study = draw(8)
    few = [f"too few usable frames: {number} of 48 frames are usable" for number in range(6)]
    reasons = [*few, "the video cannot be read: no video stream", ""]
    recordings = list_recordings(study).assign(reason=reasons, included=[not reason for reason in reasons])
    said = "7 recordings of 8 are left out: too few usable frames (6); the video cannot be read: no video stream (1)."
    assert said in judge(study, recordings)


@pytest.mark.parametrize(("correction", "said"), [("holm", True), ("fdr_bh", False)])
def test_what_cannot_become_significant_depends_on_the_correction(correction: str, said: bool) -> None:
    """With 5 against 5 people the smallest p is 0.0079: times 2 measures and 4 parts 0.063."""
    study = draw(10, contrasts=(CONTRAST,), correction=correction)
    steps = draw_steps(study, seconds=4)
    values = summarize_steps(steps, {name: (place, place + 1) for place, name in enumerate("abc")})
    sentences = list_cautions(study, list_recordings(study), steps, compute_contrasts(values, study), GOOD)
    assert any("corrected for 8 tests 0.063" in sentence for sentence in sentences) == said

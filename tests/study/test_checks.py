"""What is wrong with a study is told before anything runs, and no recording without consent is ever touched."""

from typing import Any

import pytest

from tests.helpers.study_content import find, record


def test_a_sound_study_has_no_problem() -> None:
    contrasts = [
        {"kind": "between", "factor": "gender", "a": "f", "b": "m", "stimuli": ["spotA"]},
        {"kind": "within", "a": "spotA", "b": "spotB", "measures": ["valence", "contempt"]},
        {"kind": "mixed", "factors": ["gender", "stimulus"]},
    ]
    assert find(contrasts=contrasts) == []


@pytest.mark.parametrize(
    ("added", "sentences"),
    [
        (
            [record("/x.mp4", "p11", "spotA")],
            ["recordings.7 (x.mp4): respondent=p11: there is no such respondent; did you mean p1?"],
        ),
        (
            [record("/x.mp4", "p1", "spot")],
            ["recordings.7 (x.mp4): stimulus=spot: there is no such stimulus; did you mean spotA?"],
        ),
        (
            [record("/p3A.mp4", "p3", "spotB")],
            [
                "recordings.7 (p3A.mp4): stands twice, in recordings.5 too; leave one out, "
                "or name onset_s and offset_s of each, where it shows one stimulus after the other"
            ],
        ),
        (
            [record("/p3A.mp4", "p2", "spotA", condition="x")],
            ["recordings.7 (p3A.mp4): is a recording of p3 in recordings.5, and of p2 here; leave one out"],
        ),
        (
            [record("/x.mp4", "p3", "spotA")],
            [
                "recordings.7 (x.mp4): p3 saw spotA in recordings.5 (p3A.mp4) too; tell them "
                "apart by their condition, or leave one out"
            ],
        ),
        (
            [record("/x.mp4", "p3", "spotA", condition="loud"), record("/y.mp4", "p3", "spotA", condition="Loud")],
            ["conditions: 'loud' and 'Loud' differ only in how they are written; write one of them everywhere"],
        ),
        # One long recording of one stimulus after the other is no mistake.
        (
            [
                record("/long.mp4", "p3", "spotA", offset_s=30, condition="2"),
                record("/long.mp4", "p3", "spotB", onset_s=30),
            ],
            [],
        ),
    ],
)
def test_recordings_that_cannot_be(added: list[dict[str, Any]], sentences: list[str]) -> None:
    assert find(recordings=added) == sentences


@pytest.mark.parametrize(
    ("contrast", "sentences"),
    [
        (
            {"kind": "between", "factor": "gendr", "a": "f", "b": "m"},
            ["contrasts.1.factor=gendr: there is no such group column; did you mean gender?"],
        ),
        (
            {"kind": "between", "factor": "gender", "a": "f", "b": "x"},
            ["contrasts.1.b=x: there is no such value of the group column gender; allowed are f, m"],
        ),
        (
            {"kind": "between", "factor": "gender", "a": "f", "b": "m", "stimuli": ["spotB"]},
            ["contrasts.1.b=m: nobody with consent and a recording belongs to it"],
        ),
        (
            {"kind": "between", "factor": "gender", "a": "f", "b": "m", "stimuli": ["spotX"]},
            ["contrasts.1.stimuli=spotX: there is no such stimulus; did you mean spotA?"],
        ),
        (
            {"kind": "between", "factor": "condition", "a": "x", "b": "y"},
            ["contrasts.1.a=x: there is no such condition", "contrasts.1.b=y: there is no such condition"],
        ),
        (
            {"kind": "between", "factor": "stimulus", "a": "spotA", "b": "spotB"},
            ["contrasts.1.factor=stimulus: is seen by the same people; use kind: within"],
        ),
        (
            {"kind": "between", "factor": "gender", "a": "f", "b": "f"},
            ["contrasts.1: a and b are both f; name two that differ"],
        ),
        ({"kind": "within", "a": "spotA", "b": "spotA"}, ["contrasts.1: a and b are both spotA; name two that differ"]),
        (
            {"kind": "within", "a": "spotA", "b": "spotBB"},
            ["contrasts.1.b=spotBB: there is no such stimulus; did you mean spotB?"],
        ),
        (
            {"kind": "within", "factor": "condition", "a": "x", "b": "y"},
            ["contrasts.1.a=x: there is no such condition", "contrasts.1.b=y: there is no such condition"],
        ),
        (
            {"kind": "mixed", "factors": ["gender", "gender", "sex"]},
            [
                "contrasts.1.factors: gender stands twice; name it once",
                "contrasts.1.factors=sex: there is no such factor; allowed are gender, stimulus, condition",
            ],
        ),
        (
            {"kind": "mixed", "factors": ["condition"]},
            ["contrasts.1.factors: condition has fewer than two values over the recordings with consent"],
        ),
        (
            {"kind": "within", "a": "spotA", "b": "spotB", "measures": ["hapiness", "valence", "valence"]},
            [
                "contrasts.1.measures: hapiness: there is no such measure; did you mean happiness?",
                "contrasts.1.measures: valence stands twice; name it once",
            ],
        ),
    ],
)
def test_questions_that_nobody_can_answer(contrast: dict[str, Any], sentences: list[str]) -> None:
    assert find(contrast=contrast) == sentences


def test_a_within_contrast_needs_people_with_consent_who_saw_both() -> None:
    people = {name: {"consent": name == "p3"} for name in ("p1", "p2", "p3")}
    (problem,) = find(contrast={"kind": "within", "a": "spotA", "b": "spotB"}, respondents=people)
    assert problem.startswith("contrasts.1: nobody with consent saw both spotA and spotB; compare different people")
    # Two conditions of different stimuli are none of the same.
    added = [record("/1.mp4", "p3", "spotA", condition="x"), record("/2.mp4", "p3", "spotB", condition="y")]
    contrast = {"kind": "within", "factor": "condition", "a": "x", "b": "y"}
    assert find(contrast=contrast, recordings=added)[0].startswith("contrasts.1: nobody with consent saw both x and y")


def test_the_same_question_twice_is_told() -> None:
    contrast = {"kind": "within", "a": "spotA", "b": "spotB"}
    assert find(contrasts=[contrast, dict(contrast)]) == ["contrasts.2: is contrasts.1 again; leave one out"]


def test_nobody_with_consent_is_told() -> None:
    people = {f"p{number}": {"consent": False} for number in range(1, 5)}
    (problem,) = find(respondents=people)
    assert problem.startswith(
        "respondents: nobody who was recorded has given consent, so no recording may be opened; set"
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"measures": ["joy"]},
            "measures: joy: there is no such measure; allowed are anger, disgust, fear, happiness, "
            "neutral, sadness, surprise, contempt, valence, arousal, expressiveness, positive, negative, engagement, "
            "attention, yaw, pitch, roll, people",
        ),
        (
            {"respondents": {"P1": {}}},
            "respondents: 'p1' and 'P1' differ only in how they are written; write one of them everywhere",
        ),
        (
            {"respondents": {"7": {}, "07": {}}},
            "respondents: '7' and '07' differ only in how they are written; write one of them everywhere",
        ),
        (
            {"stimuli": {"spota": {}}},
            "stimuli: 'spotA' and 'spota' differ only in how they are written; write one of them everywhere",
        ),
        (
            {"respondents": {"p9": {"groups": {"gender": "F"}}}},
            "values of the group column gender: 'f' and 'F' differ only "
            "in how they are written; write one of them everywhere",
        ),
        (
            {"respondents": {"p9": {"groups": {"Gender": "x"}}}},
            "group columns: 'gender' and 'Gender' differ only in how they are written; write one of them everywhere",
        ),
        (
            {"respondents": {"p9": {"groups": {"Valence": "x"}}}},
            "respondents: a group column cannot be called Valence, "
            "which tables of the analysis have already; call it Valence_group",
        ),
        (
            {"stimuli": {"spotC": {"events": [{"name": "x", "time_s": 1}, {"name": "x", "time_s": 2}]}}},
            "stimuli.spotC.events: x stands twice; give each its own name",
        ),
        (
            {"stimuli": {"spotC": {"scenes": [{"name": "x", "start_s": 1, "end_s": 2}] * 2}}},
            "stimuli.spotC.scenes: x stands twice; give each its own name",
        ),
    ],
)
def test_names_that_do_not_meet(changes: dict[str, Any], sentence: str) -> None:
    assert find(**changes) == [sentence]

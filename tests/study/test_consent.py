"""Who has not agreed is counted, and stands in no table of a study."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from fer.config.study import Study
from fer.study.pipeline import StudyInput, analyze_study
from tests.helpers.study_table import in_order, watched

SENTENCE = "2 recordings of 1 respondent without consent were left out, and not opened"


def analyse(*cautions: str) -> Any:
    """Five people, of whom two have not agreed: one with two recordings, one with none."""
    people: dict[str, Any] = {f"p{number}": {"consent": True, "groups": {"age": "old"}} for number in range(3)}
    people |= {"denier": {"groups": {"age": "young", "diagnosis": "secret"}}, "absentee": {"groups": {"age": "secret"}}}
    recordings = [{"file": f"{name}.mp4", "respondent": name, "stimulus": "ad"} for name in (*people,)[:4]]
    recordings.append({"file": "denier-again.mp4", "respondent": "denier", "stimulus": "ad", "condition": "again"})
    study = Study.model_validate(
        {
            "stimuli": {"ad": {}},
            "respondents": people,
            "recordings": recordings,
            "baseline": {"start_s": -1, "end_s": 1},
        }
    )
    names = [f"p{number}.mp4" for number in range(3)]
    table = in_order(*(watched(name, [0, 1, 2, 3], [0.1, 0.2, 0.3, 0.4]) for name in names))
    return analyze_study(
        StudyInput(study, table, {name: name for name in names}, {}, None, cautions, Path("run"), 1.0), 0
    )


def test_who_has_not_agreed_stands_in_no_table() -> None:
    data = analyse()
    assert data.respondents["respondent"].tolist() == ["p0", "p1", "p2"] == data.recordings["respondent"].tolist()
    assert data.group_columns == ("age",) and data.respondents["consent"].all()
    told = []
    for field in fields(data):
        value = getattr(data, field.name)
        told.append(value.to_csv() if isinstance(value, pd.DataFrame) else str(value))
    text = "\n".join(told)
    assert not any(word in text for word in ("denier", "absentee", "secret", "young", "diagnosis", "again"))


def test_how_many_have_not_agreed_is_said_once() -> None:
    assert analyse().cautions.count(SENTENCE) == 1
    assert analyse(SENTENCE).cautions.count(SENTENCE) == 1
    assert not any("are left out" in caution for caution in analyse().cautions)

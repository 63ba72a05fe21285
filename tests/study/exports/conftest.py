"""Three small studies, as their analysis leaves them."""

import pytest

from fer.reports.study_data import StudyData
from tests.helpers.exported_study import HOSTILE, build_study


@pytest.fixture(scope="module")
def study() -> StudyData:
    """Three people who agreed and one who did not, two stimuli, two conditions, a group column with a gap."""
    groups: dict[str, list[object]] = {"Sex": ["f", "m", None, "f"], "age group": ["18-29", "30-49", "18-29", "50+"]}
    return build_study(["P1", "P2", "P3", "P4"], ["ad_a", "ad_b"], groups, ("", "sound"))


@pytest.fixture(scope="module")
def hostile() -> StudyData:
    """The same tables with names that nobody would choose."""
    groups: dict[str, list[object]] = {
        name: [HOSTILE[(row + column) % len(HOSTILE)] for row in range(len(HOSTILE))]
        for column, name in enumerate(["=cmd", "a/b", "a b", "second", "value", "y" * 300])
    }
    return build_study(HOSTILE, HOSTILE, groups, ("../c", "..\\c"), spread=True)


@pytest.fixture(scope="module")
def empty() -> StudyData:
    """A study whose recordings were all left out."""
    tables = build_study(["P1"], ["ad"], {"sex": ["f"]})
    none = {name: getattr(tables, name).iloc[:0] for name in ("segment_summary", "contrasts", "reliability", "mixed")}
    none |= {name: getattr(tables, name).iloc[:0] for name in ("curves", "moments")}
    return StudyData(**{**vars(tables), **none})

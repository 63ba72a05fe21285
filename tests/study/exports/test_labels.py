"""Labels: legal, unique, and alike where a name is one already."""

import re

import pytest

from fer.study.exports.labels import make_label_list, make_labels
from tests.helpers.exported_study import HOSTILE


@pytest.mark.parametrize("separator", ["_", ""])
@pytest.mark.parametrize("max_length", [6, 12, 64])
def test_labels_are_legal_and_unique_whatever_the_names(separator: str, max_length: int) -> None:
    names = [*HOSTILE, "", "_", "x_2", "x", "X", "x 2", "With", "NA", "9" * 80, "é", "e"]
    labels = make_labels(names, "n", separator, max_length)
    assert list(labels) == list(dict.fromkeys(names))
    allowed = re.compile(rf"[A-Za-z][A-Za-z0-9{separator}]*")
    assert all(allowed.fullmatch(label) and len(label) <= max_length for label in labels.values())
    assert len({label.lower() for label in labels.values()}) == len(labels)
    assert not {"with", "na", "all"} & {label.lower() for label in labels.values()}


def test_who_has_a_label_keeps_it_though_another_comes_first() -> None:
    assert make_labels(["P 1", "P1", "P-12", "P12"], "p", "") == {
        "P 1": "P13",
        "P1": "P1",
        "P-12": "P122",
        "P12": "P12",
    }


def test_repeated_names_of_a_list_have_labels_of_their_own() -> None:
    assert make_label_list(["a", "a_2", "a", "a"], "x") == ["a", "a_2", "a_3", "a_4"]


def test_digits_may_begin_where_the_format_allows_them() -> None:
    assert make_labels(["01", "1"], "sub", "", letter_first=False) == {"01": "01", "1": "1"}

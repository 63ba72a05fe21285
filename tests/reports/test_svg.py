"""Charts as text: where curves lie, what gaps leave out, which ticks are chosen."""

import re

import numpy as np
import pytest

from fer.reports.svg import Chart, choose_ticks, format_plain, spread_limits


def create_chart() -> Chart:
    """A hundred pixels a side, without margins, from 0 to 10."""
    return Chart(100, 100, x=(0, 10), y=(0, 10))


def test_a_curve_goes_from_left_to_right_and_upwards_with_gaps() -> None:
    chart = create_chart()
    chart.add_curve([0, 1, 2, 3, 4, 5], [0, 10, np.nan, 5, 5, np.inf], "red", marker=4)
    svg = chart.render("A curve.")
    assert re.findall(r'<path d="([^"]+)"', svg) == ["M0 100L10 0M30 50L40 50"]
    assert re.findall(r'cx="(\d+)" cy="(\d+)" r="2"', svg) == [("0", "100"), ("10", "0"), ("30", "50"), ("40", "50")]


def test_a_band_is_closed_and_has_gaps() -> None:
    chart = create_chart()
    chart.add_band([0, 5, 10], np.array([1, 1, np.nan]), np.array([2, 3, 3]), "red", 0.2)
    assert re.findall(r'<path d="([^"]+)"', chart.render("")) == ["M0 80L50 70L50 90L0 90Z"]


def test_a_lone_value_is_a_dot_and_no_line() -> None:
    chart = create_chart()
    chart.add_curve([5], [5], "red", marker=8)
    svg = chart.render("")
    assert "<path" not in svg and 'cx="50" cy="50" r="4"' in svg


def test_a_legend_names_each_curve_column_by_column() -> None:
    chart = create_chart()
    for number in range(3):
        chart.add_curve([0, 1], [0, 1], "red", label=f"curve {number}")
    chart.add_curve([0, 1], [0, 1], "red")
    chart.add_legend(columns=2, below=10)
    places = re.findall(r"translate\(([\d.]+) ([\d.]+)\).*?>(curve \d)<", chart.render(""))
    assert [name for *_, name in places] == ["curve 0", "curve 1", "curve 2"]
    assert places[0][0] == places[1][0] != places[2][0] and places[0][1] == places[2][1] != places[1][1]


def test_words_are_no_markup() -> None:
    chart = create_chart()
    chart.add_text(1, 1, "<b>&")
    svg = chart.render('"><script>')
    assert "&lt;b&gt;&amp;" in svg and "<script>" not in svg


@pytest.mark.parametrize(
    ("limits", "intervals", "integer", "expected"),
    [
        ((0, 1), 4, False, [0, 0.25, 0.5, 0.75, 1]),
        ((0.07, 0.52), 5, False, [0.1, 0.2, 0.3, 0.4, 0.5]),
        ((-0.03, 0.031), 4, False, [-0.02, 0, 0.02]),
        ((0.5, 1.5), 10, True, [1]),
        ((0.5, 30.5), 10, True, [5, 10, 15, 20, 25, 30]),
        ((0, 1e-3), 3, False, [0, 0.0005, 0.001]),
        ((3, 3), 5, False, [3]),
    ],
)
def test_ticks_are_round_and_within_the_limits(
    limits: tuple[float, float], intervals: int, integer: bool, expected: list[float]
) -> None:
    assert choose_ticks(*limits, intervals, integer) == expected


def test_ticks_have_the_same_number_of_decimals() -> None:
    assert format_plain([0.5, 0.75, 1]) == ["0.50", "0.75", "1.00"]
    assert format_plain([10, 20]) == ["10", "20"]


def test_limits_have_room_and_know_nothing_of_gaps() -> None:
    assert spread_limits(np.array([0, 10, np.nan, np.inf])) == (-0.5, 10.5)
    assert spread_limits(np.array([2.0])) == (1.9, 2.1)
    low, high = spread_limits(np.array([np.nan]))
    assert low < high

"""Lines of a chart can be told apart, also by the colour-blind, on light and on dark pages."""

import re
from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pytest

from fer.reports.colors import CSS_OF_STAND_IN, EMOTION_COLOURS
from fer.reports.group_figures import get_stroke
from fer.reports.page import read_script
from tests.helpers.colour_vision import DEFICIENCIES, XYZ_OF_RGB, ciede2000, lab, linear_rgb, smallest_distance

THEMES = ("light", "dark")


def variables(theme: str) -> Mapping[str, str]:
    """The colours that style.css gives ``var(--name)``, and the ink."""
    light, dark = re.findall(r":root \{(.*?)\}", read_script("style.css"), re.DOTALL)[:2]
    found = dict(re.findall(r"--([\w-]+): (#\w{6});", light))
    if theme == "dark":
        found |= dict(re.findall(r"--([\w-]+): (#\w{6});", dark))
    return {**{f"var(--{name})": colour for name, colour in found.items()}, "currentColor": found["ink"]}


def test_the_difference_of_colours_is_that_of_its_authors() -> None:
    """Pairs 1, 11 and 34 of Sharma, Wu & Dalal's test data."""
    one = np.array([[50, 2.6772, -79.7751], [50, -1.0, 2.0], [2.0776, 0.0795, -1.135]])
    other = np.array([[50, 0, -82.7485], [50, 0, 0], [0.9033, -0.0636, -0.5514]])
    assert ciede2000(one, other) == pytest.approx([2.0425, 2.3669, 0.9082], abs=1e-4)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_curves_of_emotions_can_be_told_apart(deficiency: str) -> None:
    assert smallest_distance(list(EMOTION_COLOURS.values()), deficiency) >= 14


@pytest.mark.parametrize("theme", THEMES)
def test_curves_of_emotions_stand_out_from_the_page(theme: str) -> None:
    paper = variables(theme)["var(--paper)"]
    luminance = linear_rgb([paper, *EMOTION_COLOURS.values()]) @ XYZ_OF_RGB[1] + 0.05
    assert (np.maximum(luminance[1:], luminance[0]) / np.minimum(luminance[1:], luminance[0])).min() >= 3


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_curves_of_groups_can_be_told_apart(theme: str, deficiency: str) -> None:
    """By colour, or where colours start anew by dashes."""
    known = variables(theme)
    strokes = [get_stroke(number) for number in range(12)]
    seen = lab(linear_rgb([known[CSS_OF_STAND_IN[stroke.colour]] for stroke in strokes]), deficiency)
    for one, other in combinations(range(12), 2):
        differs = strokes[one].dashes != strokes[other].dashes
        assert differs or ciede2000(seen[one], seen[other]) >= 10, (one, other)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_curves_of_a_training_can_be_told_apart(theme: str, deficiency: str) -> None:
    known = variables(theme)
    assert (
        smallest_distance([known[f"var(--{name})"] for name in ("first-curve", "second-curve", "muted")], deficiency)
        >= 10
    )

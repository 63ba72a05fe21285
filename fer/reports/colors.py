"""Colours of figures and pages.

Chrome (ink, rules, curves) is named here and defined in ``templates/style.css``, once for light and once for
dark pages. Emotions keep one fixed colour in both, so that a colour means the same class everywhere: each is
dark enough to stand out on white paper and light enough to stand out on dark paper (contrast of at least 3:1,
WCAG 2.1, success criterion 1.4.11). They always stand beside the class's name, never instead of it.
"""

from collections.abc import Mapping
from types import MappingProxyType

EMOTION_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "anger": "#c9402f",
        "disgust": "#5f8a2e",
        "fear": "#8a5bb8",
        "happiness": "#b5830a",
        "neutral": "#7b828a",
        "sadness": "#3f7fc4",
        "surprise": "#15918c",
        "contempt": "#bb5285",
    }
)

# Matplotlib knows only fixed colours. These stand-ins, which no figure uses otherwise, are exchanged for CSS
# values once the SVG is written, so that one drawing follows the page from light to dark.
INK = "#010203"
MUTED = "#010204"
RULE = "#010205"
TILE = "#010206"
MATRIX = "#010207"
FIRST_CURVE = "#010208"
SECOND_CURVE = "#010209"

CSS_OF_STAND_IN: Mapping[str, str] = MappingProxyType(
    {
        INK: "currentColor",
        MUTED: "var(--muted)",
        RULE: "var(--rule)",
        TILE: "var(--tile)",
        MATRIX: "var(--matrix)",
        FIRST_CURVE: "var(--first-curve)",
        SECOND_CURVE: "var(--second-curve)",
    }
)


def emotion_colour(name: str) -> str:
    """Return an emotion's colour as ``#rrggbb``; that of ``neutral`` for a name that is none of the eight."""
    return EMOTION_COLOURS.get(name, EMOTION_COLOURS["neutral"])

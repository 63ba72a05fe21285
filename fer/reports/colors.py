"""Colours of figures and pages.

Chrome (ink, rules, curves) is named here and defined in ``templates/style.css``, once for light and once for
dark pages. Emotions keep one fixed colour in both, so that a colour means the same class everywhere: each is
dark enough to stand out on white paper and light enough to stand out on dark paper (contrast of at least 3:1,
WCAG 2.1, success criterion 1.4.11), and any two differ by at least 14 (CIEDE2000) for everybody: to normal eyes and
in simulated protanopia, deuteranopia and tritanopia (``tests/reports/test_colors.py``). They always stand beside the
class's name, never instead of it.
"""

from collections.abc import Mapping
from types import MappingProxyType

EMOTION_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "anger": "#cb0000",
        "disgust": "#5e714d",
        "fear": "#ab5efd",
        "happiness": "#bd8a0a",
        "neutral": "#8693b6",
        "sadness": "#3d6a98",
        "surprise": "#049981",
        "contempt": "#ee4172",
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

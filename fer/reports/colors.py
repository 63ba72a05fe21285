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

# One drawing follows the page from light to dark.
INK = "currentColor"
MUTED = "var(--muted)"
RULE = "var(--rule)"
TILE = "var(--tile)"
MATRIX = "var(--matrix)"
FIRST_CURVE = "var(--first-curve)"
SECOND_CURVE = "var(--second-curve)"


def emotion_colour(name: str) -> str:
    """Return an emotion's colour as ``#rrggbb``; that of ``neutral`` for a name that is none of the eight."""
    return EMOTION_COLOURS.get(name, EMOTION_COLOURS["neutral"])

"""Matplotlib figures as inline SVG that takes its font and colours from the page around it.

Figures are made without pyplot, so that neither its global state nor a user's matplotlibrc has a say.
"""

import io
import re
from typing import Any

import matplotlib
import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from fer.reports.colors import CSS_OF_STAND_IN, INK, MUTED, RULE

_PIXELS_PER_INCH = 72  # of matplotlib's SVG: one point becomes one CSS pixel, font sizes included

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": INK,
    "font.size": 12,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid.axis": "y",
    "figure.facecolor": "none",
    "grid.color": RULE,
    "grid.linewidth": 1,
    "lines.linewidth": 2,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0,
    "legend.handlelength": 1.6,
}

house_style = matplotlib.style.context(["default", _STYLE])


def create_axes(
    width: int, height: int, left: int = 0, right: int = 0, top: int = 0, bottom: int = 0
) -> tuple[Figure, Axes]:
    """Create a figure of ``width`` x ``height`` CSS pixels and the axes on it, with margins in pixels."""
    figure = Figure(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH))
    FigureCanvasSVG(figure)
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    return figure, figure.add_axes(box)


def render_svg(figure: Figure, name: str, alt: str) -> Markup:
    """Render a figure as an ``<svg>`` element for HTML; equal figures give equal text.

    Args:
        figure: The figure.
        name: Unique on the page: ids inside the SVG derive from it.
        alt: Describes the figure to those who do not see it.
    """
    buffer = io.StringIO()
    no_metadata: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would apply to the whole page
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", text)
    # Ids of groups ("axes_1") recur in every figure, but a page may hold an id only once.
    referenced = set(re.findall(r'(?:url\(|href=")#([\w.-]+)', text))
    text = re.sub(r' id="([\w.-]+)"', lambda match: match[0] if match[1] in referenced else "", text)
    for stand_in, css in CSS_OF_STAND_IN.items():
        text = text.replace(stand_in, css)
    width, height = (round(inches * _PIXELS_PER_INCH) for inches in figure.get_size_inches())
    opening = Markup('<svg role="img" aria-label="{}" width="{}" height="{}" viewBox="0 0 {} {}">').format(
        alt, width, height, width, height
    )
    return opening + Markup(text[text.index(">") + 1 :].rstrip())

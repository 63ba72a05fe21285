"""Charts as inline SVG that takes its font and colours from the page around it.

They are written as text: a page has up to a hundred of them, and a library of plots takes thirty milliseconds for each.
Lengths are CSS pixels; what is drawn first lies below.
"""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from fer.reports.colors import INK, MUTED, RULE

FONT_SIZE = 12
# Of the page's font, which is not known here: what a letter takes on average, and half the height of a digit.
_LETTER_WIDTH, _HALF_DIGIT = 6.4, 4.3
_TICK_LENGTH = 3.5
_STEPS, _WHOLE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0), (1.0, 2.0, 5.0, 10.0)
_HANDLE_WIDTH, _HANDLE_GAP, _COLUMN_GAP, _LEGEND_ROW = 18, 8, 17, 17
_FAINT_DASHES = (1.25, 2.5)


class Chart:
    """Axes of straight scales, with margins around them.

    Args:
        width: Of the whole, pixels.
        height: Of the whole, pixels.
        left: Margin, pixels; so are ``right``, ``top`` and ``bottom``.
        x: What the left and the right end of the axes stand for.
        y: What their lower and upper end stand for.

    Examples:
        >>> chart = Chart(420, 264, left=60, right=12, top=28, bottom=40, x=(0, 10), y=(0, 1))
        >>> chart.add_curve([0, 10], [0.2, 0.9], "var(--first-curve)")
        >>> chart.render("It rises.").startswith('<svg role="img" aria-label="It rises."')
        True
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        left: int = 0,
        right: int = 0,
        top: int = 0,
        bottom: int = 0,
        x: tuple[float, float],
        y: tuple[float, float],
    ) -> None:
        self._size = (width, height)
        self._left, self._right, self._top, self._bottom = left, width - right, top, height - bottom
        self._x, self._y = x, y
        self._grid: list[str] = []
        self._marks: list[str] = []
        self._curves: list[tuple[str, str, str]] = []

    def add_curve(
        self,
        x: Sequence[float] | np.ndarray,
        y: Sequence[float] | np.ndarray,
        colour: str,
        *,
        label: str | None = None,
        width: float = 2,
        dashes: Sequence[float] = (),
        marker: float = 0,
    ) -> None:
        """Draw a curve with gaps where ``y`` is no number.

        Args:
            x: (N,) positions.
            y: (N,) values.
            colour: A CSS colour.
            label: Its name in the legend; None leaves it out.
            width: Of the line.
            dashes: Lengths of dashes and gaps.
            marker: Diameter of the dots on it; 0 draws none.
        """
        points = [*zip(self._place_x(x), self._place_y(y), strict=True)]
        look = f"fill: none; stroke: {colour}; stroke-width: {width:g}{_format_dashes(dashes)}"
        runs = _split_at_gaps(points)
        if path := "".join(f"M{'L'.join(f'{_round(a)} {_round(b)}' for a, b in run)}" for run in runs if len(run) > 1):
            self._marks.append(f'<path d="{path}" style="{look}"/>')
        if marker:
            self._marks += [_draw_dot(a, b, marker / 2, colour) for run in runs for a, b in run]
        if label is not None:
            self._curves.append((label, look, _draw_dot(_HANDLE_WIDTH / 2, 0, marker / 2, colour) if marker else ""))

    def add_band(
        self, x: Sequence[float] | np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, opacity: float
    ) -> None:
        """Fill between two curves (N,), but for gaps."""
        edges = zip(self._place_x(x), self._place_y(low), self._place_y(high), strict=True)
        for run in _split_at_gaps([*edges]):
            outline = [(a, upper) for a, _, upper in run] + [(a, lower) for a, lower, _ in reversed(run)]
            path = "L".join(f"{_round(a)} {_round(b)}" for a, b in outline)
            self._marks.append(f'<path d="M{path}Z" style="fill: {colour}; opacity: {opacity:g}"/>')

    def add_dots(self, x: np.ndarray, y: np.ndarray, diameters: np.ndarray, colour: str, opacity: float) -> None:
        """Draw dots (N,) of their own sizes."""
        for a, b, diameter in zip(self._place_x(x), self._place_y(y), diameters, strict=True):
            self._marks.append(_draw_dot(a, b, diameter / 2, colour, opacity))

    def add_box(self, x: tuple[float, float], y: tuple[float, float], colour: str, opacity: float = 1) -> None:
        """Fill a rectangle between two positions and two values."""
        (left, right), (one, other) = self._place_x(x), self._place_y(y)
        faint = f"; opacity: {opacity:.6g}" if opacity < 1 else ""
        self._marks.append(
            f'<rect x="{_round(min(left, right))}" y="{_round(min(one, other))}" width="{_round(abs(right - left))}" '
            f'height="{_round(abs(other - one))}" style="fill: {colour}{faint}"/>'
        )

    def add_text(
        self, x: float, y: float, text: str, colour: str = INK, *, anchor: str = "middle", bold: bool = False
    ) -> None:
        """Write in the middle of a position, or beginning 5 pixels behind it (anchor "start")."""
        (across,), (down,) = self._place_x([x]), self._place_y([y])
        across += 5 if anchor == "start" else 0
        self._marks.append(_write(across, down + _HALF_DIGIT, text, colour, anchor, bold=bold))

    def add_rule(self, *, x: float | None = None, y: float | None = None, strong: bool = False) -> None:
        """Draw a line through all of the axes at a position, or at a value: dotted, or a strong one of the grid."""
        look = f"stroke: {RULE}; stroke-width: 1.5" if strong else _describe_faint_line()
        self._grid.append(self._draw_rule(x, y, look))

    def add_diagonal(self) -> None:
        """Draw a dotted line from the lower left corner to the upper right one."""
        self._grid.append(_draw_line(self._left, self._bottom, self._right, self._top, _describe_faint_line()))

    def add_x_axis(
        self,
        ticks: Sequence[float],
        labels: Sequence[str],
        title: str,
        *,
        grid: bool = False,
        slanted: bool = False,
    ) -> None:
        """Write below the axes: a label a tick, and a title. Slanted ones have the colour of ink, and no line."""
        places = self._place_x(ticks)
        if slanted:
            for across, label in zip(places, labels, strict=True):
                # Anchored at its end, it stays under its column whatever font the reader's device has.
                turn = f"rotate(-40 {_round(across)} {self._bottom + 10})"
                self._marks.append(_write(across, self._bottom + 12, label, INK, "end", transform=turn))
        else:
            line = f"stroke: {RULE}; stroke-width: 0.8"
            self._grid.append(_draw_line(self._left, self._bottom, self._right, self._bottom, line))
            for tick, across, label in zip(ticks, places, labels, strict=True):
                if grid:
                    self._grid.append(self._draw_rule(tick, None, f"stroke: {RULE}"))
                self._grid.append(_draw_line(across, self._bottom, across, self._bottom + _TICK_LENGTH, line))
                self._marks.append(_write(across, self._bottom + 17, label, MUTED))
        below = self._size[1] - 14 if slanted else self._bottom + 34
        self._marks.append(_write((self._left + self._right) / 2, below, title, MUTED))

    def add_y_axis(
        self, ticks: Sequence[float], labels: Sequence[str], title: str = "", *, grid: bool = True, colour: str = MUTED
    ) -> None:
        """Write on the left of the axes: a label a tick, and a title from below to above."""
        for tick, down, label in zip(ticks, self._place_y(ticks), labels, strict=True):
            if grid:
                self._grid.append(self._draw_rule(None, tick, f"stroke: {RULE}"))
            self._marks.append(_write(self._left - 5, down + _HALF_DIGIT, label, colour, "end"))
        if title:
            middle = _round((self._top + self._bottom) / 2)
            self._marks.append(_write(11, float(middle), title, MUTED, transform=f"rotate(-90 11 {middle})"))

    def add_legend(self, columns: int, below: int | None = None, centred: bool = False) -> None:
        """Name the curves above the axes, or so many pixels below them; columns are filled one after the other."""
        if not self._curves:
            return
        rows = math.ceil(len(self._curves) / columns)
        across = float(self._left)
        filled = [self._curves[first : first + rows] for first in range(0, len(self._curves), rows)]
        widths = [max(_measure(label) for label, _, _ in column) + _HANDLE_WIDTH + _HANDLE_GAP for column in filled]
        if centred:
            across = max(0.0, (self._size[0] - sum(widths) - _COLUMN_GAP * (len(widths) - 1)) / 2)
        start = self._top - 14 if below is None else self._bottom + below
        for column, width in zip(filled, widths, strict=True):
            for row, (label, look, marker) in enumerate(column):
                place = f"translate({_round(across)} {_round(start + row * _LEGEND_ROW)})"
                line = f'<path d="M0 0H{_HANDLE_WIDTH}" style="{look}"/>{marker}'
                text = _write(_HANDLE_WIDTH + _HANDLE_GAP, _HALF_DIGIT, label, INK, "start")
                self._marks.append(f'<g transform="{place}">{line}{text}</g>')
            across += width + _COLUMN_GAP

    def render(self, alt: str) -> Markup:
        """The chart as an ``<svg>`` element.

        Args:
            alt: Describes it to those who do not see it.
        """
        width, height = self._size
        opening = Markup(
            '<svg role="img" aria-label="{}" width="{}" height="{}" viewBox="0 0 {} {}" font-size="{}">'
        ).format(alt, width, height, width, height, FONT_SIZE)
        return opening + Markup("\n".join([*self._grid, *self._marks])) + Markup("</svg>")

    def _draw_rule(self, x: float | None, y: float | None, look: str) -> str:
        if x is not None:
            (across,) = self._place_x([x])
            return _draw_line(across, self._top, across, self._bottom, look)
        (down,) = self._place_y([0.0 if y is None else y])
        return _draw_line(self._left, down, self._right, down, look)

    def _place_x(self, x: Sequence[float] | np.ndarray) -> list[float]:
        return _scale(x, self._x, self._left, self._right)

    def _place_y(self, y: Sequence[float] | np.ndarray) -> list[float]:
        return _scale(y, self._y, self._bottom, self._top)


def choose_ticks(low: float, high: float, intervals: int, integer: bool = False) -> list[float]:
    """Choose round numbers from ``low`` to ``high`` at equal distances, at most so many distances."""
    distance = max((high - low) / intervals, 1.0 if integer else 1e-12)
    power = 10.0 ** math.floor(math.log10(distance))
    steps = _WHOLE_STEPS if integer else _STEPS
    step = next(step * power for step in steps if step * power >= distance * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def format_plain(ticks: Sequence[float]) -> list[str]:
    """Write ticks with as many decimals as the longest of them needs."""
    decimals = max((len(f"{tick:g}".partition(".")[2]) for tick in ticks), default=0)
    return [f"{tick:.{decimals}f}" if abs(tick) >= 1e-4 or not tick else f"{tick:g}" for tick in ticks]


def spread_limits(values: np.ndarray) -> tuple[float, float]:
    """The range of finite values with a twentieth of room on either side."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    room = 0.05 * ((high - low) or abs(high) or 1.0)
    return low - room, high + room


def _scale(values: Sequence[float] | np.ndarray, range_: tuple[float, float], start: float, end: float) -> list[float]:
    low, high = range_
    placed = start + (np.asarray(values, dtype=float) - low) * ((end - start) / (high - low))
    return [float(value) for value in placed]


def _split_at_gaps(points: Sequence[tuple[float, ...]]) -> list[list[tuple[float, ...]]]:
    """Neighbours of which each coordinate is a number."""
    runs: list[list[tuple[float, ...]]] = [[]]
    for point in points:
        if all(map(math.isfinite, point)):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _write(
    x: float,
    y: float,
    text: str,
    colour: str,
    anchor: str = "middle",
    *,
    bold: bool = False,
    transform: str = "",
) -> str:
    weight = "; font-weight: bold" if bold else ""
    turned = f' transform="{transform}"' if transform else ""
    look = f"fill: {colour}; text-anchor: {anchor}{weight}"
    return f'<text x="{_round(x)}" y="{_round(y)}"{turned} style="{look}">{escape(text)}</text>'


def _draw_line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    ends = " ".join(f'{name}="{_round(value)}"' for name, value in (("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)))
    return f'<line {ends} style="{look}"/>'


def _draw_dot(x: float, y: float, radius: float, colour: str, opacity: float = 1) -> str:
    faint = f"; opacity: {opacity:g}" if opacity < 1 else ""
    return f'<circle cx="{_round(x)}" cy="{_round(y)}" r="{_round(radius)}" style="fill: {colour}{faint}"/>'


def _describe_faint_line() -> str:
    return f"stroke: {MUTED}; stroke-width: 1.25{_format_dashes(_FAINT_DASHES)}"


def _format_dashes(dashes: Sequence[float]) -> str:
    return f"; stroke-dasharray: {' '.join(f'{length:g}' for length in dashes)}" if dashes else ""


def _measure(text: str) -> float:
    return _LETTER_WIDTH * len(text)


def _round(pixels: float) -> str:
    return f"{pixels:.2f}".rstrip("0").rstrip(".")

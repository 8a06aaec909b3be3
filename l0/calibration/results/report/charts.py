"""The charts of the report: small inline SVGs, so that the page needs no library.

The style sheet of the page sets colours and fonts by class. A `title` in a shape is its tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from l0.common.formatting import amount, percent

#: The charts are narrow, so that their text stays readable at the width of a phone.
WIDTH, HEIGHT = 440, 286
LEFT, RIGHT, TOP, BOTTOM = 60, 414, 30, 238
#: The number of points of a cumulative curve, and of bars of a histogram.
STEPS, BARS = 120, 36
#: The number of cells along each axis of a chart of numbers after against before.
CELLS = 28
#: An axis of counts ends at this number or later, so that its ticks are whole numbers.
FEWEST = 6.0
#: The ticks within a decade, for a logarithmic axis that spans more than so many decades.
_LOG_STEPS = ((3, (1,)), (1.5, (1, 3)), (0.8, (1, 2, 5)), (0, (1, 1.5, 2, 3, 4, 5, 6, 8)))
#: The largest error on an axis: 100,000%.
LARGEST_SHOWN = 1e3
#: The smallest value in the chart of a run, as a share of the largest.
SMALLEST_SHOWN = 1e-8


@dataclass(frozen=True)
class Axis:
    """An axis, which maps numbers to positions in the drawing.

    Attributes
    ----------
    low, high : float
        The numbers at the ends. Both are positive if `log` is true.
    start, stop : float
        The positions of the ends.
    log : bool
        Whether the axis is logarithmic.
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, values: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Map numbers to positions. Numbers beyond an end go to the end."""
        low, high, x = self.low, self.high, np.clip(values, self.low, self.high)
        if self.log:
            low, high, x = math.log(low), math.log(high), np.log(x)
        return self.start + (x - low) / (high - low) * (self.stop - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round numbers between the ends, about `most` of them."""
        if not self.log:
            step = _round_up((self.high - self.low) / most)
            first = math.ceil(self.low / step - 1e-9)
            last = math.floor(self.high / step + 1e-9)
            return [step * place for place in range(first, last + 1)]
        decades = math.log10(self.high / self.low)
        every = math.ceil(decades / (most + 1))
        steps = next(steps for least, steps in _LOG_STEPS if decades > least)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [10.0**power * step for power in powers if power % every == 0 for step in steps]
        return [tick for tick in ticks if self.low * 0.999 <= tick <= self.high * 1.001]


def cumulative(
    errors: Mapping[str, NDArray[np.float64]], *, things: str, lowest: float, label: str
) -> Markup:
    """Draw the share of `things` with an error of at most x, on a logarithmic axis.

    Parameters
    ----------
    errors : dict of str to ndarray
        Absolute relative errors, by the class and name of the curve.
    things : str
        The name of the things that are counted, in the plural.
    lowest : float
        The left end of the axis.
    label : str
        A description of the chart, for screen readers.
    """
    largest = max(float(error.max()) for error in errors.values())
    power = math.ceil(math.log10(min(max(largest, 1.0), LARGEST_SHOWN)))
    x = Axis(lowest, 10.0**power, LEFT, RIGHT, log=True)
    y = Axis(0, 1, BOTTOM, TOP)
    grid = np.geomspace(x.low, x.high, STEPS)
    shares = {
        name: np.searchsorted(np.sort(error), grid * (1 + 1e-12), side="right") / len(error)
        for name, error in errors.items()
    }
    parts = [
        _frame_x(x, percent, "Error of at most"),
        _frame_y(y, percent, f"Share of {things}"),
    ]
    for limit in (0.01, 0.1):
        place = float(x(limit))
        parts.append(_shape("line", x1=place, x2=place, y1=TOP, y2=BOTTOM, class_="mark"))
    for name, share in shares.items():
        parts.append(_line(x(grid), y(share), f"line {name}"))
    width = (RIGHT - LEFT) / (STEPS - 1)
    for i, error in enumerate(grid):
        shown = "; ".join(f"{name}: {percent(share[i])}" for name, share in shares.items())
        parts.append(
            _shape(
                "rect",
                f"Error of at most {percent(error)}. Share of {things}: {shown}",
                x=float(x(error)) - width / 2,
                y=TOP,
                width=width,
                height=BOTTOM - TOP,
                class_="hit",
            )  # fmt: skip
        )
    return _svg(parts, label)


def histogram(values: NDArray[np.float64], *, unit: str, things: str, label: str) -> Markup:
    """Draw a histogram of positive numbers, with bins of equal width on a logarithmic axis.

    Parameters
    ----------
    values : ndarray of float64
        Positive numbers.
    unit : str
        The title of the axis.
    things : str
        The name of the things that are counted, in the plural.
    label : str
        A description of the chart, for screen readers.
    """
    low, high = float(values.min()), float(values.max())
    if high < low * 1.5:  # all numbers are nearly equal: make room around the one bar
        low, high = low / 2, high * 2
    edges = np.geomspace(low * 0.999, high * 1.001, BARS + 1)
    counts, _ = np.histogram(values, edges)
    x = Axis(edges[0], edges[-1], LEFT, RIGHT, log=True)
    y = Axis(0, max(float(counts.max()), FEWEST), BOTTOM, TOP)
    parts = [_frame_x(x, amount, unit), _frame_y(y, amount, things.capitalize())]
    places, tops = x(edges), y(counts.astype(float))
    for i in np.flatnonzero(counts):
        # The bar of a non-empty bin has at least this height. Else the tails would be invisible.
        top = min(float(tops[i]), BOTTOM - 1.0)
        parts.append(
            _shape(
                "rect",
                f"{amount(edges[i])} to {amount(edges[i + 1])}: {counts[i]:,} {things}",
                x=float(places[i]),
                y=top,
                width=float(places[i + 1] - places[i]) - 1,
                height=BOTTOM - top,
                class_="bar",
            )  # fmt: skip
        )
    return _svg(parts, label)


def against(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    *,
    write: Callable[[float], str],
    units: tuple[str, str],
    things: str,
    label: str,
) -> Markup:
    """Draw positive numbers after against those before, as cells, stronger for more of them.

    Both axes are logarithmic, and a dotted line marks where nothing changes.

    Parameters
    ----------
    before, after : ndarray of float64, shape (n,)
    write : callable
        How the numbers are written.
    units : tuple of str
        The titles of the axis of `before` and of that of `after`.
    things : str
        The name of the things that are counted, in the plural.
    label : str
        A description of the chart, for screen readers.
    """
    edges, axes = [], []
    for values, start, stop in ((before, LEFT, RIGHT), (after, BOTTOM, TOP)):
        low, high = float(values.min()), float(values.max())
        if high < low * 1.5:  # all numbers are nearly equal: make room around the one cell
            low, high = low / 2, high * 2
        edges.append(np.geomspace(low * 0.999, high * 1.001, CELLS + 1))
        axes.append(Axis(edges[-1][0], edges[-1][-1], start, stop, log=True))
    counts, _, _ = np.histogram2d(before, after, edges)
    x, y = axes
    parts = [_frame_x(x, write, units[0]), _frame_y(y, write, units[1])]
    xs, ys = x(edges[0]), y(edges[1])
    for i, j in np.argwhere(counts):
        count = int(counts[i, j])
        parts.append(
            _shape(
                "rect",
                f"{write(edges[0][i])} to {write(edges[0][i + 1])} before, "
                f"{write(edges[1][j])} to {write(edges[1][j + 1])} after: {count:,} {things}",
                x=float(xs[i]),
                y=float(ys[j + 1]),
                width=float(xs[i + 1] - xs[i]),
                height=float(ys[j] - ys[j + 1]),
                class_="cell",
                # A cell of one can be seen beside one of thousands.
                fill_opacity=0.2 + 0.8 * math.log1p(count) / math.log1p(counts.max()),
            )  # fmt: skip
        )
    low, high = max(x.low, y.low), min(x.high, y.high)
    if low < high:
        ends = np.array([low, high])
        parts.append(_line(x(ends), y(ends), "mark"))
    return _svg(parts, label)


def course(
    iterations: NDArray[np.float64],
    values: NDArray[np.float64],
    stages: Sequence[str],
    *,
    is_share: bool,
    unit: str,
    label: str,
    along: str = "Iterations and epochs",
) -> Markup:
    """Draw positive numbers along a run on a logarithmic axis, with a line for each stage.

    Parameters
    ----------
    iterations, values : ndarray, shape (t,)
    stages : sequence of str, length t
        The stages, which are also the classes of the lines.
    is_share : bool
        Whether to write the numbers as percentages.
    unit : str
        The title of the axis.
    label : str
        A description of the chart, for screen readers.
    along : str
        The title of the axis of iterations.
    """
    write = percent if is_share else amount
    largest = float(values.max()) or 1.0
    # Smaller values, such as a loss of 0, lie on the lower edge.
    seen = values[values >= largest * SMALLEST_SHOWN]
    low, high = float(seen.min(initial=largest)) * 0.8, largest * 1.25
    x = Axis(0, max(float(iterations.max()), FEWEST), LEFT, RIGHT)
    y = Axis(low, high, BOTTOM, TOP, log=True)
    parts = [_frame_x(x, amount, along), _frame_y(y, write, unit)]
    xs, ys = x(iterations), y(values)
    starts = [i for i in range(len(stages)) if i == 0 or stages[i] != stages[i - 1]]
    for start, stop in zip(starts, [*starts[1:], len(stages)], strict=True):
        parts.append(_line(xs[start:stop], ys[start:stop], f"line {stages[start]}"))
    for i, stage in enumerate(stages):
        tip = f"Iteration {iterations[i]:,.0f} ({stage}): {write(values[i])}"
        parts.append(
            _shape("circle", tip, cx=float(xs[i]), cy=float(ys[i]), r=3.5, class_=f"point {stage}")
        )
    return _svg(parts, label)


def change(before: float, after: float) -> Markup:
    """Draw two shares on a line from 0 to 100%: a hollow dot before, and a full dot after."""
    x = Axis(0, 1, 6, 94)
    a, b = float(x(before)), float(x(after))
    parts = [
        _shape("line", x1=6, x2=94, y1=8, y2=8, class_="grid"),
        _shape("line", x1=a, x2=b, y1=8, y2=8, class_="link"),
        _shape("circle", cx=a, cy=8, r=4, class_="dot before"),
        _shape("circle", cx=b, cy=8, r=4, class_="dot after"),
    ]
    return Markup(
        '<svg class="change" viewBox="0 0 100 16" width="100" height="16" aria-hidden="true">'
        "{}</svg>"
    ).format(Markup("").join(parts))


def _svg(parts: Sequence[Markup], label: str) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" tabindex="0" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, label, Markup("\n").join(parts))


def _shape(tag: str, tip: str = "", **attributes: float | str) -> Markup:
    written = " ".join(
        f'{name.rstrip("_").replace("_", "-")}="'
        f'{escape(value) if isinstance(value, str) else f"{value:.4g}"}"'
        for name, value in attributes.items()
    )
    title = Markup("<title>{}</title>").format(tip) if tip else ""
    return Markup("<{} {}>{}</{}>").format(Markup(tag), Markup(written), title, Markup(tag))


def _text(content: str, x: float, y: float, anchor: str, class_: str = "tick") -> Markup:
    return Markup('<text x="{:.4g}" y="{:.4g}" text-anchor="{}" class="{}">{}</text>').format(
        x, y, anchor, class_, content
    )


def _line(xs: NDArray[np.float64], ys: NDArray[np.float64], class_: str) -> Markup:
    points = " ".join(f"{x:.4g},{y:.4g}" for x, y in zip(xs, ys, strict=True))
    return _shape("polyline", points=points, class_=class_)


def _frame_x(axis: Axis, write: Callable[[float], str], unit: str) -> Markup:
    parts = [_shape("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis")]
    for tick in axis.ticks():
        place = float(axis(tick))
        parts.append(_shape("line", x1=place, x2=place, y1=BOTTOM, y2=BOTTOM + 4, class_="axis"))
        parts.append(_text(write(tick), place, BOTTOM + 18, "middle"))
    parts.append(_text(unit, (LEFT + RIGHT) / 2, HEIGHT - 8, "middle", "unit"))
    return Markup("").join(parts)


def _frame_y(axis: Axis, write: Callable[[float], str], unit: str) -> Markup:
    parts = [_text(unit, 0, 14, "start", "unit")]
    for tick in axis.ticks(5):
        place = float(axis(tick))
        parts.append(_shape("line", x1=LEFT, x2=RIGHT, y1=place, y2=place, class_="grid"))
        parts.append(_text(write(tick), LEFT - 6, place + 4, "end"))
    return Markup("").join(parts)


def _round_up(step: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * lead for lead in (1, 2, 5, 10) if power * lead >= step * (1 - 1e-9))

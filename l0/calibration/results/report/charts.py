"""The charts of the report: small inline SVGs, so that the page needs no library."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from l0.calibration.results.report.drawing import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    frame_x,
    frame_y,
    line,
    shape,
    svg,
)
from l0.common.formatting import amount, percent

#: The number of points of a cumulative curve, and of bars of a histogram.
STEPS, BARS = 120, 36
#: The number of cells along each axis of a chart of numbers after against before.
CELLS = 28
#: An axis of counts ends at this number or later, so that its ticks are whole numbers.
FEWEST = 6.0
#: The largest error on an axis: 100,000%.
LARGEST_SHOWN = 1e3
#: The smallest value in the chart of a run, as a share of the largest.
SMALLEST_SHOWN = 1e-8


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
        frame_x(x, percent, "Error of at most"),
        frame_y(y, percent, f"Share of {things}"),
    ]
    for limit in (0.01, 0.1):
        place = float(x(limit))
        parts.append(shape("line", x1=place, x2=place, y1=TOP, y2=BOTTOM, class_="mark"))
    for name, share in shares.items():
        parts.append(line(x(grid), y(share), f"line {name}"))
    width = (RIGHT - LEFT) / (STEPS - 1)
    for i, error in enumerate(grid):
        shown = "; ".join(f"{name}: {percent(share[i])}" for name, share in shares.items())
        parts.append(
            shape(
                "rect",
                f"Error of at most {percent(error)}. Share of {things}: {shown}",
                x=float(x(error)) - width / 2,
                y=TOP,
                width=width,
                height=BOTTOM - TOP,
                class_="hit",
            )  # fmt: skip
        )
    return svg(parts, label)


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
    parts = [frame_x(x, amount, unit), frame_y(y, amount, things.capitalize())]
    places, tops = x(edges), y(counts.astype(float))
    for i in np.flatnonzero(counts):
        # The bar of a non-empty bin has at least this height. Else the tails would be invisible.
        top = min(float(tops[i]), BOTTOM - 1.0)
        parts.append(
            shape(
                "rect",
                f"{amount(edges[i])} to {amount(edges[i + 1])}: {counts[i]:,} {things}",
                x=float(places[i]),
                y=top,
                width=float(places[i + 1] - places[i]) - 1,
                height=BOTTOM - top,
                class_="bar",
            )  # fmt: skip
        )
    return svg(parts, label)


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
    parts = [frame_x(x, write, units[0]), frame_y(y, write, units[1])]
    xs, ys = x(edges[0]), y(edges[1])
    for i, j in np.argwhere(counts):
        count = int(counts[i, j])
        parts.append(
            shape(
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
        parts.append(line(x(ends), y(ends), "mark"))
    return svg(parts, label)


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
    parts = [frame_x(x, amount, along), frame_y(y, write, unit)]
    xs, ys = x(iterations), y(values)
    starts = [i for i in range(len(stages)) if i == 0 or stages[i] != stages[i - 1]]
    for start, stop in zip(starts, [*starts[1:], len(stages)], strict=True):
        parts.append(line(xs[start:stop], ys[start:stop], f"line {stages[start]}"))
    for i, stage in enumerate(stages):
        tip = f"Iteration {iterations[i]:,.0f} ({stage}): {write(values[i])}"
        parts.append(
            shape("circle", tip, cx=float(xs[i]), cy=float(ys[i]), r=3.5, class_=f"point {stage}")
        )
    return svg(parts, label)


def change(before: float, after: float) -> Markup:
    """Draw two shares on a line from 0 to 100%: a hollow dot before, and a full dot after."""
    x = Axis(0, 1, 6, 94)
    a, b = float(x(before)), float(x(after))
    parts = [
        shape("line", x1=6, x2=94, y1=8, y2=8, class_="grid"),
        shape("line", x1=a, x2=b, y1=8, y2=8, class_="link"),
        shape("circle", cx=a, cy=8, r=4, class_="dot before"),
        shape("circle", cx=b, cy=8, r=4, class_="dot after"),
    ]
    return Markup(
        '<svg class="change" viewBox="0 0 100 16" width="100" height="16" aria-hidden="true">'
        "{}</svg>"
    ).format(Markup("").join(parts))

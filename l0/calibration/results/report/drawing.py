"""What charts are drawn with: axes, frames, lines and shapes, as parts of an inline SVG.

The style sheet of the page sets colours and fonts by class. A `title` in a shape is its tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

#: The charts are narrow, so that their text stays readable at the width of a phone.
WIDTH, HEIGHT = 440, 286
LEFT, RIGHT, TOP, BOTTOM = 60, 414, 30, 238
#: The ticks within a decade, for a logarithmic axis that spans more than so many decades.
_LOG_STEPS = ((3, (1,)), (1.5, (1, 3)), (0.8, (1, 2, 5)), (0, (1, 1.5, 2, 3, 4, 5, 6, 8)))


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
        decades = math.log10(self.high) - math.log10(self.low)
        every = math.ceil(decades / (most + 1))
        steps = next(steps for least, steps in _LOG_STEPS if decades > least)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [10.0**power * step for power in powers if power % every == 0 for step in steps]
        return [tick for tick in ticks if self.low * 0.999 <= tick <= self.high * 1.001]


def svg(parts: Sequence[Markup], label: str) -> Markup:
    """Put parts together as a chart with a description for screen readers."""
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" tabindex="0" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, label, Markup("\n").join(parts))


def shape(tag: str, tip: str = "", **attributes: float | str) -> Markup:
    """Write an element. An underline at the end of a name is left out, others become hyphens."""
    written = " ".join(
        f'{name.rstrip("_").replace("_", "-")}="'
        f'{escape(value) if isinstance(value, str) else f"{value:.4g}"}"'
        for name, value in attributes.items()
    )
    title = Markup("<title>{}</title>").format(tip) if tip else ""
    return Markup("<{} {}>{}</{}>").format(Markup(tag), Markup(written), title, Markup(tag))


def text(content: str, x: float, y: float, anchor: str, class_: str = "tick") -> Markup:
    """Write a text at a position."""
    return Markup('<text x="{:.4g}" y="{:.4g}" text-anchor="{}" class="{}">{}</text>').format(
        x, y, anchor, class_, content
    )


def line(xs: NDArray[np.float64], ys: NDArray[np.float64], class_: str) -> Markup:
    """Draw a line through points."""
    points = " ".join(f"{x:.4g},{y:.4g}" for x, y in zip(xs, ys, strict=True))
    return shape("polyline", points=points, class_=class_)


def frame_x(axis: Axis, write: Callable[[float], str], unit: str) -> Markup:
    """Draw a horizontal axis with its ticks and its title."""
    parts = [shape("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis")]
    for tick in axis.ticks():
        place = float(axis(tick))
        parts.append(shape("line", x1=place, x2=place, y1=BOTTOM, y2=BOTTOM + 4, class_="axis"))
        parts.append(text(write(tick), place, BOTTOM + 18, "middle"))
    parts.append(text(unit, (LEFT + RIGHT) / 2, HEIGHT - 8, "middle", "unit"))
    return Markup("").join(parts)


def frame_y(axis: Axis, write: Callable[[float], str], unit: str) -> Markup:
    """Draw the lines of a vertical axis, their numbers, and the title above them."""
    parts = [text(unit, 0, 14, "start", "unit")]
    for tick in axis.ticks(5):
        place = float(axis(tick))
        parts.append(shape("line", x1=LEFT, x2=RIGHT, y1=place, y2=place, class_="grid"))
        parts.append(text(write(tick), LEFT - 6, place + 4, "end"))
    return Markup("").join(parts)


def _round_up(step: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * lead for lead in (1, 2, 5, 10) if power * lead >= step * (1 - 1e-9))

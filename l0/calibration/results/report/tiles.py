"""Tiles that show the mean error of the targets of each level of a label column.

US states stand about where they are on a map, in the tile grid of National Public Radio (2015).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from l0.calibration.problem.losses import capped_error
from l0.calibration.results.report.table import Column

#: The upper ends of the mean errors of the first four colours; the fifth has no end.
HEAT = (0.01, 0.03, 0.10, 0.30)
#: Up to how many levels the tiles are open at first, and up to how many there are tiles.
OPEN, MOST = 60, 1_000
#: The number of states from which on a map says more than a row.
FEWEST_STATES = 10
_MAP = """
AK .. .. .. .. .. .. .. .. .. ME
.. .. .. .. .. WI .. .. .. VT NH
WA ID MT ND MN IL MI .. NY MA ..
OR NV WY SD IA IN OH PA NJ CT RI
CA UT CO NE MO KY WV VA MD DE ..
.. AZ NM KS AR TN NC SC DC .. ..
.. .. .. OK LA MS AL GA .. .. ..
HI .. .. TX .. .. .. .. FL .. PR
"""
#: The column and the row of each state on the map, from 1. The keys are the codes of the post.
STATES = {
    code: (x, y)
    for y, line in enumerate(_MAP.strip().splitlines(), start=1)
    for x, code in enumerate(line.split(), start=1)
    if code != ".."
}


#: What stands for a level that cannot be seen, such as a space; `table.js` has it too.
BLANK = "(blank)"


@dataclass(frozen=True)
class Tile:
    """A level: its number of targets, their mean capped error, its colour, and its place if any."""

    level: str
    count: int
    error: float
    heat: int
    place: tuple[int, int] | None

    @property
    def title(self) -> str:
        """The level, or words where there is nothing to see."""
        seen = any(unicodedata.category(sign)[0] not in "CZ" for sign in self.level)
        return self.level if seen else BLANK


@dataclass(frozen=True)
class Strip:
    """The tiles of a label column, in natural order; none if there are too many levels."""

    key: str
    title: str
    n_levels: int
    tiles: list[Tile]
    is_map: bool

    @property
    def is_open(self) -> bool:
        """Whether the tiles are open at first."""
        return self.n_levels <= OPEN


def strips(columns: Iterable[Column], relative_errors: ArrayLike) -> list[Strip]:
    """Make the tiles of label columns.

    A column of one level, or of none, has no tiles.

    Parameters
    ----------
    columns : iterable of Column
        Choices, in which "" is no label.
    relative_errors : array of float, shape (m,)
    """
    capped = capped_error(np.asarray(relative_errors, dtype=np.float64))
    return [found for column in columns if (found := _strip(column, capped)).n_levels > 1]


def _strip(column: Column, capped: NDArray[np.float64]) -> Strip:
    codes = np.asarray(column.values, dtype=np.int64)
    counts = np.bincount(codes, minlength=len(column.levels))
    sums = np.bincount(codes, capped, minlength=len(column.levels))
    levels = [place for place, level in enumerate(column.levels) if level]
    names = {column.levels[place] for place in levels}
    is_map = len(names) >= FEWEST_STATES and names <= set(STATES)
    tiles = []
    if len(levels) <= MOST:
        for place in levels:
            name, error = column.levels[place], float(sums[place] / counts[place])
            heat = int(np.searchsorted(HEAT, error))
            tiles.append(Tile(name, int(counts[place]), error, heat,
                              STATES[name] if is_map else None))  # fmt: skip
    return Strip(column.key, column.title, len(levels), tiles, is_map)

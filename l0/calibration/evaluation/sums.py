"""Totals and ratios of a measure in cells: their reference, their support, and a result's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.evaluation.units import Cells, Measure

#: A statistic counts if its effective number of records is at least this. A sample of half of the
#: records then estimates it with a coefficient of variation of at most 10%.
LEAST_EFFECTIVE_N = 100.0
#: The shares of the units with an amount that the thresholds of an amount leave below them.
QUANTILES = (0.25, 0.5, 0.75)


def supported(effective_n: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which statistics have enough records behind them to count."""
    return effective_n >= LEAST_EFFECTIVE_N


def effective_number(
    total: NDArray[np.float64], squares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the effective number of records, (sum c)^2 / sum c^2, or 0 if all c are 0."""
    return np.divide(total**2, squares, out=np.zeros(len(total)), where=squares > 0)


@dataclass(frozen=True, eq=False)
class Sums:
    """A measure under the reference weights, and under the weights of a result.

    Attributes
    ----------
    places : ndarray of int64, shape (p,)
        The positions of the units with a number.
    contributions : ndarray of float64, shape (p,)
        Under the reference weights.
    squares : ndarray of float64, shape (p,)
        The squares of the contributions.
    places_now : ndarray of int64, shape (q,)
        Of the units that the result keeps.
    contributions_now : ndarray of float64, shape (q,)
    """

    places: NDArray[np.int64]
    contributions: NDArray[np.float64]
    squares: NDArray[np.float64]
    places_now: NDArray[np.int64]
    contributions_now: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        measure: Measure,
        reference: NDArray[np.float64],
        weights: NDArray[np.float64] | None = None,
    ) -> Sums:
        """Weigh the numbers of a measure. Without weights of a result, it keeps no unit."""
        contributions = reference[measure.places] * measure.values
        now = np.zeros(0) if weights is None else weights[measure.places] * measure.values
        chosen = np.flatnonzero(now)
        return cls(
            measure.places,
            contributions,
            contributions**2,
            measure.places[chosen],
            now[chosen],
        )

    def totals(self, cells: Cells) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the reference, and the effective number of records, of each cell."""
        codes = cells.codes[self.places]
        total = _add_up(codes, self.contributions, cells.size)
        return total, effective_number(total, _add_up(codes, self.squares, cells.size))

    def estimates(self, cells: Cells) -> NDArray[np.float64]:
        """Compute the totals of the result."""
        return _add_up(cells.codes[self.places_now], self.contributions_now, cells.size)

    def under(
        self,
        cells: Cells,
        shown: NDArray[np.int64],
        record: NDArray[np.int64],
        columns: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Compute the totals of some cells, where the units have these weights beside their own."""
        row = np.full(cells.size, -1)
        row[shown] = np.arange(len(shown))
        row = row[cells.codes[self.places_now]]
        inside = row >= 0
        entries = (row[inside], record[self.places_now[inside]])
        shape = (len(shown), len(columns))
        sums = sp.coo_array((self.contributions_now[inside], entries), shape=shape).tocsr()
        return np.asarray(sums @ columns)


@dataclass(frozen=True, eq=False)
class Ratios:
    """The mean of an amount where it is not 0, and the shares of units up to its quartiles.

    Attributes
    ----------
    holders : Sums
        The number of units whose amount is not 0.
    numerators : list of (str, Sums)
        By the names of the ratios.
    """

    holders: Sums
    numerators: list[tuple[str, Sums]]

    @classmethod
    def of(
        cls, measure: Measure, reference: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> Ratios:
        """Weigh the numbers that are not 0, and count their units."""
        everyone = measure.part(np.ones(len(measure.places), dtype=bool))
        numerators = [(f"mean {measure.name} where not 0", Sums.of(measure, reference, weights))]
        for threshold in _thresholds(measure, reference):
            part = measure.part(measure.values <= threshold)
            name = f"share with {measure.name} up to {threshold:,.6g} where not 0"
            numerators.append((name, Sums.of(part, reference, weights)))
        return cls(Sums.of(everyone, reference, weights), numerators)

    def found(self, cells: Cells) -> Iterator[Found]:
        """Find the ratios in some cells."""
        total, least_n = self.holders.totals(cells)
        for name, numerator in self.numerators:
            of_numerator, effective_n = numerator.totals(cells)
            effective_n = np.minimum(effective_n, least_n)
            shown = np.flatnonzero(supported(effective_n))
            reference = divided(of_numerator, total)
            yield Found(name, cells, shown, reference, effective_n, True, numerator, self.holders)


@dataclass(frozen=True, eq=False)
class Found:
    """A statistic in cells of the same label columns.

    Attributes
    ----------
    name : str
    cells : Cells
    shown : ndarray of int64, shape (c,)
        The cells that count.
    reference, effective_n : ndarray of float64, shape (cells.size,)
    held_out : bool
    numerator : Sums
    denominator : Sums or None
    """

    name: str
    cells: Cells
    shown: NDArray[np.int64]
    reference: NDArray[np.float64]
    effective_n: NDArray[np.float64]
    held_out: bool
    numerator: Sums
    denominator: Sums | None = None

    def estimate(self) -> NDArray[np.float64]:
        """Compute the statistic of the result in each cell that counts, shape (c,)."""
        top = self.numerator.estimates(self.cells)[self.shown]
        if self.denominator is None:
            return top
        return divided(top, self.denominator.estimates(self.cells)[self.shown])

    def estimates(
        self, record: NDArray[np.int64], columns: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Compute it under columns of weights, shape (k, C), which a unit has by its record."""
        top = self.numerator.under(self.cells, self.shown, record, columns)
        if self.denominator is None:
            return top
        return divided(top, self.denominator.under(self.cells, self.shown, record, columns))


def _thresholds(measure: Measure, reference: NDArray[np.float64]) -> list[float]:
    """Find the weighted quartiles of the numbers that are not 0, without repetitions."""
    if not len(measure.places):
        return []
    order = np.argsort(measure.values, kind="stable")
    cumulated = np.cumsum(reference[measure.places][order])
    at = np.searchsorted(cumulated, np.array(QUANTILES) * cumulated[-1])
    found = measure.values[order][at.clip(max=len(order) - 1)]
    return [float(value) for value in np.unique(found) if value < measure.values.max()]


def divided(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Divide, with 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


def _add_up(
    codes: NDArray[np.int64], amounts: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    return np.bincount(codes, amounts, size).astype(np.float64, copy=False)

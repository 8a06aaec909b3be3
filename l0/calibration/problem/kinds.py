"""Kinds of targets: totals, means, ratios and shares, with a value or with limits.

A ratio of two totals is not linear in the weights w. That it equals v, or is at least v, is:

    (N w) / (D w) = v   is   (N - v D) w = 0,        (N w) / (D w) >= v   is   (N - v D) w >= 0,

if the denominator D w is above 0. A row of the problem's matrix is N for a total, and N - v D for a
mean, a ratio or a share. A mean has a count as its denominator, and a share the total of a larger
cell. The size of the denominator turns an error of the ratio into an error of the row: it is a
published total if the targets have one, and else the design-weighted total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

#: An entry N - v D is a rounding error and becomes 0 if it is at most this share of its two parts.
#: With such an entry, a record whose own ratio is v would seem to move the target.
ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Kinds:
    """What the targets of a problem state, if some of them are not totals with a value.

    Attributes
    ----------
    statistics : sequence of str, length m
        ``total``, ``mean``, ``ratio`` or ``share``.
    at_least, at_most : ndarray of float64, shape (m,)
        The limits of each statistic. Both are the value of a target that has one, and a side
        without a limit is infinite.
    denominators : scipy.sparse.csr_array, shape (m, n)
        D. The rows of totals are empty.
    sizes : ndarray of float64, shape (m,)
        The size of each denominator, and 1 for a total.
    """

    statistics: Sequence[str]
    at_least: NDArray[np.float64]
    at_most: NDArray[np.float64]
    denominators: sp.csr_array
    sizes: NDArray[np.float64]

    def of(self, rows: NDArray[np.int64]) -> Kinds:
        """Take some targets, by their positions."""
        return Kinds(
            [self.statistics[row] for row in rows],
            self.at_least[rows],
            self.at_most[rows],
            self.denominators[rows],
            self.sizes[rows],
        )

    @cached_property
    def is_total(self) -> NDArray[np.bool_]:
        """Whether each target is a total, shape (m,)."""
        return np.array([statistic == "total" for statistic in self.statistics])

    @cached_property
    def ends(self) -> NDArray[np.float64]:
        """The limit of each target that is finite, shape (m,): the lower one if both are."""
        return np.where(np.isfinite(self.at_least), self.at_least, self.at_most)

    @cached_property
    def largest(self) -> NDArray[np.float64]:
        """The size of the larger finite limit of each target, shape (m,)."""
        sides = np.abs([self.at_least, self.at_most])
        return np.asarray(np.where(np.isfinite(sides), sides, 0.0).max(axis=0))

    def of_rows(self, limits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn limits of the statistics into limits of the rows of the matrix, shape (m,)."""
        return np.where(self.is_total, limits, np.where(np.isfinite(limits), 0.0, limits))

    def in_own_terms(
        self, totals: NDArray[np.float64], denominators: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Turn totals of the rows into estimates of the statistics.

        Parameters
        ----------
        totals : ndarray of float64, shape (m,)
            The totals of the rows, (N - v D) w.
        denominators : ndarray of float64, shape (m,)
            D w. Those of totals do not count.

        Returns
        -------
        ndarray of float64, shape (m,)
            NaN where the denominator is 0.

        Examples
        --------
        >>> import numpy as np
        >>> import scipy.sparse as sp
        >>> from l0.calibration.problem.kinds import Kinds
        >>> mean = np.array([50.0])
        >>> kinds = Kinds(["mean"], mean, mean, sp.csr_array([[1.0, 1.0]]), np.array([2.0]))
        >>> kinds.in_own_terms(np.array([6.0]), np.array([3.0]))
        array([52.])
        """
        by = np.where(self.is_total, 1.0, denominators)
        parts = np.divide(totals, by, out=np.full(len(totals), np.nan), where=by != 0)
        return np.where(self.is_total, totals, self.ends + parts)


def fitted_rows(
    numerators: sp.csr_array, denominators: sp.csr_array, values: NDArray[np.float64]
) -> sp.csr_array:
    """Compute N - v D, without entries that are rounding errors.

    Parameters
    ----------
    numerators, denominators : scipy.sparse.csr_array, shape (r, n)
    values : ndarray of float64, shape (r,)

    Returns
    -------
    scipy.sparse.csr_array, shape (r, n)
    """
    parts = sp.csr_array(sp.diags_array(values) @ denominators)
    rows = sp.csr_array(numerators - parts)
    real = sp.csr_array(abs(rows) - ROUNDING * (abs(numerators) + abs(parts))) > 0
    return sp.csr_array(rows.multiply(real))


def record_ratios(
    rows: sp.csr_array, denominators: sp.csr_array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find how far the ratios of single records are from the value of their target.

    Parameters
    ----------
    rows, denominators : scipy.sparse.csr_array, shape (r, n)
        N - v D, and D.

    Returns
    -------
    lowest, highest : ndarray of float64, shape (r,)
        The smallest and the largest N / D - v of a record with D > 0. They are infinite if the
        ratio of several records can be outside: if some denominators are negative, or if a record
        without a denominator has a numerator.
    """
    lowest, highest = np.full(rows.shape[0], -np.inf), np.full(rows.shape[0], np.inf)
    for row in range(rows.shape[0]):
        parts, of = rows[[row]], denominators[[row]]
        entries, by = parts.data, np.zeros(len(parts.data))
        places = np.searchsorted(of.indices, parts.indices).clip(max=max(of.nnz - 1, 0))
        if of.nnz:
            found = of.indices[places] == parts.indices
            by[found] = of.data[places[found]]
        if (of.data < 0).any() or not (by > 0).all():
            continue
        ratios = entries / by
        # A record whose own ratio is v has no entry in the row.
        at_value = np.zeros(1 if len(ratios) < np.count_nonzero(of.data) else 0)
        both = np.concatenate([ratios, at_value])
        lowest[row], highest[row] = both.min(), both.max()
    return lowest, highest

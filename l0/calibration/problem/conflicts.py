"""Targets that contradict each other: an irreducible set of them, and by how much they do.

The targets are low <= A u <= high with lower <= u <= upper. The linear programme

    min tau    such that    low - tau s <= A u <= high + tau s,    lower <= u <= upper,

with the scales s of the targets, has the optimum 0 if they can be met together. If not, its
multipliers lam prove it (Farkas' lemma): they solve the dual, which maximises the gap of the proof
under sum_j |lam_j| s_j = 1. A basic solution has few lam_j != 0, and the targets of these alone
contradict each other (Gleeson & Ryan 1990, ORSA Journal on Computing 2(1)).

1. The programme with all targets names the first set.
2. The deletion filter (Chinneck & Dravnieks 1991, ORSA Journal on Computing 3(2), section 2) makes
   the set irreducible: it drops a target if the others still contradict each other. The new
   multipliers may drop more.
3. For each target that is left, the programme with s = 0 for all others says what error remains on
   it if the others are met. The smallest of these errors is reported.

A programme has a column for each record, and few of them matter. Columns that are proportional are
put together. Some of the others are in the programme as they are, and those with an upper limit are
in it as pools, whose records all have the same share of their limits. The multipliers price the
columns: those that can lower tau most get a place of their own, and a pool is split into the
records that should have more and those that should have less (column generation, Dantzig & Wolfe
1960, Operations Research 8(1); the pools are ours). This ends when tau is 0, or when the
multipliers prove all of tau for all records.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from l0.common.errors import SHOWN
from l0.common.formatting import percent

#: Targets that can be met together up to this relative error do not contradict each other. The
#: solver is not more precise.
PRECISION = 1e-6
#: Multipliers up to this size are 0: sum_j |lam_j| s_j is 1.
ZERO = 1e-7
#: The part of tau that need not be proved.
GAP = 1e-3
#: The numbers of columns that have a place of their own at the start, and that get one in a round:
#: in all, and for each target. With 2,018 targets of 300,000 records, one round is enough.
STARTS, ADDED = (1000, 4), (100, 2)
#: All columns of a row with at most so many entries start with a place of their own.
NARROW = 20
#: A column has a place of its own, or none yet, or the number of its pool.
OWN, NONE = -2, -1


@dataclass(frozen=True)
class Conflict:
    """Targets that cannot be met together, though each proper subset of them can.

    Attributes
    ----------
    rows : ndarray of int64, shape (c,)
        The positions of the targets, the one with the largest share in the contradiction first.
    error : float
        The smallest relative error that remains on one of them if the others are met.
    """

    rows: NDArray[np.int64]
    error: float


def conflict(
    A: sp.csr_array,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    lower: float | NDArray[np.float64],
    upper: float | NDArray[np.float64],
    scales: NDArray[np.float64],
    seconds: float = 60.0,
) -> Conflict | None:
    """Find targets that contradict each other.

    Parameters
    ----------
    A : scipy.sparse.csr_array, shape (m, n)
    low, high : ndarray of float64, shape (m,)
        The totals that meet a target lie between them. A side may be infinite.
    lower, upper : float or ndarray of float64, shape (n,)
        The limits of u, with 0 <= lower <= upper. `upper` may be infinite.
    scales : ndarray of float64, shape (m,)
        Relative errors are errors divided by it.
    seconds : float
        The time limit.

    Returns
    -------
    Conflict or None
        None if all targets can be met together up to a relative error of 1e-6.

    Raises
    ------
    TimeoutError
        If the time is over before it is known.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from l0.calibration.problem.conflicts import conflict
    >>> A = sp.csr_array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 5.0]])
    >>> totals = np.array([105.0, 40.0, 60.0, 20.0])
    >>> found = conflict(A, totals, totals, 0, np.inf, totals)
    >>> found.rows, round(found.error, 4)
    (array([0, 2, 1]), 0.0476)
    """
    deadline = time.perf_counter() + seconds
    n = A.shape[1]
    # In v = u - lower, the smallest v is 0.
    at_lower = A @ np.broadcast_to(np.asarray(lower, dtype=np.float64), n)
    low, high = (low - at_lower) / scales, (high - at_lower) / scales
    free = np.broadcast_to(np.asarray(upper - lower, dtype=np.float64), n)
    relative = sp.csr_array(sp.diags_array(1 / scales) @ A.astype(np.float64))
    rows = np.arange(A.shape[0])
    tau, multipliers = _System(relative, low, high, free, deadline).relax(rows)
    if tau <= PRECISION:
        return None
    rows = np.flatnonzero(np.abs(multipliers) > ZERO)
    few = _System(relative[rows], low[rows], high[rows], free, deadline)
    irreducible = few.filter(np.argsort(np.abs(multipliers[rows]), kind="stable"))
    _, multipliers = few.relax(irreducible)
    order = np.argsort(-np.abs(multipliers[irreducible]), kind="stable")
    irreducible = irreducible[order]
    errors = [few.relax(irreducible, alone)[0] for alone in irreducible]
    # A target that is tiny beside its entries may seem to give way at no cost.
    return Conflict(rows[irreducible], min([error for error in errors if error > 0], default=tau))


def conflict_message(names: Sequence[str], found: Conflict) -> str:
    """Say which targets contradict each other, and by how much.

    Parameters
    ----------
    names : sequence of str, length m
    found : Conflict

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.problem.conflicts import Conflict, conflict_message
    >>> conflict_message(["all", "men", "women"], Conflict(np.array([0, 1, 2]), 0.05))
    'all, men and women contradict each other by 5%'
    """
    involved = [names[row] for row in found.rows]
    if len(involved) == 1:
        return f"{involved[0]} cannot be met: an error of {percent(found.error)} remains"
    rest = len(involved) - SHOWN
    first, last = (involved[:-1], involved[-1]) if rest <= 0 else (involved[:SHOWN], f"{rest} more")
    return f"{', '.join(first)} and {last} contradict each other by {percent(found.error)}"


class _System:
    """low <= A v <= high and 0 <= v <= upper, with proportional columns of A put together.

    The columns are scaled to a largest absolute entry of 1, so that one tolerance is for all.
    """

    def __init__(
        self,
        A: sp.csr_array,
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        upper: NDArray[np.float64],
        deadline: float,
    ) -> None:
        self._low, self._high, self._deadline = low, high, deadline
        columns = sp.csc_array(A)
        size = abs(columns).max(axis=0).toarray().ravel()
        useful = np.flatnonzero((size > 0) & (upper > 0))
        columns, size = columns[:, useful], size[useful]
        # Entries that only rounding tells apart become equal.
        columns.data = np.round(columns.data / np.repeat(size, np.diff(columns.indptr)), 12)
        generator = np.random.default_rng(0)
        # Two random sums of a column are its fingerprint. As one complex number, they are sorted
        # eight times as fast as a row of two.
        real, imaginary = (columns.T @ generator.standard_normal((A.shape[0], 2))).T
        _, kept, group = np.unique(real + 1j * imaginary, return_index=True, return_inverse=True)
        self._A = columns[:, kept]
        self._prices = sp.csr_array(self._A.T)
        self._upper = np.bincount(group.ravel(), upper[useful] * size)
        self._place = np.where(np.isfinite(self._upper), 0, NONE)
        starts = STARTS[0] + STARTS[1] * A.shape[0]
        self._place[generator.permutation(len(kept))[:starts]] = OWN
        by_row = sp.csr_array(self._A)
        of_each_row = by_row.indices[by_row.indptr[:-1][np.diff(by_row.indptr) > 0]]
        self._place[of_each_row] = OWN
        narrow = np.diff(by_row.indptr) <= NARROW
        self._place[by_row[narrow].indices] = OWN

    def relax(
        self, rows: NDArray[np.int64], alone: int | None = None
    ) -> tuple[float, NDArray[np.float64]]:
        """Compute the least relative error tau of some rows, or of one of them if the others hold.

        Returns
        -------
        tau : float
            0 if all hold, and infinite if the others cannot hold.
        multipliers : ndarray of float64, shape (m,)
            Positive for a row that wants more, and 0 for rows that are left out.
        """
        elastic = np.ones(len(rows)) if alone is None else (rows == alone).astype(np.float64)
        A, all_prices = self._A[rows], self._prices[:, rows]
        low, high = self._low[rows], self._high[rows]
        multipliers = np.zeros(self._A.shape[0])
        while True:
            own, pools = np.flatnonzero(self._place == OWN), self._pools()
            columns = sp.hstack([A[:, own], A @ pools], format="csc")
            upper = np.concatenate([self._upper[own], np.ones(pools.shape[1])])
            tau, found = _solve(columns, low, high, elastic, upper, self._deadline)
            multipliers[rows] = found
            if tau <= PRECISION:
                return 0.0, multipliers
            prices = all_prices @ found
            prices[np.abs(prices) <= ZERO] = 0
            more, pooled = prices > 0, self._place >= 0
            wanting = np.flatnonzero((more & (self._place == NONE)) | ((prices != 0) & pooled))
            sides = np.where(found > 0, low, high)[found != 0]
            proved = found[found != 0] @ sides - prices[more] @ self._upper[more]
            if proved >= (1 - GAP) * tau or not len(wanting):
                return tau, multipliers
            # A column with an entry of 1 meets a target alone if it may reach 1.
            gain = np.abs(prices[wanting]) * np.minimum(self._upper[wanting], 1.0)
            best = np.argsort(-gain, kind="stable")[: ADDED[0] + ADDED[1] * len(rows)]
            self._place[pooled] = 2 * self._place[pooled] + more[pooled]
            self._place[wanting[best]] = OWN

    def _pools(self) -> sp.csc_array:
        """Make the matrix of the pools: a column for each, with the limits of its records."""
        pooled = np.flatnonzero(self._place >= 0)
        numbers, self._place[pooled] = np.unique(self._place[pooled], return_inverse=True)
        places = (pooled, self._place[pooled])
        return sp.csc_array((self._upper[pooled], places), shape=(len(self._place), len(numbers)))

    def filter(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Drop rows, in this order, until each proper subset of the rows can hold."""
        for row in rows:
            if row in rows:
                others = rows[rows != row]
                tau, multipliers = self.relax(others)
                if tau > PRECISION:
                    rows = others[np.abs(multipliers[others]) > ZERO]
        return np.sort(rows)


def _solve(
    A: sp.csc_array,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    elastic: NDArray[np.float64],
    upper: NDArray[np.float64],
    deadline: float,
) -> tuple[float, NDArray[np.float64]]:
    """Solve min tau such that low - tau e <= A v <= high + tau e and 0 <= v <= upper."""
    left = deadline - time.perf_counter()
    if left <= 0:
        raise TimeoutError
    below, above = np.flatnonzero(np.isfinite(low)), np.flatnonzero(np.isfinite(high))
    with_tau = sp.hstack([A, -sp.csc_array(elastic[:, None])], format="csr")
    without = sp.hstack([-A, -sp.csc_array(elastic[:, None])], format="csr")
    solved = linprog(
        np.append(np.zeros(A.shape[1]), 1.0),
        A_ub=sp.vstack([without[below], with_tau[above]], format="csc"),
        b_ub=np.concatenate([-low[below], high[above]]),
        bounds=np.column_stack([np.zeros(A.shape[1] + 1), np.append(upper, np.inf)]),
        method="highs-ds",
        options={"time_limit": left},
    )
    multipliers = np.zeros(len(low))
    if solved.status == 2:
        return np.inf, multipliers
    if solved.status:
        raise TimeoutError
    marginals = -solved.ineqlin.marginals
    multipliers[below] += marginals[: len(below)]
    multipliers[above] -= marginals[len(below) :]
    return float(solved.fun), multipliers

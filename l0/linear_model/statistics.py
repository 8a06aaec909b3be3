"""The products of columns that least squares needs, computed at once or row by row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import DenseDesign, Design, Positions

Matrix = NDArray[np.float64]

#: Other columns span a column if they explain all but this share of its square.
SPANNED = 1e-11
#: A gain below this share of the sum of squares of Y counts as 0.
GAIN = 1e-9
#: These limits are this much larger where products are computed in single precision.
SINGLE, SINGLE_SPANNED = 1e3, 1e5
#: All products are computed at once with at most FEW columns, or with at most MANY columns and
#: twice as many rows as columns.
FEW, MANY = 400, 5_000


class GramRows:
    """Rows of Z'Z. Each is computed from the columns when it is first needed, and then kept."""

    def __init__(self, design: Design) -> None:
        self._design = design
        n_columns = design.shape[1]
        self._slots = np.full(n_columns, -1)
        self._rows = np.empty((0, n_columns))
        self._held = 0

    def rows(self, which: Positions) -> Matrix:
        """Return some rows, (m, p), as a copy that the caller may change."""
        new = which[self._slots[which] < 0]
        if len(new):
            self._compute(new)
        rows: Matrix = self._rows[self._slots[which]]
        return rows

    def block(self, which: Positions) -> Matrix:
        """Return the products among some columns, (m, m)."""
        return DenseDesign(self._design.columns(which)).gram()

    def _compute(self, new: Positions) -> None:
        end = self._held + len(new)
        if end > len(self._rows):
            more = np.empty((max(2 * len(self._rows), end, 32), len(self._slots)))
            more[: self._held] = self._rows[: self._held]
            self._rows = more
        self._rows[self._held : end] = self._design.products(self._design.columns(new)).T
        self._slots[new] = np.arange(self._held, end)
        self._held = end


class Statistics:
    """Z'Z + l2 I and Z'Y, all that a search reads of the data.

    With many rows, Z'Z is computed at once. With many columns, only those of its rows are computed
    that the search needs, each once, so that no p x p matrix is ever held.

    Parameters
    ----------
    cross : ndarray of float64, shape (p, q)
        Z'Y.
    squares : ndarray of float64, shape (p,)
        Diagonal of Z'Z.
    source : ndarray of float64, shape (p, p), or GramRows
        Z'Z, at once or row by row.
    total : float
        Sum of squares of Y; infinite if it is unknown.
    l2 : float
        The ridge.
    slack : float
        The factor by which rounding errors are larger than in double precision.

    Attributes
    ----------
    diagonal : ndarray of float64, shape (p,)
        The diagonal of Z'Z + l2 I; 0 for columns of zeros.
    spanned : float
        A column is spanned if others leave at most this share of its square.
    rounding : float
        A gain of at most this counts as 0.
    """

    def __init__(
        self,
        cross: Matrix,
        squares: Matrix,
        source: Matrix | GramRows,
        total: float = math.inf,
        l2: float = 0.0,
        slack: float = 1.0,
    ) -> None:
        self.cross, self.squares, self.source = cross, squares, source
        self.total, self.l2, self.slack = total, l2, slack
        most = np.einsum("ij,ij->i", cross, cross).max(initial=0.0) if total == math.inf else total
        self.spanned = SPANNED * (SINGLE_SPANNED if slack > 1 else 1.0)
        self.rounding = GAIN * slack * float(most)
        #: The largest square: with the inverse, it bounds the condition of chosen columns.
        self.largest = float(squares.max(initial=0.0))
        self.diagonal = np.where(squares > 0, squares + l2, 0.0)

    @classmethod
    def of(cls, design: Design, outcome: Matrix, l2: float = 0.0) -> Statistics:
        """Compute the statistics of columns Z and of outcomes Y of shape (n, q)."""
        n, p = design.shape
        single = isinstance(design, DenseDesign) and design.z.dtype == np.float32
        source = design.gram() if p <= FEW or 2 * p <= n and p <= MANY else GramRows(design)
        squares = np.diag(source).copy() if isinstance(source, np.ndarray) else design.squares
        return cls(
            design.products(outcome),
            squares,
            source,
            float(np.sum(outcome.astype(np.float64) ** 2)),
            l2,
            SINGLE if single else 1.0,
        )

    def rows(self, which: Positions) -> Matrix:
        """Return rows of Z'Z + l2 I, (m, p)."""
        if isinstance(self.source, np.ndarray):
            rows = self.source[which]
        else:
            rows = self.source.rows(which)
        rows[np.arange(len(which)), which] = self.diagonal[which]
        return rows

    def block(self, which: Positions) -> Matrix:
        """Return Z'Z + l2 I among some columns, (m, m)."""
        if isinstance(self.source, np.ndarray):
            gram = self.source[np.ix_(which, which)]
        else:
            gram = self.source.block(which)
        np.fill_diagonal(gram, self.diagonal[which])
        return gram

    def with_l2(self, l2: float) -> Statistics:
        """Return the same statistics with another ridge."""
        return Statistics(self.cross, self.squares, self.source, self.total, l2, self.slack)

    def restricted(self, which: Positions) -> Statistics:
        """Return the statistics of some columns alone."""
        # The block already holds the ridge, but `rows` and `block` set the diagonal anyway.
        return Statistics(
            self.cross[which],
            self.squares[which],
            self.block(which),
            self.total,
            self.l2,
            self.slack,
        )

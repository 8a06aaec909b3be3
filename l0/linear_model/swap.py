"""What adding, dropping or exchanging a column does to least squares on the chosen ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions
from l0.linear_model.statistics import Matrix, Statistics


class Exchange:
    """The regression of all other columns and of the outcomes on the chosen columns.

    Gains and losses are in what is explained of the outcomes, less the ridge.

    Parameters
    ----------
    statistics : Statistics
    chosen : ndarray of int64, shape (k,)
    fixed : int, default 0
        So many of the first of the chosen stay.

    Attributes
    ----------
    value : float
        What the chosen columns explain.
    """

    def __init__(self, statistics: Statistics, chosen: Positions, fixed: int = 0) -> None:
        cross, rows = statistics.cross, statistics.rows(chosen)
        self.statistics, self.chosen, self.fixed = statistics, chosen, fixed
        self.rows = rows
        self.inverse = np.asarray(np.linalg.inv(rows[:, chosen]), np.float64)
        #: Of each column on the chosen ones, (k, p), and of the outcomes on them, (k, q).
        self.paths = self.inverse @ rows
        self.slopes = self.inverse @ cross[chosen]
        self.value = float(np.sum(self.slopes * cross[chosen]))
        #: What is left of the columns' squares, (p,), and of their products with the outcomes.
        self.left = statistics.diagonal - np.einsum("ij,ij->j", rows, self.paths)
        self.left[chosen] = 0.0
        self.residual = cross - rows.T @ self.slopes
        self.residual[chosen] = 0.0
        self._squares = np.einsum("ij,ij->i", self.residual, self.residual)
        self._plain_inverse = self._inverse_without_ridge()
        self._spanned = self._spanned_columns()

    def adds(self) -> Matrix:
        """What adding each column gains, (p,); -inf for one that adds nothing of its own."""
        return self._adds(self._squares)

    def drops(self) -> Matrix:
        """What dropping each chosen column loses, (k,); infinite for those that stay."""
        lost = np.einsum("ij,ij->i", self.slopes, self.slopes) / np.diag(self.inverse)
        lost[: self.fixed] = np.inf
        return np.asarray(lost)

    def swaps(self) -> Matrix:
        """What exchanging each chosen column for each column gains, (k, p)."""
        pivot = np.diag(self.inverse)[:, None]
        slopes = np.einsum("ij,ij->i", self.slopes, self.slopes)[:, None]
        # Without chosen column i, column j has more left over, along what only i explained.
        along = self.paths / pivot
        explained = self._squares + 2 * along * (self.slopes @ self.residual.T) + along**2 * slopes
        gains: Matrix = _ratio(explained, self.left + along * self.paths) - slopes / pivot
        gains[:, self.chosen] = -np.inf
        if len(self._spanned):
            own = self._own_without_each()
            gains[:, self._spanned] = np.where(own, gains[:, self._spanned], -np.inf)
        gains[: self.fixed] = -np.inf
        return gains

    def best_swap(self) -> tuple[float, int, int]:
        """The largest gain of an exchange, the place that is given up and the column that comes."""
        return best_of(self.swaps())

    def _adds(self, squares: Matrix) -> Matrix:
        gains = _ratio(squares, self.left)
        gains[self.chosen] = gains[self._spanned] = -np.inf
        return gains

    def _spanned_columns(self) -> Positions:
        """Columns not chosen that add nothing of their own; a ridge is no part of them."""
        own = self.left
        if self.statistics.l2:
            paths = self._plain_inverse @ self.rows
            own = self.statistics.squares - np.einsum("ij,ij->j", self.rows, paths)
        spanned = own <= self.statistics.spanned * self.statistics.squares
        spanned[self.chosen] = False
        return np.flatnonzero(spanned)

    def _own_without_each(self) -> NDArray[np.bool_]:
        """Whether spanned columns add something where a chosen one is missing, (k, how many)."""
        along = self._plain_inverse @ self.rows[:, self._spanned]
        own = along**2 / np.diag(self._plain_inverse)[:, None]
        return own > self.statistics.spanned * self.statistics.squares[self._spanned]

    def _inverse_without_ridge(self) -> Matrix:
        if not self.statistics.l2:
            return self.inverse
        gram = self.rows[:, self.chosen].copy()
        gram[np.diag_indices(len(gram))] = self.statistics.squares[self.chosen]
        return np.asarray(np.linalg.inv(gram), np.float64)


def best_of(gains: Matrix) -> tuple[float, int, int]:
    """The largest gain and its place; -inf where there is none."""
    if not gains.size:
        return -np.inf, -1, -1
    out, new = divmod(int(gains.argmax()), gains.shape[1])
    return float(gains[out, new]), out, new


def _ratio(squares: Matrix, left: Matrix) -> Matrix:
    """What is gained along what is left of columns; of nothing, nothing."""
    ratio: Matrix = np.divide(squares, left, out=np.zeros(squares.shape), where=left > 0)
    return ratio

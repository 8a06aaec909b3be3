"""What adding, dropping or swapping a column does to least squares on the chosen columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions
from l0.linear_model.statistics import Matrix, Statistics

#: The relative rounding error of a number.
EPSILON = float(np.finfo(np.float64).eps)


class Swap:
    r"""The regression of the outcomes, and of all columns, on the chosen columns.

    It gives the gain of every move from here. Let A = Z'Z + l2 I, and let C be the chosen columns.
    The regression on C has the slopes :math:`s = A_{CC}^{-1} Z_C'Y` and explains

    .. math::
        v = \operatorname{tr} Y'Z_C \, s

    of the outcomes; with a ridge, v is the explained sum of squares less the ridge's penalty. Each
    column j has the slopes :math:`P_j = A_{CC}^{-1} A_{Cj}` on C, keeps the square
    :math:`d_j = A_{jj} - A_{jC} P_j`, and keeps the products
    :math:`r_j = Z_j'Y - A_{jC} \, s` with the outcomes. With :math:`m_i = (A_{CC}^{-1})_{ii}`,

    .. math::
        \text{add } j: \; \frac{\lVert r_j \rVert^2}{d_j} \qquad
        \text{drop } i: \; -\frac{\lVert s_i \rVert^2}{m_i} \qquad
        \text{swap } i \text{ for } j: \;
        \frac{\lVert r_j + P_{ij} s_i / m_i \rVert^2}{d_j + P_{ij}^2 / m_i}
        - \frac{\lVert s_i \rVert^2}{m_i}

    These are the pivots of the sweep operator (Goodnight 1979, "A tutorial on the SWEEP operator",
    The American Statistician 33(3)): a swap drops i and then adds j.

    Parameters
    ----------
    statistics : Statistics
    chosen : ndarray of int64, shape (k,)
        C.
    fixed : int, default 0
        The first `fixed` of the chosen columns are neither dropped nor swapped.

    Attributes
    ----------
    value : float
        v, what the chosen columns explain.
    slopes : ndarray of float64, shape (k, q)
        s.
    """

    def __init__(self, statistics: Statistics, chosen: Positions, fixed: int = 0) -> None:
        cross, rows = statistics.cross, statistics.rows(chosen)
        self.statistics, self.chosen, self.fixed = statistics, chosen, fixed
        self.rows = rows
        self.inverse = np.asarray(np.linalg.inv(rows[:, chosen]), np.float64)
        #: P, the slopes of each column on the chosen ones, (k, p).
        self.paths = self.inverse @ rows
        self.slopes = self.inverse @ cross[chosen]
        self.value = float(np.sum(self.slopes * cross[chosen]))
        #: d, what each column keeps of its square, (p,).
        self.left = statistics.diagonal - np.einsum("ij,ij->j", rows, self.paths)
        self.left[chosen] = 0.0
        #: r, what each column keeps of its products with the outcomes, (p, q).
        self.residual = cross - rows.T @ self.slopes
        self.residual[chosen] = 0.0
        self._squares = np.einsum("ij,ij->i", self.residual, self.residual)
        self._plain_inverse = self._inverse_without_ridge()
        self._spanned = self._spanned_columns()

    def adds(self) -> Matrix:
        """The gain of adding each column, (p,); -inf for a column that the chosen ones span."""
        return self._adds(self._squares)

    def drops(self) -> Matrix:
        """The loss of dropping each chosen column, (k,); infinite for the fixed ones."""
        lost = np.einsum("ij,ij->i", self.slopes, self.slopes) / np.diag(self.inverse)
        lost[: self.fixed] = np.inf
        return np.asarray(lost)

    def swaps(self) -> Matrix:
        """The gain of swapping each chosen column for each other column, (k, p)."""
        pivot = np.diag(self.inverse)[:, None]
        slopes = np.einsum("ij,ij->i", self.slopes, self.slopes)[:, None]
        # Without i, column j also keeps what only i explained of it.
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
        """The best swap: its gain, the place in `chosen` that it frees, the new column."""
        return best_of(self.swaps())

    def left_without(self, out: int) -> Matrix:
        """What each column keeps of its square beside the chosen ones but one, (p,)."""
        return np.asarray(self.left + self.paths[out] ** 2 / self.inverse[out, out])

    def _adds(self, squares: Matrix) -> Matrix:
        gains = _ratio(squares, self.left)
        gains[self.chosen] = gains[self._spanned] = -np.inf
        return gains

    def _spanned_columns(self) -> Positions:
        """The columns that are sums of the chosen ones; the ridge does not count as their own."""
        own = self.left
        if self.statistics.l2:
            paths = self._plain_inverse @ self.rows
            own = self.statistics.squares - np.einsum("ij,ij->j", self.rows, paths)
        # Rounding errors grow with the condition of the chosen columns.
        trace = float(np.einsum("ii", self._plain_inverse))
        condition = len(self.chosen) * self.statistics.largest * trace
        share = max(self.statistics.spanned, EPSILON * condition)
        spanned = own <= share * self.statistics.squares
        spanned[self.chosen] = False
        return np.flatnonzero(spanned)

    def _own_without_each(self) -> NDArray[np.bool_]:
        """Whether dropping each chosen column frees each spanned column, (k, spanned)."""
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
    """The largest gain, its row and its column; -inf, -1 and -1 where there is no gain."""
    if not gains.size:
        return -np.inf, -1, -1
    out, new = divmod(int(gains.argmax()), gains.shape[1])
    return float(gains[out, new]), out, new


def _ratio(squares: Matrix, left: Matrix) -> Matrix:
    """Divide squares of products by what columns keep; where they keep nothing, the gain is 0."""
    ratio: Matrix = np.divide(squares, left, out=np.zeros(squares.shape), where=left > 0)
    return ratio

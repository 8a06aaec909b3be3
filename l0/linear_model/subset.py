"""Which columns explain best: forward selection and swaps, in the Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

#: A column whose variance is explained by others up to this share adds nothing to them.
SPANNED = 1e-9
#: A swap must lower the residual by this share of all that can be explained.
GAIN = 1e-9


@dataclass(frozen=True)
class Subset:
    """Columns in order of merit, and what each is worth.

    Attributes
    ----------
    order : ndarray of int64, shape (p,)
        First the k chosen columns, then the others, each the most worth first.
    worth : ndarray of float64, shape (p,)
        Sum of squares of the targets: what leaving out a chosen column would lose, what adding
        another one would gain.
    """

    order: NDArray[np.int64]
    worth: NDArray[np.float64]


def best_subset(gram: Matrix, cross: Matrix, k: int) -> Subset:
    """Choose k columns of X that explain Y well, in least squares.

    Columns are added one by one, each time the one that lowers the residual most given those
    already in (orthogonal least squares; Chen, Billings & Luo 1989). Then the best swap of a
    chosen column for another is made, again and again, until none lowers the residual. The
    result has no better neighbour; it need not be the best of all subsets.

    Parameters
    ----------
    gram : ndarray of float64, shape (p, p)
        X'X.
    cross : ndarray of float64, shape (p, q)
        X'Y.
    k : int
        From 1 to p. Columns that add nothing to those chosen fill it up in their order, those
        that are all zero last.

    Returns
    -------
    Subset
    """
    size = np.sqrt(np.diag(gram))
    unit = np.where(size > 0, size, 1.0)
    gram, cross = gram / np.outer(unit, unit), cross / unit[:, None]
    chosen = _swap(gram, cross, _forward(gram, cross, k))
    lost, worth = _State(gram, cross, chosen).worth()
    worth[chosen] = lost
    rest = np.setdiff1d(np.arange(len(gram)), chosen)
    rest = rest[np.lexsort((-worth[rest], size[rest] == 0))]
    return Subset(np.concatenate([chosen[np.argsort(-lost, kind="stable")], rest]), worth)


class _State:
    """The regression of all other columns and of the targets on the chosen ones."""

    def __init__(self, gram: Matrix, cross: Matrix, chosen: NDArray[np.int64]) -> None:
        self.inverse = np.linalg.inv(gram[np.ix_(chosen, chosen)])
        #: Of each column on the chosen ones, (k, p), and of the targets on them, (k, q).
        self.paths = self.inverse @ gram[chosen]
        self.slopes = self.inverse @ cross[chosen]
        #: What is left of the columns' squares, (p,), and of their products with the targets.
        self.left = np.diag(gram) - np.einsum("ij,ij->j", gram[chosen], self.paths)
        self.left[chosen] = 0.0
        self.residual = cross - gram[chosen].T @ self.slopes
        self.residual[chosen] = 0.0

    def worth(self) -> tuple[Matrix, Matrix]:
        """What dropping each chosen column loses, (k,), and adding any column gains, (p,)."""
        lost = np.einsum("ij,ij->i", self.slopes, self.slopes) / np.diag(self.inverse)
        squares = np.einsum("ij,ij->i", self.residual, self.residual)
        return lost, _ratio(squares, self.left)

    def swaps(self) -> Matrix:
        """What exchanging each chosen column, (k,), for each column, (p,), gains."""
        pivot = np.diag(self.inverse)[:, None]
        squares = np.einsum("ij,ij->i", self.residual, self.residual)
        slopes = np.einsum("ij,ij->i", self.slopes, self.slopes)[:, None]
        # Without chosen column i, column j has more left over, along what only i explained.
        along = self.paths / pivot
        explained = squares + 2 * along * (self.slopes @ self.residual.T) + along**2 * slopes
        gained = _ratio(explained, self.left + along * self.paths)
        gains: Matrix = gained - slopes / pivot
        return gains


def _forward(gram: Matrix, cross: Matrix, k: int) -> NDArray[np.int64]:
    """Add the best column k times, or until no column adds anything to those in."""
    rest, left, chosen = gram.copy(), cross.copy(), list[int]()
    for _ in range(k):
        variance = np.diag(rest).copy()
        gains = _ratio(np.einsum("ij,ij->i", left, left), variance)
        gains[variance <= SPANNED] = -1.0
        gains[chosen] = -1.0
        best = int(gains.argmax())
        if gains[best] < 0:
            break
        chosen.append(best)
        path = rest[best] / variance[best]
        left -= np.outer(path, left[best])
        rest -= np.outer(path, rest[best])
    return np.array(chosen, dtype=np.int64)


def _swap(gram: Matrix, cross: Matrix, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make the best swap until none lowers the residual."""
    chosen = chosen.copy()
    least = GAIN * np.einsum("ij,ij->i", cross, cross).max()
    while len(chosen):
        gains = _State(gram, cross, chosen).swaps()
        gains[:, chosen] = -np.inf
        out, new = np.unravel_index(gains.argmax(), gains.shape)
        if gains[out, new] <= least:
            break
        chosen[out] = new
    return chosen


def _ratio(squares: Matrix, left: Matrix) -> Matrix:
    """Gains; none where a column has nothing left of its own."""
    return np.divide(squares, left, out=np.zeros_like(squares), where=left > SPANNED)

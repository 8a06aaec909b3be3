"""Standardised columns of a dense or sparse matrix, and the products that a search needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]
Positions = NDArray[np.int64]

#: A column whose standard deviation is below this share of its size is constant.
CONSTANT = 1e-13


class Design(Protocol):
    """Columns Z of a regression, of which no more than some are ever held twice."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def squares(self) -> NDArray[np.float64]:
        """Sum of squares of each column, (p,)."""

    def columns(self, which: Positions) -> Matrix:
        """Some columns, (n, m)."""

    def products(self, right: Matrix) -> NDArray[np.float64]:
        """Z'V for V of shape (n, m), (p, m)."""

    def gram(self) -> NDArray[np.float64]:
        """Z'Z."""

    def reweighted(self, old: Matrix, new: Matrix, centre: bool) -> Design:
        """The columns with other roots of weights, and mean 0 under those weights."""


class DenseDesign:
    """Columns held as an array."""

    def __init__(self, z: Matrix) -> None:
        self.z = z

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.z.shape[0], self.z.shape[1]

    @property
    def squares(self) -> NDArray[np.float64]:
        """Sum of squares of each column."""
        return np.asarray(np.einsum("ij,ij->j", self.z, self.z, dtype=np.float64))

    def columns(self, which: Positions) -> Matrix:
        """Some columns."""
        return self.z[:, which]

    def products(self, right: Matrix) -> NDArray[np.float64]:
        """Z'V."""
        return np.asarray(self.z.T @ right.astype(self.z.dtype, copy=False), dtype=np.float64)

    def gram(self) -> NDArray[np.float64]:
        """Z'Z."""
        return self.products(self.z)

    def reweighted(self, old: Matrix, new: Matrix, centre: bool) -> DenseDesign:
        """The columns with other roots of weights."""
        z = self.z * (new / old)[:, None].astype(self.z.dtype)
        if centre:
            mean = (new @ z) / (new @ new)
            z -= np.outer(new, mean).astype(z.dtype, copy=False)
        return DenseDesign(z)


class SparseDesign:
    """Columns r (x - m) / s of a sparse X, never written out.

    Parameters
    ----------
    x : csc_array, shape (n, p)
    roots : ndarray, shape (n,)
        r, square roots of the rows' weights.
    mean, scale : ndarray, shape (p,)
        m and s.
    """

    def __init__(
        self,
        x: sp.csc_array,
        roots: NDArray[np.float64],
        mean: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> None:
        self.x, self.roots, self.mean, self.scale = x, roots, mean, scale

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.x.shape[0], self.x.shape[1]

    @property
    def squares(self) -> NDArray[np.float64]:
        """Sum of squares of each column."""
        return _spread(self.x, self.roots**2, self.mean, self.scale)

    def columns(self, which: Positions) -> Matrix:
        """Some columns, written out."""
        some = self.x[:, which].toarray() - self.mean[which]
        return np.asarray(self.roots[:, None] * some / self.scale[which], dtype=self.x.dtype)

    def products(self, right: Matrix) -> NDArray[np.float64]:
        """Z'V."""
        rooted = self.roots[:, None] * right
        raw = self.x.T @ rooted - np.outer(self.mean, rooted.sum(0))
        return np.asarray(raw / self.scale[:, None], dtype=np.float64)

    def gram(self) -> NDArray[np.float64]:
        """Z'Z."""
        scaled, mean = self.x.multiply(1 / self.scale).tocsc(), self.mean / self.scale
        weighted = scaled.multiply(self.roots[:, None] ** 2).tocsc()
        across = np.outer(mean, np.asarray(weighted.sum(axis=0)).ravel())
        gram = (scaled.T @ weighted).toarray()
        gram += np.sum(self.roots**2) * np.outer(mean, mean) - across - across.T
        return np.asarray(gram)

    def reweighted(self, old: Matrix, new: Matrix, centre: bool) -> SparseDesign:
        """The columns with other roots of weights."""
        mean = (new**2 @ self.x) / (new @ new) if centre else self.mean
        return SparseDesign(self.x, np.asarray(new, np.float64), mean, self.scale)


@dataclass(frozen=True)
class Standardised:
    """Columns of X with weighted mean 0 and mean square 1, times the roots of the weights.

    Attributes
    ----------
    design : Design
        Columns that are constant are 0.
    mean, scale : ndarray of float64, shape (p,)
        Column j of X is mean + scale * what is in the design; the scale of a constant is 1, or
        infinite where X is sparse.
    weights : ndarray of float64, shape (n,)
        They sum to 1.
    """

    design: Design
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]

    def original(self, slopes: NDArray[np.float64], which: Positions) -> NDArray[np.float64]:
        """Turn slopes on standardised columns, (m, q), into those on all columns of X, (q, p)."""
        coefficients = np.zeros((slopes.shape[1], len(self.mean)))
        coefficients[:, which] = slopes.T / self.scale[which]
        return coefficients


def standardise(x: Any, weights: NDArray[np.float64], centre: bool) -> Standardised:
    """Standardise the columns of a dense or sparse matrix; a sparse one stays sparse.

    Parameters
    ----------
    x : ndarray or sparse matrix of float32 or float64, shape (n, p)
    weights : ndarray of float64, shape (n,)
        Not negative, with a positive sum.
    centre : bool
        Whether means are taken off.
    """
    share = weights / weights.sum()
    if sp.issparse(x):
        return _standardise_sparse(sp.csc_array(x), share, centre)
    # Of single precision a product with the shares would make a copy in double.
    mean = np.einsum("i,ij->j", share, x) if centre else np.zeros(x.shape[1])
    z = x - mean.astype(x.dtype)
    # Squares of the largest and the least of floats are no floats.
    largest = np.maximum(z.max(axis=0), -z.min(axis=0))
    largest[largest == 0] = 1.0
    z /= largest
    z *= np.sqrt(share)[:, None].astype(x.dtype)
    size = np.sqrt(DenseDesign(z).squares)
    constant = size * largest <= CONSTANT * np.abs(mean)
    z[:, constant] = 0.0
    size[constant] = 1.0
    z /= size.astype(x.dtype)
    return Standardised(DenseDesign(z), mean, np.where(constant, 1.0, size * largest), share)


def _standardise_sparse(x: sp.csc_array, share: NDArray[np.float64], centre: bool) -> Standardised:
    if not x.has_canonical_format:
        x = x.copy()
        x.sum_duplicates()
    mean = np.asarray(share @ x, dtype=np.float64) if centre else np.zeros(x.shape[1])
    largest = np.maximum(x.max(axis=0).toarray(), -x.min(axis=0).toarray()).astype(np.float64)
    largest[largest == 0] = 1.0
    size = np.sqrt(_spread(x, share, mean, largest)) * largest
    # A constant column is all mean and no entries.
    scale = np.where(size <= CONSTANT * np.abs(mean), np.inf, size)
    return Standardised(SparseDesign(x, np.sqrt(share), mean, scale), mean, scale, share)


def _spread(
    x: sp.csc_array,
    weights: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weighted sum of squares of each column about its mean, on a scale, without cancellation."""
    column = np.repeat(np.arange(x.shape[1]), np.diff(x.indptr))
    held = weights[x.indices]
    entries = np.bincount(column, held * ((x.data - mean[column]) / scale[column]) ** 2, x.shape[1])
    rest = np.maximum(weights.sum() - np.bincount(column, held, x.shape[1]), 0.0)
    # Of a column without zeros only rounding is left.
    rest[np.diff(x.indptr) == x.shape[0]] = 0.0
    return np.asarray(entries + rest * (mean / scale) ** 2)

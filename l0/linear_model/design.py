"""Standardised columns of a dense or sparse matrix, and the products that a search needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]
Positions = NDArray[np.int64]

#: A column is constant if its standard deviation is at most this share of its mean.
CONSTANT = 1e-13


#: Rows at a time in sums that would need a copy of all.
BLOCK = 4096


class Design(Protocol):
    """The columns Z of a regression, and their products."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def squares(self) -> NDArray[np.float64]:
        """The sum of squares of each column, (p,)."""

    def columns(self, which: Positions) -> Matrix:
        """Return some columns, (n, m)."""

    def products(self, right: Matrix) -> NDArray[np.float64]:
        """Return Z'V for V of shape (n, m), (p, m)."""

    def gram(self) -> NDArray[np.float64]:
        """Return Z'Z, (p, p)."""

    def reweighted(self, old: Matrix, new: Matrix, centre: bool) -> Design:
        """Replace the roots of the rows' weights; `centre` makes the new weighted means 0."""


class DenseDesign:
    """Columns in an array."""

    def __init__(self, z: Matrix) -> None:
        self.z = z

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.z.shape[0], self.z.shape[1]

    @property
    def squares(self) -> NDArray[np.float64]:
        """The sum of squares of each column, (p,)."""
        return np.asarray(np.einsum("ij,ij->j", self.z, self.z, dtype=np.float64))

    def columns(self, which: Positions) -> Matrix:
        """Return some columns, (n, m)."""
        return self.z[:, which]

    def products(self, right: Matrix) -> NDArray[np.float64]:
        """Return Z'V, (p, m)."""
        return np.asarray(self.z.T @ right.astype(self.z.dtype, copy=False), dtype=np.float64)

    def gram(self) -> NDArray[np.float64]:
        """Return Z'Z, (p, p)."""
        return self.products(self.z)

    def reweighted(self, old: Matrix, new: Matrix, centre: bool) -> ReweightedDesign:
        """Replace the roots of the rows' weights, without a copy of the columns."""
        ratio = new / old
        mean = self.products((new * ratio)[:, None])[:, 0] / (new @ new) if centre else None
        return ReweightedDesign(self.z, ratio, new, mean)


class ReweightedDesign:
    """The columns t z - r m' of an array z, which is not copied.

    Parameters
    ----------
    z : ndarray, shape (n, p)
    ratio : ndarray, shape (n,)
        t, the new roots of the rows' weights over the old ones.
    roots : ndarray, shape (n,)
        r, the new roots.
    mean : ndarray, shape (p,), optional
        m, the new weighted mean of each column. By default nothing is subtracted.
    """

    def __init__(self, z: Matrix, ratio: Matrix, roots: Matrix, mean: Matrix | None) -> None:
        self.z, self.ratio, self.roots, self.mean = z, ratio, roots, mean

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.z.shape[0], self.z.shape[1]

    @property
    def squares(self) -> NDArray[np.float64]:
        """The sum of squares of each column, (p,)."""
        found = np.zeros(self.z.shape[1])
        for start in range(0, len(self.z), BLOCK):
            rows = slice(start, start + BLOCK)
            found += self.ratio[rows] ** 2 @ self.z[rows] ** 2
        if self.mean is not None:
            found -= (self.roots @ self.roots) * self.mean**2
        return np.maximum(found, 0.0)

    def columns(self, which: Positions) -> Matrix:
        """Return some columns, (n, m)."""
        some = self.z[:, which]
        some *= self.ratio[:, None]
        if self.mean is not None:
            for place, mean in enumerate(self.mean[which]):  # their product is as large as `some`
                some[:, place] -= mean * self.roots
        return np.asarray(some, dtype=self.z.dtype)

    def products(self, right: Matrix) -> NDArray[np.float64]:
        """Return Z'V, (p, m)."""
        found = np.zeros((self.z.shape[1], right.shape[1]))
        for start in range(0, len(self.z), BLOCK):
            rows = slice(start, start + BLOCK)
            found += DenseDesign(self.z[rows]).products(self.ratio[rows, None] * right[rows])
        return found if self.mean is None else found - np.outer(self.mean, self.roots @ right)

    def gram(self) -> NDArray[np.float64]:
        """Return Z'Z, (p, p)."""
        found = np.zeros((self.z.shape[1], self.z.shape[1]))
        for start in range(0, len(self.z), BLOCK):
            rows = slice(start, start + BLOCK)
            part = self.z[rows] * self.ratio[rows, None].astype(self.z.dtype)
            found += part.T @ part
        if self.mean is not None:
            found -= (self.roots @ self.roots) * np.outer(self.mean, self.mean)
        return found

    def reweighted(self, old: Matrix, new: Matrix, centre: bool) -> ReweightedDesign:
        """Replace the roots of the rows' weights."""
        base = DenseDesign(self.z)
        return base.reweighted(old / self.ratio, new, centre)


class SparseDesign:
    """The columns r (x - m) / s of a sparse X, which stays sparse.

    Parameters
    ----------
    x : csc_array, shape (n, p)
    roots : ndarray, shape (n,)
        r, the square roots of the rows' weights.
    mean, scale : ndarray, shape (p,)
        m and s, of each column.
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
        """The sum of squares of each column, (p,)."""
        return _spread(self.x, self.roots**2, self.mean, self.scale)

    def columns(self, which: Positions) -> Matrix:
        """Return some columns as an array."""
        some = self.x[:, which].toarray() - self.mean[which]
        return np.asarray(self.roots[:, None] * some / self.scale[which], dtype=self.x.dtype)

    def products(self, right: Matrix) -> NDArray[np.float64]:
        """Return Z'V, (p, m)."""
        rooted = self.roots[:, None] * right
        raw = self.x.T @ rooted - np.outer(self.mean, rooted.sum(0))
        return np.asarray(raw / self.scale[:, None], dtype=np.float64)

    def gram(self) -> NDArray[np.float64]:
        """Return Z'Z, (p, p)."""
        scaled, mean = self.x.multiply(1 / self.scale).tocsc(), self.mean / self.scale
        weighted = scaled.multiply(self.roots[:, None] ** 2).tocsc()
        across = np.outer(mean, np.asarray(weighted.sum(axis=0)).ravel())
        gram = (scaled.T @ weighted).toarray()
        gram += np.sum(self.roots**2) * np.outer(mean, mean) - across - across.T
        return np.asarray(gram)

    def reweighted(self, old: Matrix, new: Matrix, centre: bool) -> SparseDesign:
        """Replace the roots of the rows' weights."""
        mean = (new**2 @ self.x) / (new @ new) if centre else self.mean
        return SparseDesign(self.x, np.asarray(new, np.float64), mean, self.scale)


@dataclass(frozen=True)
class Standardised:
    """The columns of X with weighted mean 0 and variance 1, times the roots of the weights.

    A column that varies has length 1 in the design.

    Attributes
    ----------
    design : Design
        A constant column of X is a column of zeros here.
    mean, scale : ndarray of float64, shape (p,)
        Weighted mean and standard deviation of each column of X. The scale of a constant column
        is 1, or infinite where X is sparse.
    weights : ndarray of float64, shape (n,)
        With sum 1.
    """

    design: Design
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]

    def original(self, slopes: NDArray[np.float64], which: Positions) -> NDArray[np.float64]:
        """Turn slopes on standardised columns, (m, q), into slopes on all columns of X, (q, p)."""
        coefficients = np.zeros((slopes.shape[1], len(self.mean)))
        coefficients[:, which] = slopes.T / self.scale[which]
        return coefficients


def standardised_design(x: Any, weights: NDArray[np.float64], centre: bool) -> Standardised:
    """Standardise the columns of a dense or sparse matrix; a sparse one stays sparse.

    Parameters
    ----------
    x : ndarray or sparse matrix of float32 or float64, shape (n, p)
    weights : ndarray of float64, shape (n,)
        At least 0, with a positive sum.
    centre : bool
        Whether to subtract the means; without it, `scale` is the root of the mean square.

    Returns
    -------
    Standardised
    """
    share = weights / weights.sum()
    if sp.issparse(x):
        return _standardised_sparse(sp.csc_array(x), share, centre)
    # einsum converts in blocks, where `share @ x` would copy all of a float32 `x` to float64.
    mean = np.einsum("i,ij->j", share, x) if centre else np.zeros(x.shape[1])
    z = x - mean.astype(x.dtype)
    # Divide by the largest entry first: squares of very large entries overflow, and squares of
    # very small ones are 0.
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


def _standardised_sparse(x: sp.csc_array, share: NDArray[np.float64], centre: bool) -> Standardised:
    if not x.has_canonical_format:
        x = x.copy()
        x.sum_duplicates()
    mean = np.asarray(share @ x, dtype=np.float64) if centre else np.zeros(x.shape[1])
    largest = np.maximum(x.max(axis=0).toarray(), -x.min(axis=0).toarray()).astype(np.float64)
    largest[largest == 0] = 1.0
    size = np.sqrt(_spread(x, share, mean, largest)) * largest
    # Divided by an infinite scale, a constant column is 0 without a change to its entries.
    scale = np.where(size <= CONSTANT * np.abs(mean), np.inf, size)
    return Standardised(SparseDesign(x, np.sqrt(share), mean, scale), mean, scale, share)


def _spread(
    x: sp.csc_array,
    weights: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weighted sum of squares of (x - mean) / scale for each column, (p,).

    Entries and zeros are summed apart, so that no large numbers cancel.
    """
    column = np.repeat(np.arange(x.shape[1]), np.diff(x.indptr))
    held = weights[x.indices]
    entries = np.bincount(column, held * ((x.data - mean[column]) / scale[column]) ** 2, x.shape[1])
    rest = np.maximum(weights.sum() - np.bincount(column, held, x.shape[1]), 0.0)
    # In a column without zeros the rest is a rounding error.
    rest[np.diff(x.indptr) == x.shape[0]] = 0.0
    return np.asarray(entries + rest * (mean / scale) ** 2)

"""Statistics that are made of weighted totals: totals, means, ratios and shares of domains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

#: A sum of squares that is at most this share of its parts is a rounding error.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows of a table that have a weight.

    Attributes
    ----------
    weights : ndarray of float64, shape (k, 1 + C)
        The weights of the records: the main ones, and after them the replicates.
    record : ndarray of int64, shape (n,)
        The record of each row. A record may have several rows, or none.
    domain : ndarray of int64, shape (n,)
        The domain of each row.
    size : int
        The number of domains, d.
    """

    weights: NDArray[np.float64]
    record: NDArray[np.int64]
    domain: NDArray[np.int64]
    size: int

    def sums(self, amounts: NDArray[np.float64]) -> sp.csr_array:
        """Add up an amount of the rows, shape (n,), by domain and record, shape (d, k)."""
        shape = (self.size, len(self.weights))
        return sp.coo_array((amounts, (self.domain, self.record)), shape=shape).tocsr()


@dataclass(frozen=True, eq=False)
class Estimates:
    r"""Estimates of a statistic in d domains.

    Attributes
    ----------
    values : ndarray of float64, shape (d, 1 + C)
        Under each column of weights. NaN where the statistic is not defined.
    effective_n : ndarray of float64, shape (d,)
        The effective number of records, :math:`(\sum c)^2 / \sum c^2` of their contributions
        c = w x (Kish 1965, Survey Sampling, section 11.7). Of a statistic with a denominator, it
        is the smaller one of both.
    n_records : ndarray of int64, shape (d,)
        The number of records with a contribution.
    n_amounts : ndarray of int64, shape (d,)
        How many of them have an amount other than 0. Nothing is known of the error where no record
        has one: the estimate is 0 under all columns.
    simple_variance : ndarray of float64, shape (d,)
        The variance in a simple random sample with replacement of as many records as there are in
        all. NaN where there is no such formula.
    interval : tuple of two ndarrays of float64, shape (d,), optional
        The interval of a statistic that has one of its own.
    """

    values: NDArray[np.float64]
    effective_n: NDArray[np.float64]
    n_records: NDArray[np.int64]
    n_amounts: NDArray[np.int64]
    simple_variance: NDArray[np.float64]
    interval: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


def effective_n(contributions: sp.csr_array) -> NDArray[np.float64]:
    """Compute the effective number of records of each row of contributions, shape (d,)."""
    sums = np.asarray(contributions.sum(axis=1), dtype=np.float64)
    squares = np.asarray(contributions.multiply(contributions).sum(axis=1), dtype=np.float64)
    return divided(sums**2, squares)


def total(sample: Sample, amounts: NDArray[np.float64]) -> Estimates:
    r"""Estimate totals :math:`Y_d = \sum_i w_i y_{di}`, with :math:`y_{di}` those of a record.

    The variance in a simple random sample is :math:`N^2 s^2 / k` with :math:`N = \sum w`, the
    number k of records, and the weighted variance :math:`s^2` of :math:`y_{di}` over all records,
    as for ``deff="replace"`` of `svytotal` in R's package survey.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.variance.statistics import Sample, total
    >>> weights = np.array([[10.0, 0, 20], [10, 20, 0]])
    >>> sample = Sample(weights, np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    >>> total(sample, np.array([1.0, 2, 5])).values
    array([[ 30.,  40.,  20.],
           [ 50., 100.,   0.]])
    """
    sums = sample.sums(amounts)
    values = np.asarray(sums @ sample.weights)
    weights = sample.weights[:, 0]
    n, k = weights.sum(), len(weights)
    squares = np.asarray(sums.multiply(sums) @ weights)
    simple = _beyond_rounding(n * squares - values[:, 0] ** 2, n * squares) / max(k - 1, 1)
    contributions = sp.csr_array(sums.multiply(weights))
    n_records = _n_records(sums)
    return Estimates(values, effective_n(contributions), n_records, n_records, simple)


def ratio(
    sample: Sample, numerator: NDArray[np.float64], denominator: NDArray[np.float64]
) -> Estimates:
    r"""Estimate ratios :math:`R_d = Y_d / D_d` of two totals. A mean is a ratio to a count.

    The variance in a simple random sample is that of the total of the linearised variable
    :math:`z_{di} = (y_{di} - R_d d_{di}) / D_d` (Woodruff 1971, JASA 66, 411-414).
    """
    above, below = sample.sums(numerator), sample.sums(denominator)
    weights = sample.weights[:, 0]
    tops, bottoms = (np.asarray(sums @ sample.weights) for sums in (above, below))
    cross = np.asarray(above.multiply(below) @ weights)
    squares = np.asarray(below.multiply(below) @ weights)
    return _ratio(sample, above, (tops, bottoms), (cross, squares), below)


def share(sample: Sample, amounts: NDArray[np.float64], larger: NDArray[np.int64]) -> Estimates:
    """Estimate the shares that domains have of the totals of larger domains.

    Parameters
    ----------
    sample : Sample
    amounts : ndarray of float64, shape (n,)
    larger : ndarray of int64, shape (d,)
        The larger domain of each domain.
    """
    sums = sample.sums(amounts)
    weights = sample.weights[:, 0]
    tops = np.asarray(sums @ sample.weights)
    members = sp.csr_array((np.ones(len(larger)), (larger, np.arange(len(larger)))))
    whole = members @ sums
    bottoms = np.asarray(members @ tops)[larger]
    # What a record has in the larger domain, beside what it has in the domain. The matrix of the
    # denominators would repeat each larger domain as often as it has domains.
    entries = sums.tocoo()
    pair = larger[entries.row] * len(weights) + entries.col
    _, place = np.unique(pair, return_inverse=True)
    in_larger = np.bincount(place.reshape(-1), entries.data)[place.reshape(-1)]
    products = weights[entries.col] * entries.data * in_larger
    cross = np.bincount(entries.row, products, minlength=sample.size).astype(np.float64)
    squares = np.asarray(whole.multiply(whole) @ weights)[larger]
    return _ratio(sample, sums, (tops, bottoms), (cross, squares), None)


def _ratio(
    sample: Sample,
    above: sp.csr_array,
    totals: tuple[NDArray[np.float64], NDArray[np.float64]],
    products: tuple[NDArray[np.float64], NDArray[np.float64]],
    below: sp.csr_array | None,
) -> Estimates:
    """Divide totals. `products` are the weighted sums of y d and of d^2, by domain."""
    (tops, bottoms), (cross, squares) = totals, products
    weights = sample.weights[:, 0]
    n, k = weights.sum(), len(weights)
    values = divided(tops, bottoms)
    main = values[:, 0]
    own = np.asarray(above.multiply(above) @ weights)
    residual = _beyond_rounding(own - 2 * main * cross + main**2 * squares, own)
    simple = n * divided(residual, bottoms[:, 0] ** 2) / max(k - 1, 1)
    support = effective_n(sp.csr_array(above.multiply(weights)))
    n_records = n_amounts = _n_records(above)
    if below is not None:
        support = np.fmin(support, effective_n(sp.csr_array(below.multiply(weights))))
        n_records = _n_records(abs(above) + abs(below))
    return Estimates(values, support, n_records, n_amounts, simple)


def _beyond_rounding(
    difference: NDArray[np.float64], size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Set differences of two numbers of this size that are rounding errors to 0."""
    return np.where(difference > ROUNDING * size, difference, 0.0)


def _n_records(sums: sp.csr_array) -> NDArray[np.int64]:
    return np.asarray((sums != 0).sum(axis=1), dtype=np.int64)


def divided(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide, with NaN where the denominator is 0."""
    return np.asarray(np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom != 0))

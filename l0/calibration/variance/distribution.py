"""Statistics of the distribution of an amount in domains: quantiles and the Gini coefficient."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.variance.replicates import Replicates
from l0.calibration.variance.statistics import Estimates, Sample, divided, effective_n

#: A distribution function that misses a share by at most this part of it reaches it.
ROUNDING = 1e-12


def quantile(
    sample: Sample, amounts: NDArray[np.float64], q: float, replicates: Replicates, level: float
) -> Estimates:
    r"""Estimate quantiles: the smallest amount x whose weighted distribution function F(x) >= q.

    This is the left inverse of the distribution function, as `svyquantile` in R's package survey
    has it by default (``qrule="math"``).

    A quantile is not smooth in the weights, and the jackknife of it is not consistent. So the
    interval is Woodruff's (1952, JASA 47, 635-646), as in `svyquantile` by default
    (``interval.type="mean"``): the replicates give the standard error s of the share F(x) at the
    estimate x, and the ends of the interval are the quantiles of F(x) - t s and F(x) + t s. The
    standard error is the width of the interval over 2 t. An end outside of 0 and 1 is NaN, and so
    is the standard error. `values` under the replicates are linear in F, with this standard
    error, so that functions of several quantiles have covariances.
    """
    support = _support(sample)
    t_of_domain = replicates.t(level, support[1])
    low, high = np.full((2, sample.size), np.nan)
    values = np.full((sample.size, sample.weights.shape[1]), np.nan)
    for domain, numbers, weights in _sorted(sample, amounts):
        reached = np.cumsum(weights[:, 0])

        def at(share: float, reached: NDArray[np.float64] = reached) -> int:
            return int(np.searchsorted(reached, share * reached[-1] * (1 - ROUNDING)))

        estimate = numbers[at(q)]
        shares = _share(weights, numbers <= estimate)
        error = float(np.sqrt(replicates.variance(shares[1:], shares[0])))
        t = float(t_of_domain[domain])
        ends = shares[0] - t * error, shares[0] + t * error
        # Where all amounts of a domain are at most the estimate, F(x) is 1 but for rounding.
        if ends[0] >= 0:
            low[domain] = numbers[at(ends[0])]
        if ends[1] <= 1 + ROUNDING:
            high[domain] = numbers[min(at(ends[1]), len(numbers) - 1)]
        slope = (high[domain] - low[domain]) / (2 * t * error) if error else 0.0
        values[domain] = estimate - slope * (shares - shares[0])
        values[domain, 0] = estimate
    return Estimates(values, *support, (low, high))


def gini(sample: Sample, amounts: NDArray[np.float64]) -> Estimates:
    r"""Estimate Gini coefficients, the mean difference of two units over twice the mean.

    .. math:: G = \frac{\sum_i \sum_j w_i w_j |x_i - x_j|}{2 \sum_i w_i \sum_i w_i x_i}

    It is NaN where the total of the amounts is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.variance.distribution import gini
    >>> from l0.calibration.variance.statistics import Sample
    >>> sample = Sample(np.ones((4, 1)), np.arange(4), np.zeros(4, int), 1)
    >>> gini(sample, np.array([0.0, 0.0, 0.0, 1.0])).values
    array([[0.75]])
    """
    values = np.full((sample.size, sample.weights.shape[1]), np.nan)
    for domain, numbers, weights in _sorted(sample, amounts):
        totals = numbers @ weights
        # Twice the sum over pairs in order is what lies before a unit, and half of the unit itself.
        ranks = np.cumsum(weights, axis=0) - weights / 2
        above = 2 * numbers @ (weights * ranks)
        bottom = weights.sum(axis=0) * totals
        known = bottom > 0
        values[domain, known] = above[known] / bottom[known] - 1
    return Estimates(values, *_support(sample))


def _sorted(
    sample: Sample, amounts: NDArray[np.float64]
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """Give the amounts of each domain in ascending order, with all columns of weights."""
    order = np.lexsort([amounts, sample.domain])
    ends = np.searchsorted(sample.domain[order], np.arange(sample.size + 1))
    for domain in range(sample.size):
        rows = order[ends[domain] : ends[domain + 1]]
        yield domain, amounts[rows], sample.weights[sample.record[rows]]


def _share(weights: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the weighted share of some rows, for each column of weights."""
    return divided(inside @ weights, weights.sum(axis=0))


def _support(
    sample: Sample,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Count the records of each domain. A simple random sample has no formula here."""
    counts = sample.sums(np.ones(len(sample.record)))
    contributions = sp.csr_array(counts.multiply(sample.weights[:, 0]))
    n_records = np.diff(counts.indptr)
    return effective_n(contributions), n_records, n_records, np.full(sample.size, np.nan)

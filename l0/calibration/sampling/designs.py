"""Probability designs of fixed size: inclusion probabilities and systematic sampling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def inclusion_probabilities(size: NDArray[np.float64], n_draws: float) -> NDArray[np.float64]:
    """Compute inclusion probabilities proportional to size, ``min(1, c size)``.

    They add up to `n_draws`. Units with a probability of more than 1 are certain, and the others
    are scaled again, until no probability exceeds 1 (Särndal, Swensson & Wretman 1992, Model
    Assisted Survey Sampling, section 3.6.2).

    Parameters
    ----------
    size : ndarray of float64, shape (n,)
        Positive sizes, at least `n_draws` of them.
    n_draws : float
        The expected number of draws. It need not be whole.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.sampling.designs import inclusion_probabilities
    >>> inclusion_probabilities(np.array([1.0, 1.0, 2.0, 10.0]), 2)
    array([0.25, 0.25, 0.5 , 1.  ])
    """
    certain = np.zeros(len(size), dtype=bool)
    while True:
        left = n_draws - certain.sum()
        share = left * size / size[~certain].sum() if left else np.zeros_like(size)
        more = (share >= 1) & ~certain
        if not more.any():
            return np.where(certain, 1.0, share)
        certain |= more


def systematic(
    probabilities: NDArray[np.float64], order: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw a systematic sample with unequal probabilities (Madow 1949).

    The cumulated probabilities along the order are a line of length k. The sample takes a random
    point in the first unit of the line, and then one point in each further unit.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (n,)
        Inclusion probabilities, which add up to a whole number k.
    order : ndarray of int64, shape (n,)
        The order of the units.
    generator : numpy.random.Generator

    Returns
    -------
    ndarray of int64, shape (k,)
        The positions of the sample, in ascending order.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.sampling.designs import systematic
    >>> systematic(np.full(8, 0.25), np.arange(8), np.random.default_rng(0))
    array([2, 6])
    """
    order = order[probabilities[order] > 0]
    upto = np.cumsum(probabilities[order])
    n_draws = round(float(upto[-1]))
    ticks = (generator.random() + np.arange(n_draws)) * (upto[-1] / n_draws)
    # A certain unit is as long as a step. After rounding, two points or none could fall on it.
    places = _distinct(np.searchsorted(upto, ticks, side="right"), len(order))
    return np.sort(order[places])


def _distinct(places: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Move repeated places of an ascending list to the nearest free ones, all below n."""
    steps = np.arange(len(places))
    pushed = np.maximum.accumulate(places - steps) + steps
    return np.minimum(pushed, n - len(places) + steps)

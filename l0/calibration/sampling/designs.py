"""Probability designs of fixed size: inclusion probabilities, and systematic draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def inclusion_probabilities(size: NDArray[np.float64], n_draws: int) -> NDArray[np.float64]:
    """Inclusion probabilities proportional to size, ``min(1, c size)``, that sum to `n_draws`.

    Units whose probability would pass 1 are taken for certain and the rest is scaled up again,
    until none does (Särndal, Swensson & Wretman 1992, section 3.6.2).

    Parameters
    ----------
    size : ndarray of float64, shape (n,)
        Positive sizes; at least `n_draws` of them.
    n_draws : int

    Returns
    -------
    ndarray of float64, shape (n,)
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
    """Systematic sample (Madow 1949): one random start, then every unit step along the order.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (n,)
        Inclusion probabilities that add up to a whole number k.
    order : ndarray of int64, shape (n,)
        The units in the order to walk through.
    generator : numpy.random.Generator

    Returns
    -------
    ndarray of int64, shape (k,)
        Positions in ascending order.
    """
    order = order[probabilities[order] > 0]
    upto = np.cumsum(probabilities[order])
    n_draws = round(float(upto[-1]))
    ticks = (generator.random() + np.arange(n_draws)) * (upto[-1] / n_draws)
    # A certain unit spans one whole step, so that rounding could hit it twice or not at all.
    places = _distinct(np.searchsorted(upto, ticks, side="right"), len(order))
    return np.sort(order[places])


def _distinct(places: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Push repeated places of an ascending list apart, to the nearest free ones below n."""
    steps = np.arange(len(places))
    pushed = np.maximum.accumulate(places - steps) + steps
    return np.minimum(pushed, n - len(places) + steps)

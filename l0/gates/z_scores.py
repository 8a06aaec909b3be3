"""Columns on a common scale: weighted z-scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: A column is constant if its standard deviation is at most this share of its largest entry.
CONSTANT = 1e-9


def weighted_z_scores(
    columns: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give each column the weighted mean 0 and the weighted standard deviation 1.

    Parameters
    ----------
    columns : ndarray of float64, shape (n, p)
    weights : ndarray of float64, shape (n,)
        At least 0, with a positive sum.

    Returns
    -------
    ndarray of float64, shape (n, p)
        A constant column becomes 0.
    """
    largest = np.abs(columns).max(axis=0)
    # Divide by the largest entry first: squares of very large entries overflow.
    scaled = columns / np.where(largest > 0, largest, 1.0)
    centred = scaled - weights @ scaled / weights.sum()
    deviation = np.sqrt(weights @ centred**2 / weights.sum())
    varies = deviation > CONSTANT
    z: NDArray[np.float64] = np.where(varies, centred, 0.0) / np.where(varies, deviation, 1.0)
    return z

"""How often a choice of columns from a random half of the rows contains each column."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions

Matrix = NDArray[np.float64]


def inclusion(
    choose: Callable[[Matrix, Matrix], Positions], x: Matrix, outcome: Matrix, n_splits: int
) -> Matrix:
    """Return how often each column is chosen from a random half of the rows.

    Parameters
    ----------
    choose : callable
        Called with some rows of `x` and of `outcome`; returns positions of columns.
    x : ndarray of float64, shape (n, p)
    outcome : ndarray of float64, shape (n, q)
    n_splits : int
        How many times the rows are split into two halves; at least 1.

    Returns
    -------
    ndarray of float64, shape (p,)
        The share of the `2 * n_splits` halves in which each column is chosen.

    Notes
    -----
    This share estimates the selection probability of Meinshausen & Bühlmann (2010, definition 1).
    The halves come in complementary pairs (Shah & Samworth 2013). From a half in which the outcome
    does not vary, no column is chosen.

    References
    ----------
    N. Meinshausen, P. Bühlmann, "Stability selection", Journal of the Royal Statistical Society B
    72(4), 2010, arXiv:0809.2932.

    R. D. Shah, R. J. Samworth, "Variable selection with error control: another look at stability
    selection", Journal of the Royal Statistical Society B 75(1), 2013, arXiv:1105.5578.
    """
    n, p = x.shape
    generator = np.random.default_rng(0)
    counts = np.zeros(p)
    for _ in range(n_splits):
        order = generator.permutation(n)
        for rows in (order[: n // 2], order[n // 2 : 2 * (n // 2)]):
            if not np.ptp(outcome[rows], axis=0).any():
                continue
            # Among equal columns, `choose` takes the first. A new order in each half lets all of
            # them be chosen equally often.
            columns = generator.permutation(p)
            counts[columns[choose(x[np.ix_(rows, columns)], outcome[rows])]] += 1
    return counts / (2 * n_splits)

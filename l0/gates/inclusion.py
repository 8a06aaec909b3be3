"""How often each column is chosen when half of the rows are taken at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions

Matrix = NDArray[np.float64]


def inclusion(
    choose: Callable[[Matrix, Matrix], Positions], x: Matrix, outcome: Matrix, n_splits: int
) -> Matrix:
    """Split the rows in two halves again and again, and choose columns in each half.

    Parameters
    ----------
    choose : callable
        From some rows of x and outcome to positions of columns.
    x : ndarray of float64, shape (n, p)
    outcome : ndarray of float64, shape (n, q)
    n_splits : int
        At least 1.

    Returns
    -------
    ndarray of float64, shape (p,)
        The share of the `2 * n_splits` halves in which each column is chosen.

    Notes
    -----
    Chosen in random halves, a column has a selection probability (Meinshausen & Bühlmann 2010,
    Definition 1); the halves come in complementary pairs (Shah & Samworth 2013). A half in which
    the outcome does not vary chooses nothing.

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
            # Of columns that are alike the first is chosen: in another order each time, they share.
            columns = generator.permutation(p)
            counts[columns[choose(x[np.ix_(rows, columns)], outcome[rows])]] += 1
    return counts / (2 * n_splits)

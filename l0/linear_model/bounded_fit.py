"""Least squares with slopes between bounds, from products."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from l0.linear_model.statistics import Matrix

#: A slope at a bound is freed if its gradient is above this share of the largest product.
FREED = 1e-12
#: Singular values below this share of the largest are 0.
DEPENDENT = 1e-11


def bounded_slopes(products: Matrix, cross: Matrix, bounds: Matrix) -> tuple[Matrix, float]:
    r"""Minimise :math:`b'Ab - 2c'b` with :math:`\ell \le b \le u`.

    An active set method: some slopes are at bounds, and the others go towards their least squares
    until one of them meets a bound (Stark & Parker 1995, "Bounded-variable least-squares",
    Computational Statistics 10). Where all slopes are at least 0 and have no other bound, this is
    nonnegative least squares (Lawson & Hanson 1974, "Solving Least Squares Problems", chapter 23).

    Parameters
    ----------
    products : ndarray of float64, shape (m, m)
        A, positive semidefinite.
    cross : ndarray of float64, shape (m,)
        c.
    bounds : ndarray of float64, shape (m, 2)
        l <= 0 and u >= 0, which may be infinite.

    Returns
    -------
    slopes : ndarray of float64, shape (m,)
        b.
    explained : float
        2 c'b - b'Ab.
    """
    if not len(cross):
        return np.empty(0), 0.0
    if only_nonnegative(bounds):
        try:
            factor = np.linalg.cholesky(products)
        except np.linalg.LinAlgError:  # columns of groups may be sums of each other
            pass
        else:
            slopes = nnls(factor.T, np.linalg.solve(factor, cross))[0]
            return slopes, _explained(products, cross, slopes)
    slopes = _active_set(products, cross, bounds)
    return slopes, _explained(products, cross, slopes)


def only_nonnegative(bounds: Matrix) -> bool:
    """Tell whether slopes are at least 0 and have no other bound."""
    return not bounds[:, 0].any() and bool(np.isinf(bounds[:, 1]).all())


def _explained(products: Matrix, cross: Matrix, slopes: Matrix) -> float:
    return float(slopes @ (2 * cross - products @ slopes))


def _active_set(products: Matrix, cross: Matrix, bounds: Matrix) -> Matrix:
    lower, upper = bounds.T
    slopes = np.zeros(len(cross))
    free = (lower < 0) & (upper > 0)
    least = FREED * float(np.abs(cross).max())
    # Each round lowers the objective. The limit is for rounds that only turn in rounding errors.
    for _ in range(10 * len(cross) + 10):
        aim = slopes.copy()
        rest = cross[free] - products[np.ix_(free, ~free)] @ slopes[~free]
        aim[free] = np.linalg.lstsq(products[np.ix_(free, free)], rest, rcond=DEPENDENT)[0]
        beyond = (aim < lower) | (aim > upper)
        if beyond.any():
            limit = np.where(aim < lower, lower, upper)
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = np.where(beyond, (limit - slopes) / (aim - slopes), np.inf)
            first = int(np.argmin(shares))
            slopes = np.clip(slopes + max(float(shares[first]), 0.0) * (aim - slopes), lower, upper)
            slopes[first] = limit[first]
            free[first] = False
            continue
        slopes = aim
        gradient = cross - products @ slopes
        gains = np.where((slopes < upper) & ~free, gradient, 0.0)
        gains = np.maximum(gains, np.where((slopes > lower) & ~free, -gradient, 0.0))
        best = int(np.argmax(gains))
        if gains[best] <= least:
            break
        free[best] = True
    return slopes

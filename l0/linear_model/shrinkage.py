"""How much to shrink coefficients whose columns were chosen from many."""

from __future__ import annotations

import math

import numpy as np

from l0.linear_model.design import Positions
from l0.linear_model.problem import Problem

#: The largest share of the outcome's variance that is taken for noise.
MOST_NOISE = 0.9


def log_subsets(p: int, k: int) -> float:
    """Return the logarithm of the number of ways to choose k of p.

    Parameters
    ----------
    p, k : int

    Returns
    -------
    float

    Examples
    --------
    >>> from l0.linear_model.shrinkage import log_subsets
    >>> import math
    >>> round(math.exp(log_subsets(5, 2)))
    10
    """
    return math.lgamma(p + 1) - math.lgamma(k + 1) - math.lgamma(p - k + 1)


def ridge(
    unexplained: float, log_choices: float, n: float, squares: float = 0.0, spread: float = 0.0
) -> float:
    r"""Return the ridge for least squares on the best of M subsets, from its unexplained share.

    .. math::
        \lambda = \frac{\log M}{4 n} \, \frac{s}{\max(1 - s, \; b - 4 v)}, \qquad
        s = u \, M^{2 / n}, \qquad v = \frac{\log M}{n} \, s \, t

    where s estimates the share of noise in the outcome. There is no ridge if M = 1 or u = 0.

    The formula is ours. It starts from the ridge of Hoerl, Kennard & Baldwin (1975, Communications
    in Statistics 4(2)), which has k in place of :math:`\tfrac14 \log M`: it is the best linear
    prediction if nothing was chosen and the k coefficients come from one normal distribution.
    The best of M subsets fits the noise as further parameters would, so log M takes the place of k.
    It also leaves less unexplained than the true columns do. The factor :math:`M^{2 / n}` corrects
    this: it is the term that the extended BIC adds (Chen & Chen 2008, Biometrika 95(3)). The factor
    1/4 did best in the designs of ``benchmarks/support_recovery.py``.

    Hoerl, Kennard & Baldwin divide by the sum b of the squared coefficients. For columns without
    correlation that is the explained share, 1 - s. Coefficients of columns that nearly cancel are
    far larger, and such a signal would be shrunk away. Noise makes coefficients of correlated
    columns large too: v is about what it adds to b. So b counts only beyond four times v.

    Parameters
    ----------
    unexplained : float
        u, the share of the outcome's variance that the best subset leaves unexplained.
    log_choices : float
        log M.
    n : float
        The number of rows.
    squares : float, default 0
        b, the sum of the squared coefficients of the best subset by least squares, for columns of
        variance 1, over the variance of the outcome.
    spread : float, default 0
        t, the mean diagonal entry of the inverse of the correlations of the best subset.

    Returns
    -------
    float
        lambda, for columns of variance 1.

    Examples
    --------
    The best 3 of 100 columns explain 60% of the variance of 200 rows. The fewer the rows, the
    more their coefficients are shrunk:

    >>> from l0.linear_model.shrinkage import log_subsets, ridge
    >>> round(ridge(0.4, log_subsets(100, 3), n=200), 4)
    0.0123
    >>> round(ridge(0.4, log_subsets(100, 3), n=50), 4)
    0.1096
    """
    excess = log_choices / n
    # The share of noise is capped below 1; exp(50) is far above the cap, and exp(800) overflows.
    noise = min(unexplained * math.exp(min(2 * excess, 50.0)), MOST_NOISE)
    signal = max(1 - noise, squares - 4 * excess * noise * spread)
    return 0.25 * excess * noise / signal


def ridge_of_choice(
    problem: Problem, value: float, size: int, columns: Positions, n: float
) -> float:
    """Return the ridge for a choice that a search found.

    Parameters
    ----------
    problem : Problem
    value : float
        What the choice explains.
    size : int
        The number of its units.
    columns : ndarray of int64
        Its columns.
    n : float
        The number of rows, times that of the outcomes.

    Returns
    -------
    float
        0 where the choice explains everything.
    """
    statistics = problem.statistics
    left = statistics.total - value
    if left <= statistics.rounding:
        return 0.0
    n_kept = len(problem.kept)
    choices = log_subsets(problem.n_units - n_kept, size - n_kept)
    inverse = np.linalg.pinv(statistics.block(columns), statistics.spanned / 10, True)
    slopes = inverse @ statistics.cross[columns]
    squares = float(np.sum(slopes**2)) / statistics.total
    spread = float(np.trace(inverse)) / max(size, 1)
    return ridge(left / statistics.total, choices, n, squares, spread)

"""How much to shrink the coefficients of columns that were chosen from many."""

from __future__ import annotations

import math

#: The noise is taken to be at most so much of what there is to explain.
MOST_NOISE = 0.9


def log_subsets(p: int, k: int) -> float:
    """Logarithm of the number of ways to choose k of p."""
    return math.lgamma(p + 1) - math.lgamma(k + 1) - math.lgamma(p - k + 1)


def ridge(unexplained: float, log_choices: float, n: float) -> float:
    r"""The ridge for least squares on the best of many subsets, from what it leaves unexplained.

    .. math::
        \lambda = \frac{\log M}{4 n} \, \frac{s}{1 - s}, \qquad s = u \, M^{2 / n}

    where s stands for the share of noise in the outcome. With k coefficients from one normal
    distribution, and nothing to choose, the best linear prediction has k in the place of log M / 4
    (Hoerl, Kennard & Baldwin 1975, Communications in Statistics 4(2)). The best of M subsets fits
    the noise as further parameters would, so M takes the place of k; and it leaves less unexplained
    than the truth does, which is made good by the factor of the extended BIC (Chen & Chen 2008,
    Biometrika 95(3)). With one subset to choose from, or nothing left, there is no ridge. The
    factor 1/4 did best in the designs of ``benchmarks/support_recovery.py``.

    Parameters
    ----------
    unexplained : float
        u, the share of the outcome's variance that the best subset leaves.
    log_choices : float
        log M.
    n : float
        Rows.
    """
    excess = log_choices / n
    # The noise never reaches 1, and an exponent beyond 50 has long passed it.
    noise = min(unexplained * math.exp(min(2 * excess, 50.0)), MOST_NOISE)
    return 0.25 * excess * noise / (1 - noise)

"""What more columns must gain: information criteria for the number of columns."""

from __future__ import annotations

import math
from collections.abc import Callable

from l0.common.errors import InputError, closest
from l0.linear_model.shrinkage import log_subsets

#: The penalty for n rows, p columns (or groups) in all, k of them chosen, c columns in these, and q
#: slopes a column.
CRITERIA: dict[str, Callable[[float, int, int, int, int], float]] = {
    # Zhu et al. 2020, PNAS 117(52), "A polynomial algorithm for best-subset selection", where each
    # column has one slope. The choice among p is of columns: further slopes cost what BIC asks.
    "gic": lambda n, p, k, c, q: (
        k * math.log(max(p, 2)) * max(1.0, math.log(math.log(n))) + (c * q - k) * math.log(n)
    ),
    # Few rows a column let the residual variance fall too far; `penalty` says why in this form.
    "gicc": lambda n, p, k, c, q: (
        CRITERIA["gic"](n, p, k, c, q) * (1 + (5 * c / n) ** 3) if c * q < n - 1 else math.inf
    ),
    # Schwarz 1978, Annals of Statistics 6(2).
    "bic": lambda n, p, k, c, q: c * q * math.log(n),
    # Chen & Chen 2008, Biometrika 95(3), with gamma = 1.
    "ebic": lambda n, p, k, c, q: c * q * math.log(n) + 2 * log_subsets(p, k),
}


def penalty(name: str, n: float, p: int, k: int, c: int, q: int = 1) -> float:
    r"""The penalty that a criterion adds to minus twice the log-likelihood.

    ========  =======================================================================
    ``gic``   :math:`k \log p \max(1, \log \log n) + (c q - k) \log n`
    ``gicc``  that of ``gic`` times :math:`1 + (5 c / n)^3`; infinite from n - 1 slopes on
    ``bic``   :math:`c q \log n`
    ``ebic``  :math:`c q \log n + 2 \log \binom{p}{k}`
    ========  =======================================================================

    GIC is that of Zhu et al. 2020 (PNAS 117(52)), where every column has one slope; further ones
    cost what BIC asks. ``gicc`` asks twice as much at 5 rows a column, an eighth more at 10, and 1%
    more at 23. EBIC is Chen & Chen 2008 (Biometrika 95(3)), with gamma = 1.

    Parameters
    ----------
    name : {"gicc", "gic", "bic", "ebic"}
    n : float
        Rows, each counted as often as its weight says.
    p, k : int
        Columns (or groups) in all, and chosen.
    c : int
        Columns chosen: k, or those of k groups.
    q : int, default 1
        Slopes of a column: one, or with more than two classes one for each.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For another name.

    Notes
    -----
    The factor of ``gicc`` was chosen on the designs of ``benchmarks/support_recovery.py``. The one
    that makes AICc of AIC, n / (n - c - 1) (Hurvich & Tsai 1989, Biometrika 76(2)), gives the same
    held-out error there, but leaves out true columns where the signal is weak: 4% more at 25 rows a
    column are enough for that.
    """
    if name not in list(CRITERIA):  # what cannot be hashed is not known either
        raise InputError(f"`criterion` {name!r} is not known; {closest(name, CRITERIA)}")
    return float(CRITERIA[name](max(n, 3.0), p, k, c, q))

"""Trimming: weights outside two limits are set to the limits, and the others make up for it.

This is `trimWeights` of R's package survey (Lumley 2010, Complex Surveys) with ``strict=TRUE``. R
shares what the trimming takes away equally among the weights that it did not trim, and repeats this
until no weight is outside. From the second round on, all weights that are not at the limit change
by the same amount. So these rounds end at clip(w + shift), with the shift that keeps the sum, and
the shift is computed here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from l0.common.errors import InputError
from l0.common.validation import is_number

#: Limits that the mean weight exceeds by no more than rounding are possible.
ROUNDING = 1e-12


def checked_limits(
    lower: float | None, upper: float | None, weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Check the limits of a trimming. None becomes 0 or infinity.

    Raises
    ------
    InputError
        If there is no limit, if a limit is negative or not a number, if the limits cross, if no
        weights between them have the same sum, or if negative weights would become 0.
    """
    if lower is None and upper is None:
        raise InputError("`lower` and `upper` are both None; pass at least one limit")
    for argument, limit in (("lower", lower), ("upper", upper)):
        if limit is not None and not (is_number(limit) and limit >= 0):
            raise InputError(f"`{argument}` is {limit!r}; pass a number of at least 0, or None")
    low, high = lower or 0.0, math.inf if upper is None else float(upper)
    if low > high:
        raise InputError(f"`lower` {low:g} is above `upper` {high:g}; swap or widen them")
    mean = float(weights.mean())
    if low == 0 and (negative := int((weights < 0).sum())):
        are, them = ("is", "it") if negative == 1 else ("are", "them")
        raise InputError(
            f"{negative:,} of {len(weights):,} weights {are} negative, and trimming at 0 would "
            f"make {them} 0; pass a `lower` above 0"
        )
    for argument, side, wrong in (
        ("lower", "at most", low > mean * (1 + ROUNDING)),
        ("upper", "at least", high < mean * (1 - ROUNDING)),
    ):
        if wrong:
            raise InputError(
                f"`{argument}` is {low if argument == 'lower' else high:g}, and the weights have "
                f"the mean {mean:,.6g}, which trimming keeps; pass {side} the mean"
            )
    return float(low), high


def trimmed(weights: NDArray[np.float64], lower: float, upper: float) -> NDArray[np.float64]:
    """Trim weights. Their sum does not change.

    Parameters
    ----------
    weights : ndarray of float64, shape (k,)
    lower, upper : float
        As `checked_limits` returns them.

    Returns
    -------
    ndarray of float64, shape (k,)

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.results.trimming import trimmed
    >>> trimmed(np.array([1.0, 2.0, 3.0, 10.0]), 0.0, 7.0)
    array([2., 3., 4., 7.])
    """
    inside = (weights >= lower) & (weights <= upper)
    if inside.all():
        return weights
    first = np.clip(weights, lower, upper)
    if inside.any():
        first[inside] += (weights - first).sum() / inside.sum()
    return _shifted(first, float(weights.sum()), lower, upper)


def _shifted(
    weights: NDArray[np.float64], total: float, lower: float, upper: float
) -> NDArray[np.float64]:
    """Compute clip(w + shift), with the shift for which the sum is the total.

    The sum is piecewise linear in the shift, and its slope is the number of weights that are free
    to move on. Newton's method meets the total when no further weight comes to the limit.
    """
    moved = np.clip(weights, lower, upper)
    up = moved.sum() < total
    shift, n_free = 0.0, len(weights) + 1
    while True:
        free = int(((moved < upper) if up else (moved > lower)).sum())
        if not 0 < free < n_free:
            return moved
        shift, n_free = shift + (total - moved.sum()) / free, free
        moved = np.clip(weights + shift, lower, upper)

"""The variance of any function of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l0.calibration.variance.replicates import Replicates
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted


class Variance(NamedTuple):
    """An estimate of your own, with its standard error (see `CalibrationResult.variance`).

    Attributes
    ----------
    estimate : float or ndarray, shape (...)
        The function of the main weights.
    standard_error : float or ndarray, shape (...)
        Its standard error.
    covariance : ndarray, shape (p, p)
        The covariance matrix of the p numbers of the function, in the order of ``ravel``.

    Examples
    --------
    >>> from l0.calibration import Variance
    >>> found = Variance(10.0, 2.0, [[4.0]])
    >>> found.standard_error
    2.0
    """

    estimate: Any
    standard_error: Any
    covariance: NDArray[np.float64]


def variance_of(
    function: Callable[[NDArray[np.float64]], Any],
    weights: NDArray[np.float64],
    replicates: Replicates,
) -> Variance:
    """Compute a function of the main weights, and its variance over the replicates.

    Parameters
    ----------
    function : callable
        It takes weights, shape (k,), and returns a number or an array, always of one shape.
    weights : ndarray of float64, shape (k,)
    replicates : Replicates

    Raises
    ------
    InputError
        If `function` is not callable, or returns something else.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.variance.functions import variance_of
    >>> from l0.calibration.variance.replicates import Replicates
    >>> replicates = Replicates((1 - np.eye(4)) * 4 / 3, np.full(4, 3 / 4), "Jackknife(4)")
    >>> found = variance_of(lambda w: w @ [1, 2, 4, 9], np.ones(4), replicates)
    >>> round(float(found.estimate), 6), round(float(found.standard_error), 6)
    (16.0, 7.118052)
    """
    if not callable(function):
        raise InputError(
            f"`function` is a {type(function).__name__}; pass a function that takes the weights "
            "and returns a number or an array"
        )
    main = _numbers(function(weights.copy()), "the weights")
    others = []
    for place in range(replicates.size):
        # A copy, because a function may change what it is given.
        values = _numbers(function(replicates.weights[:, place].copy()), f"column rw{place + 1}")
        if values.shape != main.shape:
            raise InputError(
                f"`function` returns shape {main.shape} for the weights, and {values.shape} for "
                f"column rw{place + 1}, some of whose weights are 0; return the same numbers always"
            )
        others.append(values.ravel())
    covariance = replicates.covariance(np.array(others), main.ravel())
    error = np.sqrt(np.diag(covariance)).reshape(main.shape)
    if main.ndim == 0:
        return Variance(float(main), float(error), covariance)
    return Variance(main, error, covariance)


def _numbers(values: Any, of: str) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"`function` returns a {type(values).__name__} for {of}; return a number or an array"
        ) from None
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if wrong.size:
        raise InputError(
            f"`function` returns NaN or infinity for {of}, at {counted(wrong.size, 'position')} "
            f"({first_few(wrong.tolist())}); in a replicate, some weights are 0: return numbers "
            "that need no record in particular"
        )
    return numbers

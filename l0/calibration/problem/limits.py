"""Read bounds as a user gives them: numbers, columns of the records, or arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.calibration.problem.bounds import ROUNDING, Bounds, Limit
from l0.calibration.problem.core import Problem
from l0.calibration.problem.given_order import refuse_another_order
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted
from l0.common.validation import check_length, is_number, real_numbers

#: The limits if the user gives none.
NONE = {"low": 0.0, "high": math.inf}
EACH_SIDE = (
    "each side a number, the name of a column, an array with one limit for each record, or None"
)


def read_bounds(problem: Problem, bounds: Any, weight_bounds: Any = None) -> Bounds:
    """Read and check the bounds of the ratios and those of the weights.

    Parameters
    ----------
    problem : Problem
    bounds, weight_bounds : (low, high) or None
        Each side is None, a number, the name of a column of the records, or an array of shape (n,)
        in the order in which the records came. A pandas series must not have their labels in
        another order.

    Returns
    -------
    Bounds
        For each record, the tighter limits of both.

    Raises
    ------
    InputError
        If a limit is not known, negative or not a number; if there is no such column; if there is
        not one limit for each record; or if limits cross. The message names the records by key.
    """
    low, high = _read_pair(problem, "bounds", bounds)
    weight_low, weight_high = _read_pair(problem, "weight_bounds", weight_bounds)
    w0 = problem.design_weights
    if np.any(weight_low):
        low = np.maximum(low, weight_low / w0)
    if np.any(np.isfinite(weight_high)):
        high = np.minimum(high, weight_high / w0)
    # Limits that are equal before the division may cross by a rounding error after it.
    _check_crossing(problem, "`bounds` and `weight_bounds` together", low * (1 - ROUNDING), high)
    return Bounds(low, np.maximum(low, high), weight_low, weight_high)


def whole_bounds(problem: Problem, bounds: Bounds, candidates: NDArray[np.int64]) -> Bounds:
    """Tighten bounds to the smallest and the largest whole weight of each record, at least 1.

    Parameters
    ----------
    problem : Problem
    bounds : Bounds
    candidates : ndarray of int64, shape (c,)
        The records that can be kept.

    Returns
    -------
    Bounds
        For each record, the limits of its whole weights.

    Raises
    ------
    InputError
        If the bounds of a candidate have no whole number between them.
    """
    w0 = problem.design_weights
    # Whether a weight keeps the bounds depends on w / w0. The product low * w0 may round to a
    # number above or below.
    lowest = np.ceil(bounds.low * w0)
    lowest -= (lowest - 1) / w0 >= bounds.low
    lowest += lowest / w0 < bounds.low
    lowest = np.maximum(np.maximum(lowest, np.ceil(bounds.weight_low)), 1.0)
    highest = np.floor(bounds.high * w0)
    highest += (highest + 1) / w0 <= bounds.high
    highest -= highest / w0 > bounds.high
    highest = np.minimum(highest, np.floor(bounds.weight_high))
    crossing = np.zeros(problem.n_records, dtype=bool)
    crossing[candidates] = lowest[candidates] > highest[candidates]
    _check_records(
        problem,
        crossing,
        "`integer_weights=True`: there is no whole number of at least 1 within the bounds",
        "widen `bounds` and `weight_bounds`",
    )
    return Bounds(lowest / w0, highest / w0, lowest, highest)


def _read_pair(problem: Problem, argument: str, given: Any) -> tuple[Limit, Limit]:
    if given is None:
        return NONE["low"], NONE["high"]
    # Text is a sequence too: "12" would be the pair 1 and 2.
    is_pair = isinstance(given, (tuple, list)) or (isinstance(given, np.ndarray) and given.ndim)
    if not is_pair or len(given) != 2:
        raise InputError(f"`{argument}` is {given!r}; pass a pair (low, high), {EACH_SIDE}")
    low, high = (
        _read_side(problem, argument, side, limit) for side, limit in zip(NONE, given, strict=True)
    )
    _check_crossing(problem, f"`{argument}`", low, high)
    return low, high


def _read_side(problem: Problem, argument: str, side: str, given: Any) -> Limit:
    if given is None:
        return NONE[side]
    if is_number(given):
        limit = float(given)
        if _wrong(side, limit):
            raise InputError(f"`{argument}` has the {side} limit {limit:g}; {_rule(side)}")
        return limit
    if isinstance(given, str):
        limits, source = _column(problem, argument, given), f" (column {given!r})"
    else:
        limits, source = _array(problem, argument, side, given), ""
    what = f"`{argument}` has {side} limits{source}"
    _check_records(problem, np.isnan(limits), f"{what} that are null or NaN", "fill them")
    _check_records(problem, _wrong(side, limits), f"{what} that are wrong", _rule(side))
    return limits


def _wrong(side: str, limit: Any) -> Any:
    """Tell which limits no weight can keep, also NaN."""
    right = (limit >= 0) & (limit < np.inf) if side == "low" else limit > 0
    return np.logical_not(right)


def _rule(side: str) -> str:
    return f"{side} limits must be " + ("finite and at least 0" if side == "low" else "above 0")


def _column(problem: Problem, argument: str, name: str) -> NDArray[np.float64]:
    if problem.survey is None:
        raise InputError(
            f"`{argument}` names a column, {name!r}, and a problem from a matrix has no columns; "
            "pass an array with one limit for each column of `A`"
        )
    return problem.survey.numbers(name, argument)


def _array(problem: Problem, argument: str, side: str, given: Any) -> NDArray[np.float64]:
    limits = np.asarray(real_numbers(given, argument), dtype=np.float64)
    if limits.ndim != 1:
        raise InputError(
            f"`{argument}` has {side} limits of shape {limits.shape}; pass for {EACH_SIDE}"
        )
    check_length(len(limits), problem.n_records + problem.n_dropped, argument, "records")
    refuse_another_order(problem, given, argument)
    return limits[problem.record_order]


def _check_crossing(problem: Problem, what: str, low: Limit, high: Limit) -> None:
    if isinstance(low, float) and isinstance(high, float):
        if low > high:
            raise InputError(f"{what} cross: low {low:g} is above high {high:g}; widen them")
        return
    _check_records(problem, np.asarray(low > high), f"{what} cross", "widen them")


def _check_records(problem: Problem, wrong: NDArray[np.bool_], what: str, remedy: str) -> None:
    """Raise an error that names the records, if there are any."""
    if wrong.any():
        places = np.flatnonzero(wrong)
        keys = problem.keys.take(places[:5]).to_pylist()
        raise InputError(
            f"{what} in {counted(len(places), 'record')} ({first_few(keys, len(places))}); {remedy}"
        )

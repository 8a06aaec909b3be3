"""Read survival times, with the mark of whether an event ended them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few
from l0.linear_model.kinds import check_numbers

#: How survival times are passed.
FORM = (
    "pass an array of shape (n, 2) or a frame with the time in the first column and the event in "
    "the second (1, or 0 where the row is censored), or a structured array with a boolean field "
    "and a numeric one"
)


def survival(y: Any) -> NDArray[np.float64]:
    """Return the time and the event of each row.

    Parameters
    ----------
    y : array of shape (n, 2), frame, or structured array of shape (n,)

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Times, and 1 for an event or 0.

    Raises
    ------
    InputError
        If `y` has another form, missing, masked or infinite values, negative times, or other events
        than 0 and 1.
    """
    if y is None:
        raise InputError(f"L0Cox requires y to be passed, but the target y is None; {FORM}")
    check_numbers(y, "y", FORM)
    array = np.asarray(y)
    found = array
    if array.dtype.names:
        found = _of_fields(array)
        check_numbers(found, "y", FORM)
    if found.ndim != 2 or found.shape[1] != 2:
        raise InputError(f"`y` has shape {found.shape}; {FORM}")
    try:
        found = found.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`y` has values that are no numbers; {FORM}") from error
    _refuse("NaN or infinite values", ~np.isfinite(found).all(axis=1))
    _refuse("negative times", found[:, 0] < 0)
    _refuse("events other than 0 and 1", ~np.isin(found[:, 1], (0.0, 1.0)))
    return found


def _of_fields(array: NDArray[Any]) -> NDArray[Any]:
    """Return time and event of a structured array; the event is its boolean field."""
    names = array.dtype.names or ()
    events = [name for name in names if array.dtype[name].kind == "b"]
    if array.ndim != 1 or len(names) != 2 or len(events) != 1:
        raise InputError(f"`y` has the fields {first_few(names)}; {FORM}")
    (time,) = (name for name in names if name not in events)
    return np.column_stack([array[time].astype(object), array[events[0]]])


def _refuse(what: str, wrong: NDArray[np.bool_]) -> None:
    if wrong.any():
        raise InputError(f"`y` has {what} in the rows {first_few(np.flatnonzero(wrong).tolist())}")


def concordance(
    y: NDArray[np.float64], scores: NDArray[np.float64], weights: NDArray[np.float64]
) -> float:
    """Return Harrell's index: the share of comparable pairs in which the riskier row ends first.

    A pair is comparable if its earlier row has an event; of rows with the same time, if one has an
    event and the other none. Equal scores count half. (Harrell, Lee & Mark 1996, Statistics in
    Medicine 15(4).)

    Parameters
    ----------
    y : ndarray of float64, shape (n, 2)
        Times and events.
    scores : ndarray of float64, shape (n,)
        The larger, the earlier an event is expected.
    weights : ndarray of float64, shape (n,)
        A pair counts by the product of its weights.

    Returns
    -------
    float
        0.5 without a comparable pair.
    """
    time, event = y.T
    right = pairs = 0.0
    for row in np.flatnonzero(event):
        later = (time > time[row]) | ((time == time[row]) & (event == 0))
        held = weights[row] * weights[later]
        pairs += held.sum()
        right += held @ (0.5 + 0.5 * np.sign(scores[row] - scores[later]))
    return float(right / pairs) if pairs else 0.5

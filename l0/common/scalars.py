"""Checks of single numbers; each error names the argument."""

from __future__ import annotations

import math
from numbers import Integral, Real

from l0.common.errors import InputError


def whole_number(value: object, argument: str, least: int) -> int:
    """Insist on an integer of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"`{argument}` must be an integer of at least {least}, got {value!r}")
    return int(value)


def positive(value: float, argument: str) -> float:
    """Insist on a finite number above 0."""
    if not isinstance(value, Real) or not 0 < value < math.inf:
        raise InputError(f"`{argument}` must be positive and finite, got {value!r}")
    return float(value)


def not_negative(value: float, argument: str) -> float:
    """Insist on a finite number of at least 0."""
    if not isinstance(value, Real) or not 0 <= value < math.inf:
        raise InputError(f"`{argument}` must be finite and at least 0, got {value!r}")
    return float(value)

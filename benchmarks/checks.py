"""A number beside its limit."""

from __future__ import annotations

import operator
from collections.abc import Iterable

import numpy as np

RELATIONS = {"at most": operator.le, "at least": operator.ge, "exactly": operator.eq}


def check(what: str, value: float, relation: str, limit: float) -> bool:
    """Print whether a value is "at most", "at least" or "exactly" its limit, and say so."""
    passed = bool(RELATIONS[relation](value, limit))
    print(f"{'ok  ' if passed else 'MISS'} {what}: {value:,.6g}, {relation} {limit:,.6g}")
    return passed


def check_not_below(what: str, own: Iterable[float], other: Iterable[float]) -> bool:
    """Check that pairs of runs are on average no worse than the other's, up to two standard errors.

    More is better; `what` says of what, and whose is the other's.
    """
    ahead = np.subtract(list(own), list(other))
    noise = 2 * ahead.std() / len(ahead) ** 0.5
    return check(f"{what}, plus two standard errors", float(ahead.mean() + noise), "at least", 0.0)

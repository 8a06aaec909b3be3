"""A number beside its limit."""

from __future__ import annotations

import operator

RELATIONS = {"at most": operator.le, "at least": operator.ge, "exactly": operator.eq}


def check(what: str, value: float, relation: str, limit: float) -> bool:
    """Print whether a value is "at most", "at least" or "exactly" its limit, and say so."""
    passed = bool(RELATIONS[relation](value, limit))
    print(f"{'ok  ' if passed else 'MISS'} {what}: {value:,.6g}, {relation} {limit:,.6g}")
    return passed

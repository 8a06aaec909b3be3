"""Findings on a budget: what k records within bounds cannot do, and what excludes records."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.calibration.findings import ERROR, NOTE, WARNING, Finding
from l0.calibration.preconditions import find_candidates, read_constraints
from l0.calibration.problem.bounds import Bounds
from l0.calibration.problem.core import Problem
from l0.calibration.problem.impossible import why_impossible
from l0.calibration.problem.joint_reach import joint_reach_of_sums
from l0.calibration.problem.zero_totals import forcing_totals
from l0.common.errors import SHOWN, first_few
from l0.common.formatting import counted


def excluded_records(
    problem: Problem,
    reachable: NDArray[np.bool_],
    n_records: int | None,
    must_keep: Any,
    quotas: Any,
) -> Iterator[Finding]:
    """Find what totals of 0 exclude, and whether the constraints leave any choice.

    Parameters
    ----------
    problem : Problem
    reachable : ndarray of bool, shape (m,)
    n_records : int or None
    must_keep, quotas
        As in `l0.calibrate`.
    """
    found: list[Finding] = []
    candidates = find_candidates(problem, reachable, n_records, found.append)
    yield from found
    n_out = problem.n_records - len(candidates)
    if n_out and not found:
        names = list(compress(problem.names, forcing_totals(problem, reachable)))
        get, they = ("gets", "it adds") if n_out == 1 else ("get", "they add")
        yield Finding(
            NOTE,
            "totals of 0",
            f"{n_out:,} of {counted(problem.n_records, 'record')} {get} the weight 0, because "
            f"{they} to targets of value 0 ({first_few(names)})",
            "give a target that is only rounded to 0 a `tolerance`, or a limit `at_most`",
            tuple(names[:SHOWN]),
            len(names),
        )
    if found or (must_keep is None and quotas is None):
        return
    constraints = read_constraints(problem, must_keep, quotas, candidates, reachable)
    if constraints is not None:
        why = why_impossible(constraints, n_records or len(candidates), all_kept=n_records is None)
        if why:
            what, _, remedy = why.rpartition("; ")
            yield Finding(ERROR, "constraints", what, remedy)


def out_of_joint_reach(
    problem: Problem, bounds: Bounds, n_records: int, reachable: NDArray[np.bool_]
) -> Iterator[Finding]:
    """Find targets that no `n_records` records within the bounds meet together."""
    together = joint_reach_of_sums(problem, bounds, n_records, reachable)
    for statement in dict.fromkeys(together[together != ""].tolist()):
        names = list(compress(problem.names, together == statement))
        yield Finding(
            WARNING,
            "joint reach",
            statement,
            "keep more records, or widen the bounds",
            tuple(names[:SHOWN]),
            len(names),
        )

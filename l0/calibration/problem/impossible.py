"""Why no choice of records can obey constraints, in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from l0.calibration.problem.allocation import solve_counts
from l0.calibration.problem.constraints import Constraints
from l0.common.errors import SHOWN
from l0.common.formatting import counted

#: Multipliers up to this size are 0.
ZERO = 1e-7
#: A demand is dropped from a contradiction if the others still contradict each other. Of more
#: demands than this, all are named: each trial is an integer program.
TRIED = 200


def why_impossible(constraints: Constraints, n_records: int, all_kept: bool = False) -> str:
    """Say why no `n_records` records obey the constraints.

    Parameters
    ----------
    constraints : Constraints
    n_records : int
    all_kept : bool
        Whether all records are kept because `n_records` was not given.

    Returns
    -------
    str
        A sentence that names the cells, or the empty string if there is such a choice.
    """
    n_must = int(constraints.forced.sum())
    if n_must > n_records:
        return (
            f"`n_records` is {n_records:,}, and `must_keep` has {counted(n_must, 'record')}; raise "
            "`n_records`, or keep fewer"
        )
    if not constraints.names or _solved(constraints, (n_records, n_records)) is not None:
        return ""
    for cell in _cells_out_of_reach(constraints):
        return cell
    budget = "all records are kept, because `n_records` is not given" if all_kept else (
        f"`n_records` is {n_records:,}"
    )  # fmt: skip
    free = replace(constraints, forced=np.zeros_like(constraints.forced))
    if (fewest := _extreme(constraints, 1)) is None:
        demands = _contradiction(constraints)
        keep = ", with the records of `must_keep`" if _extreme(free, 1) is not None else ""
        return (
            f"`quotas` contradict each other{keep}: {_listed(constraints, demands)}; no choice of "
            "records meets these together: correct or drop some"
        )
    if fewest > n_records:
        why = _listed(constraints, _binding(constraints, 1))
        keep = " and `must_keep`" if _extreme(free, 1) != fewest else ""
        return (
            f"`quotas`{keep} need at least {counted(fewest, 'record')} ({why}), and {budget}; "
            "raise `n_records`, or lower `min_records`"
        )
    most = _extreme(constraints, -1)
    assert most is not None
    if most < n_records:
        why = _listed(constraints, _binding(constraints, -1))
        remedy = "give `n_records`" if all_kept else "lower `n_records`"
        return (
            f"`quotas` allow at most {counted(most, 'record')} ({why}), and {budget}; {remedy}, or "
            "raise `max_records`"
        )
    every = _listed(constraints, _demands(constraints))
    return (
        f"`quotas` allow fewer and more records, and not exactly {n_records:,}: {every}; change "
        "`n_records`, or widen the quotas"
    )


def _solved(
    constraints: Constraints, total: tuple[float, float], cost: float = 0.0
) -> NDArray[np.int64] | None:
    """Find numbers of records that obey the quotas, each record at this cost."""
    low, high = constraints.forced, constraints.sizes
    each = sp.csr_array(sp.identity(len(low)))
    costs = np.full(len(low), cost)
    return solve_counts(constraints, costs, (high - low).astype(float), each, low, total)


def _cells_out_of_reach(constraints: Constraints) -> Iterable[str]:
    """Name the cells that have too few records, or too many that must be kept."""
    there = constraints.inside @ constraints.sizes
    must = constraints.inside @ constraints.forced
    few = np.flatnonzero(constraints.least > there)
    if few.size:
        shown = [
            f"at least {constraints.least[cell]:,} of {constraints.names[cell]!r}, which has "
            f"{int(there[cell]):,}"
            for cell in few[:SHOWN]
        ]
        yield (
            f"`quotas` ask for more records than can be kept: {_joined(shown, len(few))}; lower "
            "`min_records`"
        )
    many = np.flatnonzero(must > constraints.most)
    if many.size:
        shown = [
            f"at most {constraints.most[cell]:,} of {constraints.names[cell]!r}, where `must_keep` "
            f"has {int(must[cell]):,}"
            for cell in many[:SHOWN]
        ]
        yield (
            f"`quotas` and `must_keep` contradict each other: {_joined(shown, len(many))}; raise "
            "`max_records`, or keep fewer"
        )


def _extreme(constraints: Constraints, sign: int) -> int | None:
    """Find the smallest (sign 1) or the largest (-1) number of records that obey the quotas."""
    found = _solved(constraints, (0, np.inf), sign)
    return None if found is None else int(found.sum())


#: A demand: the position of its cell, and whether it is `min_records`.
Demand = tuple[int, bool]


def _demands(constraints: Constraints) -> list[Demand]:
    """List the limits that exclude any choice."""
    there = constraints.inside @ constraints.sizes
    must = constraints.inside @ constraints.forced
    least = [(cell, True) for cell in np.flatnonzero(constraints.least > must).tolist()]
    return least + [(cell, False) for cell in np.flatnonzero(constraints.most < there).tolist()]


def _rows(
    constraints: Constraints, demands: Sequence[Demand]
) -> tuple[sp.csr_array, NDArray[np.float64]]:
    """Write demands as rows of ``A x <= b``."""
    cells = [cell for cell, _ in demands]
    signs = np.array([-1.0 if low else 1.0 for _, low in demands])
    limits = [(constraints.least if low else constraints.most)[cell] for cell, low in demands]
    matrix = constraints.inside[cells].multiply(signs[:, None])
    return sp.csr_array(matrix), signs * np.array(limits, dtype=float)


def _binding(constraints: Constraints, sign: int) -> list[Demand]:
    """Find the demands that keep the number of records from being smaller (1) or larger (-1)."""
    demands = _demands(constraints)
    matrix, limits = _rows(constraints, demands)
    found = linprog(
        np.full(len(constraints.sizes), float(sign)),
        A_ub=matrix,
        b_ub=limits,
        bounds=np.column_stack([constraints.forced, constraints.sizes]),
    )
    holding = np.flatnonzero(np.abs(found.ineqlin.marginals) > ZERO)
    return [demands[place] for place in holding]


def _contradiction(constraints: Constraints) -> list[Demand]:
    """Find demands that no choice meets together, of any number of records.

    The multipliers of the linear program that breaks the demands as little as possible prove the
    contradiction (Farkas' lemma). If it breaks none, only whole numbers are impossible. Then
    demands are dropped one by one (the deletion filter of Chinneck & Dravnieks 1991).
    """
    demands = _demands(constraints)
    matrix, limits = _rows(constraints, demands)
    g, d = len(constraints.sizes), len(demands)
    found = linprog(
        np.append(np.zeros(g), np.ones(d)),
        A_ub=sp.hstack([matrix, -sp.identity(d)]),
        b_ub=limits,
        bounds=[*zip(constraints.forced, constraints.sizes, strict=True), *[(0, None)] * d],
    )
    if found.fun > ZERO:
        proof = np.flatnonzero(np.abs(found.ineqlin.marginals) > ZERO)
        demands = [demands[place] for place in proof]
    if len(demands) > TRIED:
        return demands
    for demand in list(demands):
        others = [other for other in demands if other != demand]
        if _solved(_with_only(constraints, others), (0, np.inf)) is None:
            demands = others
    return demands


def _with_only(constraints: Constraints, demands: Sequence[Demand]) -> Constraints:
    """Leave out all other demands."""
    there = np.asarray(constraints.inside @ constraints.sizes, dtype=np.int64)
    least, most = np.zeros_like(there), there
    for cell, low in demands:
        if low:
            least[cell] = constraints.least[cell]
        else:
            most[cell] = constraints.most[cell]
    return replace(constraints, least=least, most=most)


def _listed(constraints: Constraints, demands: Sequence[Demand]) -> str:
    shown = [
        f"at least {constraints.least[cell]:,} of {constraints.names[cell]!r}"
        if low
        else f"at most {constraints.most[cell]:,} of {constraints.names[cell]!r}"
        for cell, low in demands[:SHOWN]
    ]
    return _joined(shown, len(demands))


def _joined(shown: Sequence[str], total: int) -> str:
    rest = total - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest > 0 else "")

"""How many records of each group to choose, so that quotas hold.

`spread` moves expected numbers until they obey quotas, and keeps the proportions that the quotas
leave alone. `allocate` changes whole numbers as little as possible. Cells may overlap, so that this
is an integer program.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import Bounds as Box
from scipy.optimize import LinearConstraint, milp

from l0.calibration.problem.constraints import Constraints
from l0.common.errors import InputError

#: The largest number of passes over the quotas, and the change of a number that ends them.
SWEEPS, STILL = 200, 1e-9
#: What it costs to be away from the shared numbers, where a change costs 1.
TIES = 0.01
#: The cost of a choice may be larger by this share than the least one, and the search ends after
#: this many nodes. Both hardly matter for cells of one or two label columns, where the linear
#: program gives whole numbers.
SEARCH = {"mip_rel_gap": 1e-3, "node_limit": 10_000}


def spread(
    constraints: Constraints,
    wanted: NDArray[np.float64],
    n_records: float,
    *,
    lowest: NDArray[np.float64] | None = None,
    highest: NDArray[np.float64] | None = None,
    least: NDArray[np.float64] | None = None,
    most: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Move expected numbers of records until the cells have what their quotas ask for.

    The numbers of a cell outside of its limits are multiplied by one factor, cell by cell, until
    all limits hold. Without limits that are inequalities this is iterative proportional fitting
    (Deming & Stephan 1940, Annals of Mathematical Statistics 11(4)). If the quotas cannot all hold,
    the numbers are a compromise.

    Parameters
    ----------
    constraints : Constraints
    wanted : ndarray of float64, shape (g,)
        The expected number for each group without quotas.
    n_records : float
        The sum of the numbers.
    lowest, highest : ndarray of float64, shape (g,), optional
        The limits of each number: by default those that must be kept, and the size of the group.
    least, most : ndarray of float64, shape (c,), optional
        Other quotas than those of the constraints.

    Returns
    -------
    ndarray of float64, shape (g,)
        Within `lowest` and `highest`, with the sum `n_records` if these allow it.
    """
    low = constraints.forced.astype(float) if lowest is None else lowest
    high = constraints.sizes.astype(float) if highest is None else highest
    least = constraints.least.astype(float) if least is None else least
    most = constraints.most.astype(float) if most is None else most
    numbers = scaled(np.clip(wanted, low, high), low, high, n_records)
    inside = constraints.inside
    for _ in range(SWEEPS):
        before = numbers.copy()
        for cell in range(len(least)):
            groups = inside.indices[inside.indptr[cell] : inside.indptr[cell + 1]]
            total = numbers[groups].sum()
            goal = min(max(total, least[cell]), most[cell])
            if goal != total:
                numbers[groups] = scaled(numbers[groups], low[groups], high[groups], goal)
        numbers = scaled(numbers, low, high, n_records)
        if np.abs(numbers - before).max() <= STILL:
            break
    return numbers


def scaled(
    numbers: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    goal: float,
) -> NDArray[np.float64]:
    """Multiply what exceeds `low` by one factor, up to `high`, so that the sum is the goal.

    If all that exceeds `low` reaches `high` before, the other numbers share the rest in proportion
    to their room. A goal out of reach gives all of `low` or all of `high`.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.problem.allocation import scaled
    >>> scaled(np.array([1.0, 2.0, 3.0]), np.zeros(3), np.array([9.0, 9.0, 4.0]), 10)
    array([2., 4., 4.])
    """
    free, room = numbers - low, high - low
    goal = min(max(goal - low.sum(), 0.0), room.sum())
    full = np.zeros(len(numbers), dtype=bool)
    while True:
        left, rest = goal - room[full].sum(), free[~full].sum()
        if rest <= 0:  # all that have something are full: the others share what is left
            free = np.where(full, 0.0, room)
            rest = free.sum()
            if rest <= 0:
                return np.where(full, high, low)
        factor = max(left, 0.0) / rest
        more = ~full & (free > 0) & (factor * free >= room)
        if not more.any():
            return np.where(full, high, np.minimum(low + factor * free, high))
        full |= more


def allocate(
    constraints: Constraints, counts: NDArray[np.int64], n_records: int
) -> NDArray[np.int64]:
    """Change numbers of records as little as possible, so that they obey the quotas.

    The sum of the absolute changes is minimised. Of choices with equal sums, the one that is
    closest to what `spread` gives is taken, so that all groups of a cell share its change.

    Parameters
    ----------
    constraints : Constraints
    counts : ndarray of int64, shape (g,)
    n_records : int
        The sum of the new numbers.

    Returns
    -------
    ndarray of int64, shape (g,)

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.inputs.quotas import Quota
    >>> from l0.calibration.problem.allocation import allocate
    >>> from l0.calibration.problem.constraints import group_records
    >>> quota = Quota("a", np.arange(6), 3, None)
    >>> constraints = group_records(np.zeros(10, dtype=bool), [quota], np.arange(10))
    >>> constraints.sizes, allocate(constraints, np.array([2, 2]), 4)
    (array([4, 6]), array([1, 3]))
    """
    low, high = constraints.forced, constraints.sizes
    given = counts.astype(float)
    shared = spread(constraints, given, n_records)

    def cost(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.abs(numbers - given) + TIES * np.abs(numbers - shared))

    # A number is `low` plus steps from one kink of its cost to the next. All kinks are at whole
    # numbers, so that the linear program mostly gives such numbers.
    inner = np.sort([np.clip(given, low, high), np.floor(shared), np.ceil(shared)], axis=0)
    kinks = np.clip(np.vstack([low, inner, high]), low, high)
    widths = np.diff(kinks, axis=0)
    slopes = np.diff([cost(each) for each in kinks], axis=0) / np.maximum(widths, 1)
    steps = sp.csr_array(sp.hstack([sp.identity(len(low))] * len(widths)))
    found = solve_counts(
        constraints, slopes.ravel(), widths.ravel(), steps, low, (n_records, n_records)
    )
    if found is None:
        raise InputError(
            "`quotas`: no choice of records was found that obeys them all, and none was excluded; "
            "use fewer label columns"
        )
    return found


def solve_counts(
    constraints: Constraints,
    cost: NDArray[np.float64],
    widths: NDArray[np.float64],
    steps: sp.csr_array,
    low: NDArray[np.int64],
    total: tuple[float, float],
) -> NDArray[np.int64] | None:
    """Minimise a cost over numbers of records that obey the quotas.

    Parameters
    ----------
    constraints : Constraints
    cost, widths : ndarray of float64, shape (v,)
        The cost of each step, and how far it can be taken.
    steps : scipy.sparse.csr_array, shape (g, v)
        What the steps add to the numbers.
    low : ndarray of int64, shape (g,)
        The numbers without any step.
    total : (low, high)
        The limits of the sum of all numbers.

    Returns
    -------
    ndarray of int64, shape (g,), or None
        None if there are no such numbers.
    """
    rows = sp.vstack([constraints.inside, np.ones((1, len(low)))], format="csr")
    at_low = rows @ low
    least = np.append(constraints.least, total[0]) - at_low
    most = np.append(constraints.most, total[1]) - at_low
    found = milp(
        cost,
        integrality=np.ones(len(cost)),
        bounds=Box(np.zeros(len(widths)), widths),
        constraints=LinearConstraint(sp.csr_array(rows @ steps), least, most),
        options=SEARCH,
    )
    if found.x is None:
        return None
    counts = low + np.rint(steps @ found.x).astype(np.int64)
    return counts if constraints.allow(counts) else None

"""The same fits by the conic solver Clarabel (Goulart & Chen 2024, arXiv:2405.12762).

Absolute errors are linear cones, squared ones a quadratic objective. The entropy q log q <= t is
the exponential cone (-t, q, 1), where Clarabel's cone has y exp(x / y) <= z for (x, y, z).
"""

from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp

clarabel = pytest.importorskip("clarabel")


class Found(NamedTuple):
    """What Clarabel finds."""

    objective: float
    q: np.ndarray


def solve(program):
    """Solve `cases.Parts`, or a program with its names; None without an accurate solution."""
    m, k = program.B.shape
    entropies = _entropies(program)
    size = k + m + k * len(entropies)  # q, the errors beyond the intervals, the entropies
    zero_q, zero_t = sp.csr_array((m, k)), sp.csr_array((m, k * len(entropies)))
    B, unit = sp.csr_array(program.B), sp.eye_array(m)
    must = np.isinf(program.share)
    # B q - e <= high, -B q - e <= -low, -e <= 0: a slack is not negative.
    above, below = np.flatnonzero(program.high < np.inf), np.flatnonzero(program.low > -np.inf)
    matrix = [
        sp.hstack([B, -unit, zero_t], format="csr")[above],
        sp.hstack([-B, -unit, zero_t], format="csr")[below],
        sp.hstack([zero_q, -unit, zero_t]),
    ]
    right = [program.high[above], -program.low[below], np.zeros(m)]
    for side, limit in ((1, program.most), (-1, program.least)):
        limit = np.broadcast_to(limit, (k,))
        at = np.flatnonzero(np.isfinite(limit))
        matrix.append(sp.csr_array((np.full(len(at), side), (range(len(at)), at)), (len(at), size)))
        right.append(side * limit[at])
    # A target that must be met has no error.
    required = np.flatnonzero(must)
    matrix.append(
        sp.csr_array((np.ones(len(required)), (range(len(required)), k + required)),
                     (len(required), size))
    )  # fmt: skip
    right.append(np.zeros(len(required)))
    cones = [clarabel.NonnegativeConeT(sum(map(len, right)))]
    linear = np.zeros(size)
    quadratic = np.zeros(size)
    share = np.where(must, 0.0, program.share)
    (quadratic if program.squared else linear)[k : k + m] = (1 + program.squared) * share
    constant = _pull(program, linear, quadratic, entropies, matrix, right, cones)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    solution = clarabel.DefaultSolver(
        sp.diags_array(quadratic).tocsc(), linear, sp.vstack(matrix).tocsc(),
        np.concatenate(right), cones, settings,
    ).solve()  # fmt: skip
    if str(solution.status) != "Solved":
        return None
    return Found(solution.obj_val + constant, np.array(solution.x[:k]))


def _entropies(program):
    """List the terms x log(x / base) of the distance: the sign of q in x, the rest, the base."""
    if program.distance == "linear":
        return []
    if program.distance == "raking":
        return [(1.0, 0.0, 1.0)]
    room = 1e-3 * (program.most - program.least)
    centre = np.clip(1.0, program.least + room, program.most - room)
    return [
        (1.0, -program.least, centre - program.least),
        (-1.0, program.most, program.most - centre),
    ]


def _pull(program, linear, quadratic, entropies, matrix, right, cones):
    """Add the distance to the objective and its cones to the constraints; return its constant."""
    m, k = program.B.shape
    if not entropies:  # (q - 1)^2 / 2
        linear[:k], quadratic[:k] = -program.cost, program.cost
        return program.cost.sum() / 2
    factor = program.cost
    if program.distance == "raking":
        linear[:k] = -program.cost
    else:
        below, above = (entropy[2] for entropy in entropies)
        factor = factor * below * above / (program.most - program.least)
    size = len(linear)
    for place, (sign, rest, base) in enumerate(entropies):
        start = k + m + k * place
        linear[start : start + k] = factor
        # (-t, sign q + rest, base), cone by cone: a slack is the right side less matrix times x.
        rows = 3 * np.arange(k)
        entries = (np.r_[np.ones(k), np.full(k, -sign)],
                   (np.r_[rows, rows + 1], np.r_[start + np.arange(k), np.arange(k)]))  # fmt: skip
        matrix.append(sp.csr_array(entries, (3 * k, size)))
        ends = np.zeros((k, 3))
        ends[:, 1], ends[:, 2] = rest, base
        right.append(ends.ravel())
        cones += [clarabel.ExponentialConeT()] * k
    return program.cost.sum() if program.distance == "raking" else 0.0

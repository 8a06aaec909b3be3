"""The best choice of columns by a mixed-integer solver (SCIP).

`certificate.py` imports the problem, and runs the rest in an environment of its own: a problem
comes in as JSON, and a line of JSON goes out.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, NamedTuple

import numpy as np


class Cell(NamedTuple):
    """An instance of a design."""

    n: int
    p: int
    k: int
    rho: float
    snr: float
    seed: int


class Stated(NamedTuple):
    """Minimise 1 - 2 c'b + b'Ab, with at most k of the b other than 0."""

    products: list[list[float]]
    cross: list[float]
    k: int


def solve(problem: Stated, seconds: float) -> dict[str, Any]:
    """Minimise by SCIP.

    Its variables are b, their indicators z, r = L'(b - b0), where A = LL' and b0 is the optimum
    without a limit, and the perspective s_j z_j >= b_j^2 of as much of A as a multiple of the unit
    matrix has. The objective of a greedy choice limits how far b_j may be from b0_j.
    """
    from pyscipopt import Model, quicksum

    a, c = np.array(problem.products), np.array(problem.cross)
    p = len(c)
    ridge = float(np.linalg.eigvalsh(a)[0]) * 0.999
    optimum = np.linalg.solve(a, c)
    least = 1 - c @ optimum
    chosen: list[int] = []
    for _ in range(problem.k):
        rest = [j for j in range(p) if j not in chosen]
        chosen.append(min(rest, key=lambda j: left(a, c, [*chosen, j])))
    reach = np.sqrt((left(a, c, chosen) - least) * np.diag(np.linalg.inv(a))) * 1.001
    largest = np.abs(optimum) + reach

    started = time.monotonic()
    model = Model()
    model.hideOutput()
    model.setParam("limits/time", seconds)
    model.setParam("limits/gap", 1e-6)
    b = [model.addVar(lb=-largest[j], ub=largest[j]) for j in range(p)]
    z = [model.addVar(vtype="B") for _ in range(p)]
    s = [model.addVar(lb=0, ub=largest[j] ** 2) for j in range(p)]
    factor = np.linalg.cholesky(a - ridge * np.eye(p))
    middle = np.linalg.solve(factor, c)
    r = [model.addVar(lb=None) for _ in range(p)]
    t = model.addVar(lb=0)
    for j in range(p):
        model.addCons(b[j] <= largest[j] * z[j])
        model.addCons(-b[j] <= largest[j] * z[j])
        model.addCons(b[j] * b[j] <= s[j] * z[j])
        along = quicksum(float(factor[i, j]) * b[i] for i in range(j, p))
        model.addCons(r[j] == along - float(middle[j]))
    model.addCons(quicksum(z) <= problem.k)
    model.addCons(quicksum(x * x for x in r) <= t)
    constant = float(1 - middle @ middle)
    model.setObjective(t + ridge * quicksum(s) + constant, "minimize")
    start = model.createPartialSol()
    for j in range(p):
        model.setSolVal(start, z[j], float(j in chosen))
    model.addSol(start)
    model.optimize()
    columns = chosen
    if model.getNSols():
        found = [j for j in range(p) if model.getVal(z[j]) > 0.5]
        columns = min((found, chosen), key=lambda which: left(a, c, which))
    return {
        "columns": columns,
        "bound": float(model.getDualbound()),
        "seconds": time.monotonic() - started,
    }


def left(a: Any, c: Any, columns: list[int]) -> float:
    """What some columns leave."""
    return float(1 - c[columns] @ np.linalg.solve(a[np.ix_(columns, columns)], c[columns]))


if __name__ == "__main__":
    print(json.dumps(solve(Stated(**json.load(sys.stdin)), float(sys.argv[1]))))

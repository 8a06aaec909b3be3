"""How far choices of columns may be from the best one: ours beside a mixed-integer solver.

``python benchmarks/certificate.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from certificate_job import Cell, Stated
from checks import check, check_not_below
from environments import python_with
from threadpoolctl import threadpool_limits

from l0.linear_model import L0Regressor

JOB = "certificate_job.py"
SOLVER = "pyscipopt"
#: Rows, columns, columns chosen, correlation of neighbours, and variance of the signal over that of
#: the noise.
DESIGNS = (
    (200, 50, 5, 0.9, 1.0),
    (200, 50, 10, 0.9, 1.0),
    (200, 95, 10, 0.5, 3.0),
    (500, 95, 8, 0.9, 3.0),
    (200, 95, 10, 0.9, 1.0),
)


def draw(cell: Cell) -> tuple[Any, Any]:
    """Rows from N(0, Sigma), Sigma_ij = rho^|i - j|; k slopes of 1, equally spaced."""
    generator = np.random.default_rng(cell.seed)
    x = generator.normal(size=(cell.n, cell.p))
    for column in range(1, cell.p):
        x[:, column] = cell.rho * x[:, column - 1] + np.sqrt(1 - cell.rho**2) * x[:, column]
    signal = x[:, np.arange(cell.k) * (cell.p // cell.k)].sum(axis=1)
    return x, signal + signal.std() / cell.snr**0.5 * generator.normal(size=cell.n)


def stated(cell: Cell, ridge: float) -> Stated:
    """The products of the standardised columns, with the ridge, and with y of length 1."""
    x, y = draw(cell)
    z = (x - x.mean(axis=0)) / (x.std(axis=0) * cell.n**0.5)
    t = (y - y.mean()) / (y.std() * cell.n**0.5)
    return Stated((z.T @ z + ridge * np.eye(cell.p)).tolist(), (z.T @ t).tolist(), cell.k)


def objective(problem: Stated, columns: Any) -> float:
    """What some columns leave of y, which has length 1, with the ridge's penalty."""
    a, c = np.array(problem.products), np.array(problem.cross)
    return float(1 - c[columns] @ np.linalg.solve(a[np.ix_(columns, columns)], c[columns]))


def main() -> int:
    """Certify all instances both ways, print a row each, and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="how many of each design, from 0")
    parser.add_argument("--seconds", type=float, default=60.0, help="the most for an instance")
    parser.add_argument("--no-peer", action="store_true", help="without the mixed-integer solver")
    options = parser.parse_args()
    python = None if options.no_peer else python_with("certificate", SOLVER, "numpy")

    print("| n, p, k, rho, SNR, seed | l0: objective | gap | s | SCIP: objective | gap | s |")
    print("|---" * 7 + "|")
    ours, theirs, excess, better = [], [], [], 0.0
    for cell in (Cell(*design, seed) for design in DESIGNS for seed in range(options.seeds)):
        with threadpool_limits(1):
            found = L0Regressor(cell.k).fit(*draw(cell))
            started = time.monotonic()
            model = L0Regressor(
                cell.k, l2=found.l2_, certify=True, certify_seconds=options.seconds
            ).fit(*draw(cell))
            seconds = time.monotonic() - started
        problem = stated(cell, found.l2_)
        own, gap = objective(problem, model.support_), model.optimality_gap_
        ours.append(gap)
        excess.append(objective(problem, found.support_) - own)
        row = [", ".join(map(str, cell)), f"{own:.5f}", f"{gap:.5f}", f"{seconds:.1f}"]
        if python:
            answer = solved(python, problem, options.seconds)
            other = objective(problem, answer["columns"])
            theirs.append(other - answer["bound"])
            better = max(better, own - other)
            excess[-1] += max(0.0, own - other)
            row += [f"{other:.5f}", f"{theirs[-1]:.5f}", f"{answer['seconds']:.1f}"]
        print(f"| {' | '.join(row)} |", flush=True)
    print()
    passed = [
        check("objective of the search alone over the best known", max(excess), "at most", 1e-6)
    ]
    if python:
        passed.append(check("objective over that of SCIP", better, "at most", 1e-6))
        passed.append(check_not_below("gap of SCIP less that of l0", theirs, ours))
    return 0 if all(passed) else 1


def solved(python: Path, problem: Stated, seconds: float) -> dict[str, Any]:
    """Run the mixed-integer solver on one thread."""
    printed = subprocess.run(
        [str(python), str(Path(__file__).with_name(JOB)), str(seconds)],
        input=json.dumps(problem._asdict()),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return answer


if __name__ == "__main__":
    sys.exit(main())

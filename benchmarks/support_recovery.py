"""Which columns are found: L0Regressor beside abess, MCP and the lasso.

``python benchmarks/support_recovery.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from collections import defaultdict
from itertools import product
from typing import Any

import numpy as np
from checks import check, check_not_below
from environments import fits_of_peers
from support_recovery_job import COEFFICIENTS, PEERS, Cell, Data, draw, fits
from threadpoolctl import threadpool_limits

from l0.linear_model import L0Regressor

OURS = {
    "L0Regressor, k known": lambda x, y, k: L0Regressor(n_features=k).fit(x, y).coef_,
    "L0Regressor, GICc": lambda x, y, k: L0Regressor().fit(x, y).coef_,
    "L0Regressor, EBIC": lambda x, y, k: L0Regressor(criterion="ebic").fit(x, y).coef_,
}
#: What fits the other packages.
JOB = "support_recovery_job.py"
COLUMNS = ("exact", "F1", "residual", "coefficients", "held out", "chosen", "seconds")
#: By design: the least mean F1 with k known.
LEAST_F1 = {(200, 1000, 10, 0.9, 5.0, "ones"): 0.97, (100, 1000, 10, 0.9, 5.0, "ones"): 0.82}
#: Seconds of ours as a multiple of abess's, each the mean over all cells of a p; with fewer columns
#: than so many, both take milliseconds.
MOST_TIMES, TIMED_FROM = 3.0, 1000
#: Whose F1 is held against whose.
RIVALS = {
    "L0Regressor, k known": "abess, k known",
    "L0Regressor, GICc": "abess, GIC",
}


#: Methods are measured one after the other on the same data.
drawn = functools.lru_cache(maxsize=2)(draw)


def measures(found: dict[str, Any]) -> dict[str, float]:
    """How near a fit is to the truth; README.md says what each is."""
    cell = Cell(*found["cell"])
    data = drawn(cell)
    true, chosen = set(np.flatnonzero(data.beta).tolist()), set(found["columns"])
    error = -data.beta
    error[found["columns"]] += found["values"]
    fresh = drawn(cell._replace(n=1000, seed=10_000 + cell.seed)).x
    return {
        "exact": float(true == chosen),
        "F1": 2 * len(true & chosen) / (len(true) + len(chosen)),
        "residual": residual(data, found["columns"]) / residual(data, np.flatnonzero(data.beta)),
        "coefficients": float(np.sum(error**2) / np.sum(data.beta**2)),
        "held out": 1 + float(np.mean((fresh @ error) ** 2)) / data.noise,
        "chosen": float(len(chosen)),
        "seconds": found["seconds"],
    }


def residual(data: Data, columns: Any) -> float:
    """Sum of squares that least squares on some columns leaves."""
    z = np.column_stack([np.ones(len(data.y)), data.x[:, columns]])
    return float(np.sum((data.y - z @ np.linalg.lstsq(z, data.y, rcond=None)[0]) ** 2))


def main() -> int:
    """Fit all cells, print a row a method and design, and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, nargs="+", default=[100, 200, 300, 500, 1000])
    parser.add_argument("--p", type=int, nargs="+", default=[1000])
    parser.add_argument("--k", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--rho", type=float, nargs="+", default=[0.0, 0.5, 0.9])
    parser.add_argument("--snr", type=float, nargs="+", default=[1.0, 5.0, 10.0])
    parser.add_argument("--coefficients", nargs="+", default=["ones"], choices=COEFFICIENTS)
    parser.add_argument("--seeds", type=int, default=20, help="how many, from 0")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=PEERS,
        default=list(PEERS),
        metavar="PEER",
        help=f"some of: {', '.join(map(repr, PEERS))}; none: L0Regressor alone",
    )
    options = parser.parse_args()

    designs = list(
        product(options.n, options.p, options.k, options.rho, options.snr, options.coefficients)
    )
    cells = [Cell(*design, seed) for design in designs for seed in range(options.seeds)]
    with threadpool_limits(options.threads):
        found = list(fits(cells, OURS))
    if options.peers:
        found += fits_of_peers(JOB, cells, options.threads, *options.peers)
    rows: dict[tuple[Any, ...], list[dict[str, float]]] = defaultdict(list)
    for fit in found:
        rows[(*fit["cell"][:-1], fit["method"])].append(measures(fit))
    means = {
        row: {name: statistics.mean(run[name] for run in runs) for name in COLUMNS}
        for row, runs in rows.items()
    }

    print(f"mean of {options.seeds} seeds; F1 with its standard error\n")
    print(f"| n, p, k, rho, SNR, coefficients | method | {' | '.join(COLUMNS)} |")
    print("|---" * (2 + len(COLUMNS)) + "|")
    for row in sorted(means, key=lambda row: designs.index(row[:-1])):
        spread = np.std([run["F1"] for run in rows[row]]) / len(rows[row]) ** 0.5
        written = [f"{means[row][name]:.3g}" for name in COLUMNS]
        written[1] = f"{means[row]['F1']:.3f} ± {spread:.3f}"
        print(f"| {', '.join(map(str, row[:-1]))} | {row[-1]} | {' | '.join(written)} |")
    print()
    return 0 if all(limits(means, rows)) else 1


def limits(
    means: dict[tuple[Any, ...], dict[str, float]],
    rows: dict[tuple[Any, ...], list[dict[str, float]]],
) -> list[bool]:
    """Check what the cells that were run can show."""
    passed = []
    for row, mean in means.items():
        *design, method = row
        n, p, k, rho, snr, coefficients = design
        name = f"{method}, n {n}, p {p}, k {k}, rho {rho:g}, SNR {snr:g}, {coefficients}"
        least = LEAST_F1.get(tuple(design))
        if method == "L0Regressor, k known" and least:
            passed.append(check(f"F1 of {name}", mean["F1"], "at least", least))
        rival = (*design, RIVALS.get(method))
        if rival in rows:
            own, other = ([run["F1"] for run in rows[which]] for which in (row, rival))
            passed.append(check_not_below(f"F1 of {name}, less abess's", own, other))
    timed = sorted({row[1] for row in means if row[1] >= TIMED_FROM})
    for p, (own, other) in product(timed, RIVALS.items()):
        ours, theirs = (
            [mean["seconds"] for row, mean in means.items() if row[1] == p and row[-1] == method]
            for method in (own, other)
        )
        if theirs:
            times = statistics.mean(ours) / statistics.mean(theirs)
            what = f"seconds of {own}, over abess's, at p {p}"
            passed.append(check(what, times, "at most", MOST_TIMES))
    return passed


if __name__ == "__main__":
    sys.exit(main())

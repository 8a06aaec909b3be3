"""Questions of other people: taxes and tax reforms on the chosen records of the bundled CPS.

``python benchmarks/reforms.py --help`` lists the options; README.md says what is printed. No
setting of the package may be chosen on these figures: they are a test of it.

The package `taxcalc` computes the taxes of each tax unit under the law of 2022 and under four
reforms. No target and no column of the survey is one of these amounts. A small file has an error in
the total of each amount by cell, against the calibrated full file:

1. The cells are the nation, the states, the bands of AGI and the filing statuses. Cells whose
   effective number of records, (sum c)^2 / sum c^2 with c = w x, is below 100 are left out.
2. The error of a cell is min(|difference| / |total of the full file|, 1).
3. The error of an amount is the mean over the cells of each level, and then over the four levels.
   A level without a cell is left out: no state has an effective number of 100 for the income tax.
4. `baseline taxes` is the mean over income tax, payroll tax, EITC and CTC under the law of 2022.
   `reforms` is the mean over the four reforms of the error of the change in revenue, where revenue
   is income tax plus payroll tax. Each reform counts once, however many taxes it changes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cps
import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from checks import check
from environments import CACHE, call, python_with
from numpy.typing import NDArray

from l0.calibration import SELECTORS, CalibrationProblem
from l0.calibration.evaluation.matrix_statistics import MatrixStatistics
from l0.calibration.evaluation.sums import LEAST_EFFECTIVE_N
from l0.calibration.problem.losses import capped_error
from l0.datasets import load_cps

#: The newest release for Python 3.11, with the same CPS and growth factors as 6.8.5, which the
#: bundled survey comes from.
PACKAGE = "taxcalc==6.8.0"
LEVELS = ("state", "agi_band", "filing_status")
COLUMNS = {
    **{name: cps.COLUMNS[name] for name in ("loss", "untargeted_capped_error")},
    "effective_sample_size": cps.COLUMNS["effective_sample_size"],
    "baseline taxes": ("baseline taxes %", lambda x: f"{100 * x:.1f}"),
    "reforms": ("reforms %", lambda x: f"{100 * x:.1f}"),
}

#: Amounts of each unit, by name.
Amounts = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Method:
    """A selector, and options of `solve` beside it."""

    name: str
    selector: str
    options: dict[str, Any]


def read_method(text: str) -> Method:
    """Read the name of a selector, with or without options as JSON after it."""
    selector, _, options = text.partition(" ")
    if selector not in SELECTORS:
        raise argparse.ArgumentTypeError(f"{selector!r} is none of {', '.join(SELECTORS)}")
    try:
        return Method(text, selector, dict(json.loads(options or "{}")))
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"{options!r} is no JSON object: {error}") from None


def taxes_file() -> Path:
    """Give the file of taxes. The first call makes it, and so does one after a change of it."""
    script = Path(__file__).with_name("reforms_taxes.py")
    digest = hashlib.sha256(script.read_bytes()).hexdigest()[:8]
    name = PACKAGE.replace("==", "-")
    file = CACHE / f"{name}-{digest}.npz"
    if not file.exists():
        python = python_with(name, PACKAGE)
        print(f"computing the taxes of {file} (a minute or two)", file=sys.stderr)
        part = file.with_suffix(".part.npz")
        call(python, "-I", script, part)
        part.replace(file)
    return file


def read_taxes(file: Path, units: NDArray[np.int64]) -> dict[str, Amounts]:
    """Read baseline taxes and the changes in revenue, for the units in this order."""
    with np.load(file) as stored:
        order = np.argsort(stored["units"])
        place = np.searchsorted(stored["units"], units, sorter=order)
        found = order[np.minimum(place, len(order) - 1)]
        if missing := int((stored["units"][found] != units).sum()):
            raise ValueError(f"{missing} units have no taxes in {file}")
        amounts = stored["amounts"][:, :, found]
        laws, quantities = stored["laws"].tolist(), stored["quantities"].tolist()
    taxed = [quantities.index("income tax"), quantities.index("payroll tax")]
    revenue = amounts[:, taxed].sum(1)
    return {
        "baseline taxes": dict(zip(quantities, amounts[0], strict=True)),
        "reforms": dict(zip(laws[1:], revenue[1:] - revenue[0], strict=True)),
    }


def codes_of(labels: pa.ChunkedArray) -> NDArray[np.int64]:
    """Number the labels of a column."""
    encoded = labels.cast(pa.string()).combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64)


@dataclass(frozen=True)
class Totals:
    """Totals of amounts by cell in the full file. Use `of` to make them.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (cells, units)
        The amount of each unit in the cells that count.
    full_file : array, shape (cells,)
    amount, level : array, shape (cells,)
        The amount and the level of each cell, by number.
    shape : (int, int)
        How many amounts and levels there are.
    """

    matrix: sp.csr_array
    full_file: NDArray[np.float64]
    amount: NDArray[np.int64]
    level: NDArray[np.int64]
    shape: tuple[int, int]

    @classmethod
    def of(
        cls, amounts: Amounts, levels: list[NDArray[np.int64]], weights: NDArray[np.float64]
    ) -> Totals:
        """Add up all amounts by the codes of each level, and leave out cells of few records."""
        units = np.arange(len(weights))
        parts, places = [], []
        for at, amount in enumerate(amounts.values()):
            some = np.flatnonzero(amount)
            for level, codes in enumerate(levels):
                shape = (int(codes.max()) + 1, len(units))
                parts.append(sp.csr_array((amount[some], (codes[some], units[some])), shape=shape))
                places += [(at, level)] * shape[0]
        matrix = sp.vstack(parts, format="csr")
        compared = MatrixStatistics(matrix).compare(weights, weights)
        counted = compared.column("effective_n").to_numpy() >= LEAST_EFFECTIVE_N
        matrix = matrix[counted]
        amount_of_cell, level_of_cell = np.array(places)[counted].T
        shape = (len(amounts), len(levels))
        return cls(matrix, matrix @ weights, amount_of_cell, level_of_cell, shape)

    def counts(self) -> NDArray[np.float64]:
        """Count the cells of each amount (a row each) by level."""
        return self._add_up(np.ones(len(self.full_file)))

    def errors(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the error of each amount: the mean over the levels that have cells."""
        size = capped_error((self.matrix @ weights - self.full_file) / np.abs(self.full_file))
        counts = self.counts()
        means = np.divide(self._add_up(size), counts, out=np.zeros(self.shape), where=counts > 0)
        return means.sum(1) / (counts > 0).sum(1)

    def _add_up(self, of_cells: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros(self.shape)
        np.add.at(total, (self.amount, self.level), of_cells)
        return total


def print_amounts(
    kind: str, amounts: Amounts, totals: Totals, weights: NDArray[np.float64]
) -> None:
    """Print the national total of each amount, and how many cells count."""
    print(f"| {kind} | full file, bn | units with it | nation | {' | '.join(LEVELS)} |")
    print(f"|{'---|' * (4 + len(LEVELS))}")
    for (name, amount), counts in zip(amounts.items(), totals.counts(), strict=True):
        cells = (f"{amount @ weights / 1e9:,.1f}", f"{np.count_nonzero(amount):,}")
        print(f"| {name} | {' | '.join(cells)} | {' | '.join(f'{x:.0f}' for x in counts)} |")
    print(flush=True)


def measure(
    problem: CalibrationProblem, method: Method, totals: dict[str, Totals], **options: object
) -> cps.Metrics:
    """Solve, and add the errors of the totals to the metrics."""
    options = {"method": method.selector, **options, **method.options}
    result, metrics = cps.solve(problem, **options)
    weights = cps.weights_of(result, problem.n_records)
    return {**metrics, **{kind: of.errors(weights).mean() for kind, of in totals.items()}}


def check_limits(runs: dict[tuple[str, int], list[cps.Metrics]]) -> bool:
    """Compare the default method with the others, both at 5,545 records."""
    medians = {
        (method, kind): statistics.median(run[kind] for run in found)
        for (method, budget), found in runs.items()
        for kind in ("baseline taxes", "reforms")
        if budget == 5_545
    }
    passed = []
    for other in ("pps", "random", "path", "hard_concrete"):
        for kind in ("baseline taxes", "reforms"):
            ratio = medians.get(("hybrid", kind), math.nan) / medians.get((other, kind), math.nan)
            if not math.isnan(ratio):
                passed.append(check(f"hybrid, {kind}, share of {other}", ratio, "at most", 1.0))
    return all(passed)


def main() -> int:
    """Run what was asked for, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--methods",
        nargs="+",
        type=read_method,
        default=[read_method(name) for name in SELECTORS],
        metavar="METHOD",
        help='a selector, or one with options of solve: \'hybrid {"distance": "linear"}\'',
    )
    parser.add_argument("--budgets", nargs="+", type=int, default=cps.BUDGETS)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    survey = load_cps().tax_units
    taxes = read_taxes(taxes_file(), survey.column("tax_unit_id").to_numpy().astype(np.int64))
    problem = cps.compile_cps()
    full_file = cps.weights_of(problem.solve(), problem.n_records)
    nation = np.zeros(problem.n_records, dtype=np.int64)
    levels = [nation, *(codes_of(survey.column(level)) for level in LEVELS)]
    totals = {kind: Totals.of(amounts, levels, full_file) for kind, amounts in taxes.items()}
    for kind, amounts in taxes.items():
        print_amounts(kind, amounts, totals[kind], full_file)

    print(f"median of {options.seeds} seeds (min-max), {options.threads} threads\n")
    cps.print_titles(COLUMNS)
    runs = {}
    for budget in options.budgets:
        for method in options.methods:
            runs[method.name, budget] = [
                measure(problem, method, totals, n_records=budget, seed=seed)
                for seed in range(options.seeds)
            ]
            cps.print_row(method.name, budget, runs[method.name, budget], COLUMNS)
    print()
    return 0 if check_limits(runs) else 1


if __name__ == "__main__":
    sys.exit(main())

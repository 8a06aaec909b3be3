"""How often intervals from replicate weights cover the truth, on the bundled CPS.

``python benchmarks/coverage.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from checks import check
from cps import compile_cps, weights_of
from numpy.typing import NDArray
from reforms import LEVELS as TAXED
from reforms import Totals, codes_of, read_taxes, taxes_file
from scipy.stats import t as student

from l0.calibration import CalibrationProblem, CalibrationResult, Jackknife
from l0.calibration.evaluation.units import Measure, Units
from l0.calibration.evaluation.untargeted import LEAST_EFFECTIVE_N, QUANTILES
from l0.datasets import load_cps

Array = NDArray[np.float64]

#: Intervals of this nominal coverage.
NOMINAL = 0.95
#: A statistic is supported if so many chosen records contribute to it.
SUPPORTED = 30
#: Groups of statistics. The last three are by pairs and by triples of labels, and of persons.
LEVELS = (
    "taxes, nation", "taxes, state", "taxes, agi_band", "taxes, filing_status",
    "nation", "state", "agi_band", "filing_status", "pair", "triple", "person",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Block:
    """Statistics of one measure by some labels: totals, or ratios of totals, in some cells.

    Attributes
    ----------
    level : str
    of : Units
    codes : ndarray of int64
        The cell of each unit.
    kept : ndarray of int64
        The cells that count.
    numerator : Measure
    denominator : Measure or None
        None for totals.
    truth : ndarray of float64
        The statistics of the full file.
    """

    level: str
    of: Units
    codes: NDArray[np.int64]
    kept: NDArray[np.int64]
    numerator: Measure
    denominator: Measure | None
    truth: Array

    def estimates(self, records: NDArray[np.int64], weights: Array) -> tuple[Array, Array]:
        """Compute the statistics of chosen records under columns of weights.

        Parameters
        ----------
        records : ndarray of int64, shape (k,)
        weights : ndarray of float64, shape (k, C)

        Returns
        -------
        estimates : ndarray of float64, shape (len(kept), C)
        support : ndarray of int64, shape (len(kept),)
            How many units contribute.
        """
        place = np.full(int(self.of.record.max()) + 1, -1)
        place[records] = np.arange(len(records))
        rows = self._rows(self.numerator, place, len(records))
        found = rows @ weights
        if self.denominator is not None:
            below = self._rows(self.denominator, place, len(records)) @ weights
            found = np.divide(found, below, out=np.zeros_like(found), where=below != 0)
        return found, np.diff(rows.indptr)

    def _rows(self, measure: Measure, place: NDArray[np.int64], k: int) -> sp.csr_array:
        number = np.full(int(self.codes.max()) + 1, -1)
        number[self.kept] = np.arange(len(self.kept))
        row, column = number[self.codes[measure.places]], place[self.of.record[measure.places]]
        inside = (row >= 0) & (column >= 0)
        entries = (measure.values[inside], (row[inside], column[inside]))
        return sp.coo_array(entries, shape=(len(self.kept), k)).tocsr()


@dataclass(frozen=True, eq=False)
class Taxes:
    """Totals of taxes and of changes in revenue by cell (see `reforms.py`), of one level.

    Attributes
    ----------
    level : str
    matrix : scipy.sparse.csr_array, shape (cells, n)
        The records are in the order of the problem.
    truth : ndarray of float64
    """

    level: str
    matrix: sp.csr_array
    truth: Array

    def estimates(self, records: NDArray[np.int64], weights: Array) -> tuple[Array, Array]:
        """See `Block.estimates`."""
        rows = self.matrix[:, records]
        return rows @ weights, np.diff(rows.indptr)


def taxes(problem: CalibrationProblem, reference: Array) -> Iterator[Taxes]:
    """List the totals of taxes and of changes in revenue, with their values in the full file."""
    survey = load_cps().tax_units
    units = survey.column("tax_unit_id").to_numpy().astype(np.int64)
    levels = [np.zeros(len(units), np.int64), *(codes_of(survey.column(name)) for name in TAXED)]
    weights = np.empty_like(reference)
    weights[problem.record_order] = reference
    for amounts in read_taxes(taxes_file(), units).values():
        totals = Totals.of(amounts, levels, weights)
        for place, name in enumerate(("nation", *TAXED)):
            rows = np.flatnonzero(totals.level == place)
            matrix = totals.matrix[rows][:, problem.record_order]
            yield Taxes(f"taxes, {name}", matrix, totals.full_file[rows])


def held_out(problem: CalibrationProblem, reference: Array) -> Iterator[Block]:
    """List the held-out statistics of the account, with their values in the full file."""
    statistics = problem.untargeted
    for of in statistics.units:
        weights = of.spread(reference)
        for columns, totals in statistics._groups(of):
            cells = of.cells(columns)
            names = [column.name for column in columns]
            level = "nation" if not names else names[0]
            level = {2: "pair", 3: "triple"}.get(len(names), level)
            level = "person" if of.entity else level
            if level not in LEVELS:
                continue
            for numerator, denominator in _asked(of, weights, totals):
                above, enough = _total(cells.codes, cells.size, numerator, weights)
                truth = above
                if denominator is not None:
                    below, also = _total(cells.codes, cells.size, denominator, weights)
                    enough = np.minimum(enough, also)
                    truth = np.divide(above, below, out=np.zeros_like(above), where=below != 0)
                counts = enough >= LEAST_EFFECTIVE_N
                if totals:
                    counts &= statistics._shown(of, cells, numerator, enough)
                kept = np.flatnonzero(counts & (truth != 0))
                if len(kept):
                    yield Block(level, of, cells.codes, kept, numerator, denominator, truth[kept])


def _asked(of: Units, weights: Array, totals: bool) -> Iterator[tuple[Measure, Measure | None]]:
    """Give counts and totals, or means where not 0 and shares up to the quartiles."""
    if totals:
        yield from ((measure, None) for measure in of.measures)
        return
    for measure in of.measures[1:]:
        holders = measure.part(np.ones(len(measure.places), dtype=bool))
        yield measure, holders
        order = np.argsort(measure.values, kind="stable")
        upto = np.cumsum(weights[measure.places][order])
        at = np.searchsorted(upto, np.array(QUANTILES) * upto[-1])
        for threshold in np.unique(measure.values[order][at]):
            if threshold < measure.values.max():
                yield measure.part(measure.values <= threshold), holders


def _total(codes: NDArray[np.int64], size: int, of: Measure, weights: Array) -> tuple[Array, Array]:
    """Add up a measure by cell, and compute the effective number of units."""
    amounts, cell = weights[of.places] * of.values, codes[of.places]
    total, squares = (np.bincount(cell, each, size) for each in (amounts, amounts**2))
    effective = np.divide(total**2, squares, out=np.zeros(size), where=squares > 0)
    return total.astype(float), effective


def replicates_of(result: CalibrationResult) -> Array:
    """Take the weights and the replicate weights of the chosen records, shape (k, 1 + C)."""
    table = result.tables["replicates"]
    return np.column_stack([result.values, *(each.to_numpy() for each in table.columns[1:])])


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors and standard errors as shares of the truth, of all statistics in a row.

    Attributes
    ----------
    level : ndarray of str
    error, standard_error : ndarray of float64
    supported : ndarray of bool
    """

    level: NDArray[np.str_]
    error: Array
    standard_error: Array
    supported: NDArray[np.bool_]


def errors_of(
    problem: CalibrationProblem, result: CalibrationResult, blocks: list[Block | Taxes]
) -> Errors:
    """Compare the statistics of a result with the truth, and estimate their standard errors."""
    rank = np.argsort(problem.record_order)  # of the rows of the input, in the problem
    records, weights = rank[result.indices], replicates_of(result)
    rscales = np.array(result.run["replicates"]["rscales"])
    parts = []
    for block in blocks:
        found, support = block.estimates(records, weights)
        variance = (found[:, 1:] - found[:, :1]) ** 2 @ rscales
        size = np.abs(block.truth)
        parts.append(
            (
                np.full(len(size), block.level),
                (found[:, 0] - block.truth) / size,
                np.sqrt(variance) / size,
                support >= SUPPORTED,
            )
        )
    return Errors(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def summary(runs: list[Errors], inside: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Compute coverage, width and bias of some statistics.

    `inside` has a row for each run. The width is the mean standard error as a share of the root of
    the mean squared error over runs, and the bias a share of it too. Both are medians.
    """
    quantile = student.ppf((1 + NOMINAL) / 2, 79)
    error = np.array([run.error for run in runs])
    standard_error = np.array([run.standard_error for run in runs])
    covered = np.abs(error) <= quantile * standard_error
    everywhere = inside.all(axis=0)
    root = np.sqrt((error[:, everywhere] ** 2).mean(axis=0))
    mean = standard_error[:, everywhere].mean(axis=0)
    capped = np.minimum(root, 1.0).sum()
    width = np.minimum(mean, 1.0).sum() / capped if capped else np.nan
    bias = np.abs(error[:, everywhere].mean(axis=0)).sum() / root.sum() if capped else np.nan
    return float(covered[inside].mean()) if inside.any() else np.nan, float(width), float(bias)


def print_errors(title: str, runs: list[Errors], seconds: list[float]) -> dict[str, Any]:
    """Print coverage, width and bias by level and support."""
    print(f"\n{title}: {len(runs)} runs, {np.mean(seconds):.1f} CPU seconds each\n")
    print("| statistics | number | coverage | width | bias |\n|---|---|---|---|---|", flush=True)
    supported = np.array([run.supported for run in runs])
    level = runs[0].level
    found = {}
    groups = {"all": np.ones(len(level), bool), "supported": np.ones(len(level), bool)}
    groups |= {name: level == name for name in LEVELS}
    for name, those in groups.items():
        inside = np.broadcast_to(those, supported.shape)
        if name != "all":
            inside = inside & supported
        coverage, width, bias = summary(runs, inside)
        found[name] = {"coverage": coverage, "width": width}
        number = int(inside.sum() / len(runs))
        print(f"| {name} | {number:,} | {coverage:.3f} | {width:.2f} | {bias:.2f} |", flush=True)
    return found


def measure_selection(
    problem: CalibrationProblem, blocks: list[Block | Taxes], k: int, seeds: int, **options: Any
) -> dict[str, Any]:
    """Measure how well intervals cover the calibrated full file (S)."""
    runs, seconds = [], []
    for seed in range(seeds):
        started = time.process_time()
        result = problem.solve(k, seed=seed, **options)
        seconds.append(time.process_time() - started)
        runs.append(errors_of(problem, result, blocks))
    written = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return print_errors(f"S, {k:,} records, {written}", runs, seconds)


def check_selection(k: int, found: dict[str, Any]) -> bool:
    """Print the promises of the default method."""
    name = f"S at {k:,}"
    if k != 5_545:
        least = 0.93 if k < 5_545 else 0.94
        return check(f"{name}, coverage", found["all"]["coverage"], "at least", least)
    passed = [
        check(f"{name}, coverage", found["all"]["coverage"], "at least", 0.94),
        check(f"{name}, coverage", found["all"]["coverage"], "at most", 0.98),
        check(f"{name}, width, supported", found["supported"]["width"], "at most", 1.4),
    ]
    for group, least in (
        ("supported", 0.94), ("agi_band", 0.93), ("filing_status", 0.93), ("nation", 0.85),
    ):  # fmt: skip
        coverage = found[group]["coverage"]
        passed.append(check(f"{name}, coverage, {group}", coverage, "at least", least))
    return all(passed)


def main() -> int:
    """Run what was asked for, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-records", nargs="+", type=int, default=[2_000, 5_545, 20_000])
    parser.add_argument("--seeds", type=int, default=8, help="how many, from 0")
    parser.add_argument("--groups", type=int, default=80)
    parser.add_argument("--methods", nargs="+", default=["hybrid"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--represent", nargs="+", choices=["yes", "no"], default=["yes", "no"])
    parser.add_argument(
        "--selection-error-only", action="store_true", help="spare records that are nearly certain"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    problem = compile_cps()
    full = problem.solve()
    reference = weights_of(full, problem.n_records)[problem.record_order]
    blocks = [*taxes(problem, reference), *held_out(problem, reference)]
    settings = Jackknife(options.groups, selection_error_only=options.selection_error_only)
    passed = []
    for k in options.n_records:
        for method in options.methods:
            for represent in options.represent:
                asked = {"represent": represent == "yes", "method": method}
                found = measure_selection(
                    problem, blocks, k, options.seeds, replicates=settings, **asked
                )
                if method == "hybrid" and represent == "yes":
                    passed.append((k, found))
    print()
    return 0 if all([check_selection(k, found) for k, found in passed]) else 1


if __name__ == "__main__":
    sys.exit(main())

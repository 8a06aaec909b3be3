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
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
import torch
from checks import check
from cps import compile_cps, weights_of
from numpy.typing import NDArray
from reforms import LEVELS as TAXED
from reforms import Totals, codes_of, read_taxes, taxes_file
from scipy.linalg import hadamard
from scipy.stats import norm

from l0.calibration import CalibrationProblem, CalibrationResult, Jackknife, SurveyReplicates
from l0.calibration.evaluation.sums import LEAST_EFFECTIVE_N, QUANTILES
from l0.calibration.evaluation.units import Measure, Units
from l0.calibration.results.replicate_weights import replicates_of
from l0.calibration.sampling.designs import inclusion_probabilities, systematic
from l0.datasets import load_cps

Array = NDArray[np.float64]

#: Intervals of this nominal coverage.
NOMINAL = 0.95
#: A statistic is supported if so many chosen records contribute to it.
SUPPORTED = 30
#: Intervals of statistics with few records: from the first number, to below the second.
BY_SUPPORT = ((1, 2), (2, 4), (4, 10), (10, 30))
#: Groups of statistics. The last three are by pairs and by triples of labels, and of persons.
#: Error of the selection; of survey and selection; the same with a survey of clusters.
#: The last is the survey of clusters with its own replicate weights.
PARTS = ("S", "S+D", "clusters", "halves")
#: The half-samples of the survey's own replicate weights: a power of 2.
N_HALVES = 64
LEVELS = (
    "taxes, nation", "taxes, state", "taxes, agi_band", "taxes, filing_status",
    "nation", "state", "agi_band", "filing_status", "pair", "triple", "person",
)  # fmt: skip
#: Totals that are soft targets with `represent=True`. They are in no other group.
SOFT = tuple(
    f"soft, {level}" for level in ("nation", "state", "agi_band", "filing_status", "person")
)


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

    def estimates(
        self, records: NDArray[np.int64], weights: Array
    ) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
        """Compute the statistics of chosen records under columns of weights.

        Parameters
        ----------
        records : ndarray of int64, shape (k,)
        weights : ndarray of float64, shape (k, C)

        Returns
        -------
        estimates : ndarray of float64, shape (len(kept), C)
        support, n_records : ndarray of int64, shape (len(kept),)
            How many records have an amount, and how many contribute to the statistic.
        """
        place = np.full(int(self.of.record.max()) + 1, -1)
        place[records] = np.arange(len(records))
        rows = self._rows(self.numerator, place, len(records))
        found, support = rows @ weights, np.diff(rows.indptr)
        if self.denominator is None:
            return found, support, support
        holders = self._rows(self.denominator, place, len(records))
        below = holders @ weights
        found = np.divide(found, below, out=np.zeros_like(found), where=below != 0)
        return found, support, np.diff((abs(rows) + abs(holders)).indptr)

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

    def estimates(
        self, records: NDArray[np.int64], weights: Array
    ) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
        """See `Block.estimates`."""
        rows = self.matrix[:, records]
        support = np.diff(rows.indptr)
        return rows @ weights, support, support


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
    """List the statistics of the account, with their values in the full file.

    These are the held-out ones, and the totals that soft targets hold.
    """
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
            asked = [(level, *each) for each in _asked(of, weights, totals)]
            if not totals:
                asked += [(f"soft, {level}", measure, None) for measure in of.measures]
            for name, numerator, denominator in asked:
                above, enough = _total(cells.codes, cells.size, numerator, weights)
                truth = above
                if denominator is not None:
                    below, also = _total(cells.codes, cells.size, denominator, weights)
                    enough = np.minimum(enough, also)
                    truth = np.divide(above, below, out=np.zeros_like(above), where=below != 0)
                counts = enough >= LEAST_EFFECTIVE_N
                if totals or name in SOFT:
                    counts &= statistics._shown(of, cells, numerator, enough)
                kept = np.flatnonzero(counts & (truth != 0))
                if len(kept):
                    yield Block(name, of, cells.codes, kept, numerator, denominator, truth[kept])


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


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors and intervals as shares of the truth, of all statistics in a row.

    Attributes
    ----------
    level : ndarray of str
    error, half : ndarray of float64
        `half` is half of the width of the interval of `result.estimate`. It is NaN where there is
        none, because no chosen record has an amount.
    support : ndarray of int64
        How many chosen records have an amount.
    """

    level: NDArray[np.str_]
    error: Array
    half: Array
    support: NDArray[np.int64]


def errors_of(
    records: NDArray[np.int64], result: CalibrationResult, blocks: list[Block | Taxes]
) -> Errors:
    """Compare the statistics of a result with the truth, and compute their intervals.

    `records` are the places of the chosen records in the problem of the truth.
    """
    replicates = replicates_of(result.tables, result.run)
    weights = np.column_stack([result.values, replicates.weights])
    parts = []
    for block in blocks:
        found, support, n_records = block.estimates(records, weights)
        error = np.sqrt(replicates.variance(found[:, 1:].T, found[:, 0]))
        half = np.where(support > 0, replicates.t(NOMINAL, n_records) * error, np.nan)
        size = np.abs(block.truth)
        parts.append(
            (
                np.full(len(size), block.level),
                (found[:, 0] - block.truth) / size,
                half / size,
                support,
            )
        )
    return Errors(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def summary(runs: list[Errors], inside: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Compute coverage, width and bias of some statistics.

    `inside` has a row for each run. The width is that of the mean interval, as a share of the
    interval that the root of the mean squared error over the runs gives, and the bias a share of
    this root. Both are of sums over the statistics that are inside in all runs.
    """
    error = np.array([run.error for run in runs])
    half = np.array([run.half for run in runs])
    covered = np.abs(error) <= half
    everywhere = inside.all(axis=0)
    root = np.sqrt((error[:, everywhere] ** 2).mean(axis=0))
    mean = half[:, everywhere].mean(axis=0) / norm.ppf((1 + NOMINAL) / 2)
    capped = np.minimum(root, 1.0).sum()
    width = np.minimum(mean, 1.0).sum() / capped if capped else np.nan
    bias = np.abs(error[:, everywhere].mean(axis=0)).sum() / root.sum() if capped else np.nan
    return float(covered[inside].mean()) if inside.any() else np.nan, float(width), float(bias)


def print_errors(title: str, runs: list[Errors], seconds: list[float]) -> dict[str, Any]:
    """Print coverage, width and bias by level and support."""
    support = np.array([run.support for run in runs])
    level = runs[0].level
    soft = np.isin(level, SOFT)
    known = np.isfinite([run.half for run in runs]) & ~soft
    print(f"\n{title}: {len(runs)} runs, {np.mean(seconds):.1f} CPU seconds each")
    print(f"No interval, because no record has an amount: {1 - known[:, ~soft].mean():.1%}\n")
    print("| statistics | number | coverage | width | bias |\n|---|---|---|---|---|")
    groups = {"all": known, "supported": ~soft & (support >= SUPPORTED)}
    for low, high in BY_SUPPORT:
        groups[f"{low} to {high - 1} records"] = known & (support >= low) & (support < high)
    groups["soft"] = soft & (support >= SUPPORTED)
    groups |= {name: (level == name) & (support >= SUPPORTED) for name in (*LEVELS, *SOFT)}
    found = {}
    for name, inside in groups.items():
        coverage, width, bias = summary(runs, inside)
        found[name] = {"coverage": coverage, "width": width}
        number = int(inside.sum() / len(runs))
        print(f"| {name} | {number:,} | {coverage:.3f} | {width:.2f} | {bias:.2f} |", flush=True)
    return found


def measure_selection(
    problem: CalibrationProblem, blocks: list[Block | Taxes], k: int, seeds: range, represent: bool
) -> dict[str, Any]:
    """Measure how well intervals cover the calibrated full file (S).

    The intervals for both errors have the same truth. They are wider than they need to be for it.
    """
    settings = (Jackknife(selection_error_only=True), Jackknife())
    runs: list[list[Errors]] = [[], []]
    seconds: list[list[float]] = [[], []]
    solving = 0.0
    rank = np.argsort(problem.record_order)  # of the rows of the input, in the problem
    for seed in seeds:
        started = time.process_time()
        solved = problem.solve(k, seed=seed, represent=represent, keep_problem=True)
        solving += time.process_time() - started
        for place, setting in enumerate(settings):
            started = time.process_time()
            result = solved.replicate(setting)
            seconds[place].append(time.process_time() - started)
            runs[place].append(errors_of(rank[result.indices], result, blocks))
    print(f"\n{k:,} records, represent={represent}: {solving / len(seeds):.1f} CPU seconds a run")
    only, _ = (
        print_errors(f"S, {k:,} records, represent={represent}, {setting}", *each)
        for setting, *each in zip(settings, runs, seconds, strict=True)
    )
    return only


class Population:
    """The CPS as a population of which everything is known, and samples of it.

    Its totals are the targets, and its statistics are the truth.
    """

    def __init__(self, size: int = 15_000, clustered: bool = False) -> None:
        survey, persons, targets = load_cps()
        self.size, self.clustered = size, clustered
        problem = compile_cps()
        self.problem = problem
        everyone = np.ones(problem.n_records)
        self.blocks = [*taxes(problem, everyone), *held_out(problem, everyone)]
        totals = np.empty(problem.n_targets)
        totals[problem.target_order] = problem.matrix @ everyone
        place = targets.column_names.index("value")
        targets = targets.set_column(place, "value", pa.array(totals))
        # A total of 0 would force records out, and few records give no sample.
        enough = np.empty(problem.n_targets)
        enough[problem.target_order] = np.diff(problem.matrix.indptr)
        self.targets = targets.filter(pa.array((enough >= 100) & (totals != 0)))
        self.survey, self.persons = survey.sort_by("tax_unit_id"), persons
        self.states = codes_of(self.survey.column("state"))

    def draw(self, seed: int) -> CalibrationProblem:
        """Draw a sample, and make its problem."""
        rng = np.random.default_rng([seed, 1])
        n = self.survey.num_rows
        columns = {}
        if self.clustered:
            # Clusters of 20 neighbours in a state, two of each stratum.
            order = np.lexsort((np.arange(n), self.states))
            cluster = np.empty(n, dtype=np.int64)
            cluster[order] = np.arange(n) // 20
            n_clusters = n // 20
            strata = np.arange(n_clusters) * (self.size // 40) // n_clusters
            shuffled = np.lexsort((rng.random(n_clusters), strata))
            first = np.searchsorted(strata[shuffled], np.arange(self.size // 40))
            chosen = np.sort(np.concatenate([shuffled[first], shuffled[first + 1]]))
            rows = np.flatnonzero(np.isin(cluster, chosen))
            of = cluster[rows]
            weight = np.bincount(strata)[strata[of]] / 2
            # A selection may leave one cluster of a stratum, so that two strata are joined.
            columns = {"psu": of, "stratum": strata[of] // 2}
            # Half-samples of the two clusters of each stratum: neighbouring strata share a sign.
            signs = hadamard(N_HALVES)[:, 1 + strata[of] * (N_HALVES - 1) // (self.size // 40)]
            second = np.searchsorted(chosen, of) % 2
            for place, sign in enumerate(signs):
                columns[f"half{place}"] = weight * np.where((sign > 0) == (second > 0), 2.0, 0.0)
        else:
            given = self.survey.column("weight").to_numpy()
            q = inclusion_probabilities(1 / np.maximum(given, np.median(given) / 10), self.size)
            rows = systematic(q, rng.permutation(n), rng)
            weight = 1 / q[rows]
        sample = self.survey.take(rows)
        place = sample.column_names.index("weight")
        sample = sample.set_column(place, "weight", pa.array(weight))
        for name, values in columns.items():
            sample = sample.append_column(name, pa.array(values))
        inside = pc.is_in(
            self.persons.column("tax_unit_id"),
            value_set=sample.column("tax_unit_id").combine_chunks(),
        )
        return CalibrationProblem.from_frames(
            sample, self.targets, key="tax_unit_id", weight="weight",
            members={"person": self.persons.filter(inside)},
        )  # fmt: skip


def measure_population(
    population: Population,
    k: int | None,
    draws: range,
    settings: Jackknife | SurveyReplicates,
    **options: Any,
) -> dict[str, Any]:
    """Measure how well intervals cover the truth about the population (S + D)."""
    keys = population.problem.keys.to_numpy()
    runs, seconds = [], []
    for seed in draws:
        problem = population.draw(seed)
        started = time.process_time()
        result = problem.solve(k, seed=seed, replicates=settings, **options)
        seconds.append(time.process_time() - started)
        chosen = result.tables["weights"].column("tax_unit_id").to_numpy()
        runs.append(errors_of(np.searchsorted(keys, chosen), result, population.blocks))
    what = "all" if k is None else f"{k:,}"
    design = "clusters of 20, two a stratum" if population.clustered else "elements"
    method = type(settings).__name__
    title = f"S + D, {what} of {population.size:,} records, {design}, {method}, {options}"
    return print_errors(title, runs, seconds)


def check_selection(k: int, found: dict[str, Any]) -> bool:
    """Print the promises on the error of the selection."""
    name = f"S at {k:,}"
    if k != 5_545:
        least = 0.93 if k < 5_545 else 0.94
        return all(
            [
                check(f"{name}, coverage, {group}", found[group]["coverage"], "at least", least)
                for group in ("all", "supported")
            ]
        )
    passed = [
        check(f"{name}, coverage, all", found["all"]["coverage"], "at least", 0.94),
        check(f"{name}, coverage, all", found["all"]["coverage"], "at most", 0.98),
        check(f"{name}, width", found["supported"]["width"], "at most", 1.4),
    ]
    for group, least in (
        ("supported", 0.94), ("agi_band", 0.93), ("filing_status", 0.93), ("nation", 0.85),
        ("taxes, agi_band", 0.93), ("taxes, filing_status", 0.93), ("taxes, nation", 0.85),
    ):  # fmt: skip
        coverage = found[group]["coverage"]
        passed.append(check(f"{name}, coverage, {group}", coverage, "at least", least))
    return all(passed)


def check_population(k: int | None, clustered: bool, found: dict[str, Any]) -> bool:
    """Print the promises on the error of selection and survey together."""
    name = f"S + D at {k:,}" if k else "S + D, all records"
    coverage, width = found["supported"]["coverage"], found["supported"]["width"]
    if clustered:
        return check(f"{name}, clusters, coverage", coverage, "at least", 0.92)
    if k is None:
        return check(f"{name}, coverage", coverage, "at least", 0.93)
    small = k < 5_545
    return all(
        [
            check(f"{name}, coverage, soft", found["soft"]["coverage"], "at least", 0.86),
            check(f"{name}, coverage", coverage, "at least", 0.95 if small else 0.93),
            check(f"{name}, width", width, "at most", 1.6 if small else 1.3),
        ]
    )


def main() -> int:
    """Run what was asked for, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--n-records", nargs="+", type=int, help="in place of those of each part")
    parser.add_argument("--seeds", type=int, default=8, help="of the part S: how many")
    parser.add_argument("--first-seed", type=int, default=0, help="also of the samples of S + D")
    parser.add_argument("--draws", type=int, default=10, help="of S + D: how many samples")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--represent", nargs="+", choices=["yes", "no"], default=["yes", "no"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    represents = [each == "yes" for each in options.represent]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    draws = range(options.first_seed, options.first_seed + options.draws)
    passed = []
    if "S" in options.parts:
        problem = compile_cps()
        full = problem.solve()
        reference = weights_of(full, problem.n_records)[problem.record_order]
        blocks = [*taxes(problem, reference), *held_out(problem, reference)]
        for k in options.n_records or (2_000, 5_545, 20_000):
            for represent in represents:
                found = measure_selection(problem, blocks, k, seeds, represent)
                if represent:
                    passed.append(check_selection(k, found))
    of_clusters = Jackknife(clusters="psu", strata="stratum")
    halves = SurveyReplicates([f"half{place}" for place in range(N_HALVES)], "BRR")
    for part, clustered, settings in (
        ("S+D", False, Jackknife()), ("clusters", True, of_clusters), ("halves", True, halves),
    ):  # fmt: skip
        if part not in options.parts:
            continue
        population = Population(clustered=clustered)
        for k in options.n_records or ((5_545,) if clustered else (2_000, 5_545, None)):
            for represent in represents if k else [True]:
                found = measure_population(population, k, draws, settings, represent=represent)
                if represent and part != "halves":
                    passed.append(check_population(k, clustered, found))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

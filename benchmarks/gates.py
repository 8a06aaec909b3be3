"""Gates that learn: SampleGate beside random subsets, FeatureGate beside scores of columns.

``python benchmarks/gates.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from checks import check
from numpy.typing import NDArray
from sklearn.feature_selection import mutual_info_regression

from l0 import CalibrationProblem, FeatureGate, SampleGate
from l0.datasets import load_cps
from l0.gates.z_scores import weighted_z_scores

Array = NDArray[np.float64]
#: Rows chosen, and what each counts for.
Choice = tuple[NDArray[np.int64], Array]

KEEP = 1_000
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
COLUMNS = ("fitted", "held out", "subgroups", "sd", "skewness", "correlations", "quantiles", "ESS")
HELD_OUT = ("agi", "medicare", "snap")


@dataclass(frozen=True)
class File:
    """A table with design weights: columns to fit, and columns never shown to any method."""

    shown: pd.DataFrame
    held: Array
    groups: Array
    weights: Array

    @property
    def numbers(self) -> Array:
        """The numeric columns among those shown."""
        return self.shown.select_dtypes("number").to_numpy(float)

    @property
    def subgroups(self) -> Array:
        """Every numeric column within every group: totals that no method is shown."""
        blocks = [self.numbers * group[:, None] for group in self.groups.T]
        columns = np.hstack([self.groups, *blocks])
        return columns[:, np.ptp(columns, axis=0) > 0]


def made_up(seed: int) -> File:
    """10,000 rows of 10 columns, skewed and correlated by five factors, and 20 more of the kind."""
    generator = np.random.default_rng(seed)
    factors, noise = generator.normal(size=(10_000, 5)), generator.normal(size=(10_000, 30))
    x = factors @ generator.normal(size=(5, 30)) / 5**0.5 + 0.4 * noise
    x[:, ::3] = np.exp(0.8 * x[:, ::3])
    x[:, 1::3] += 0.3 * x[:, 1::3] ** 2
    x[:, 5] = x[:, 5] > 0.5
    shown = pd.DataFrame(x[:, :10], columns=[f"x{j}" for j in range(10)])
    groups = x[:, :4] > np.quantile(x[:, :4], 0.75, axis=0)
    return File(shown, x[:, 10:], groups.astype(float), np.ones(len(x)))


def cps(seed: int) -> File:
    """20,000 tax units of the bundled survey, drawn anew for each seed."""
    units = load_cps("pandas").tax_units.sample(20_000, random_state=seed)
    shown = units.drop(
        columns=["tax_unit_id", "weight", "survey_year", "state", "agi_band", *HELD_OUT]
    )
    groups = pd.get_dummies(units["agi_band"]).to_numpy(float)
    return File(
        shown, units[list(HELD_OUT)].to_numpy(float), groups, units["weight"].to_numpy(float)
    )


def random_rows(file: File, seed: int) -> Choice:
    """Take a simple random subset, its weights raised alike to the sum of all weights."""
    rows = np.sort(np.random.default_rng(1_000 + seed).permutation(len(file.weights))[:KEEP])
    weights = file.weights[rows]
    return rows, weights * file.weights.sum() / weights.sum()


def calibrated_rows(file: File, seed: int) -> Choice:
    """Take a simple random subset, and calibrate it to the totals of the columns shown."""
    columns = pd.get_dummies(file.shown, dtype=float).to_numpy(float)
    # Centred, so that an error is a share of what a column varies by, as in the gate's own fit.
    z = weighted_z_scores(columns, file.weights)
    matrix = np.column_stack([np.ones(len(z)), z]).T
    values = np.append(file.weights.sum(), np.zeros(z.shape[1]))
    problem = CalibrationProblem.from_matrix(matrix, values, file.weights)
    result = problem.solve(n_records=KEEP, method="random", seed=seed)
    return result.indices, result.values


def gate_rows(file: File, seed: int) -> Choice:
    """Let a SampleGate choose."""
    gate = SampleGate(len(file.weights), KEEP).fit(file.shown, file.weights, seed=seed)
    _, weights, rows = gate.select_weighted_samples(file.shown, file.weights)
    return rows, weights


def even_gate_rows(file: File, seed: int) -> Choice:
    """Let a SampleGate choose rows that do without weights: each counts the same."""
    gate = SampleGate(len(file.weights), KEEP).fit(file.shown, file.weights, even=True, seed=seed)
    _, rows = gate.select_samples(file.shown)
    return rows, np.full(KEEP, file.weights.sum() / KEEP)


METHODS: dict[str, Callable[[File, int], Choice]] = {
    "random": random_rows,
    "random, calibrated": calibrated_rows,
    "SampleGate": gate_rows,
    "SampleGate, even, rows alone": even_gate_rows,
}
FILES: dict[str, Callable[[int], File]] = {"made up": made_up, "CPS": cps}


def moments(x: Array, weights: Array) -> dict[str, Array]:
    """Mean, sd, skewness, correlations and quantiles of weighted columns."""
    share = weights / weights.sum()
    mean = share @ x
    sd = np.sqrt(share @ (x - mean) ** 2)
    z = (x - mean) / sd
    quantiles = []
    for column in x.T:
        order = np.argsort(column)
        upto = np.cumsum(share[order]) - share[order] / 2
        quantiles.append(np.interp(QUANTILES, upto, column[order]))
    return {
        "sd": sd,
        "skewness": share @ z**3,
        "correlations": ((z * share[:, None]).T @ z)[np.triu_indices(len(sd), 1)],
        "quantiles": np.array(quantiles),
    }


def errors(file: File, rows: NDArray[np.int64], weights: Array) -> dict[str, float]:
    """Mean absolute errors in percent: of a standard deviation, or of what README.md says."""

    def totals(x: Array) -> float:
        z = weighted_z_scores(x, file.weights)
        return float(np.mean(np.abs(weights @ z[rows])) / file.weights.sum())

    true = moments(file.numbers, file.weights)
    own = moments(file.numbers[rows], weights)
    size = {
        "sd": true["sd"],
        "skewness": np.maximum(1, np.abs(true["skewness"])),
        "correlations": np.ones(1),
        "quantiles": true["sd"][:, None],
    }
    found = {
        "fitted": totals(file.numbers),
        "held out": totals(file.held),
        "subgroups": totals(file.subgroups),
        **{name: float(np.mean(np.abs(own[name] - true[name]) / size[name])) for name in size},
    }
    percent = {name: 100 * error for name, error in found.items()}
    return {**percent, "ESS": float(weights.sum() ** 2 / (weights**2).sum())}


def compare_rows(name: str, seeds: int) -> dict[str, dict[str, float]]:
    """Print a row a method, medians over the seeds, and give them."""
    print(f"\n{name}, {KEEP:,} rows kept, median of {seeds} seeds\n")
    print(f"| method | {' | '.join(COLUMNS)} | seconds |\n|{'---|' * (len(COLUMNS) + 2)}")
    files = [FILES[name](seed) for seed in range(seeds)]
    table = {}
    for method, choose in METHODS.items():
        started = time.perf_counter()
        choices = [choose(file, seed) for seed, file in enumerate(files)]
        seconds = (time.perf_counter() - started) / seeds
        runs = [errors(file, *choice) for file, choice in zip(files, choices, strict=True)]
        median = {column: statistics.median(run[column] for run in runs) for column in COLUMNS}
        print(f"| {method} | {' | '.join(f'{x:,.3g}' for x in median.values())} | {seconds:.1f} |")
        table[method] = median
    return table


def planted(seed: int) -> tuple[Array, Array, set[int]]:
    """500 rows of 200 columns, alike ten by ten; ten of them, of both signs, make y."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(500, 200)) + np.repeat(generator.normal(size=(500, 20)), 10, axis=1)
    support = generator.permutation(200)[:10]
    signs = np.where(np.arange(10) % 2, 1.0, -1.0)
    y = x[:, support] @ signs + generator.normal(size=500)
    return x, y, set(support.tolist())


def compare_features(seeds: int) -> dict[str, float]:
    """Print how many of ten planted columns are found among ten chosen, and give the means."""

    def by_gate(x: Array, y: Array) -> Array:
        return FeatureGate(200, 10).fit(x, y).select_features(x)[1]

    def by_correlation(x: Array, y: Array) -> Array:
        return np.argsort(-np.abs(np.corrcoef(x.T, y)[-1, :-1]))[:10]

    print(f"\nplanted columns, 10 of 200, mean of {seeds} seeds\n")
    print("| method | found | seconds |\n|---|---|---|")
    found = {}
    for name, choose in (("largest correlations", by_correlation), ("FeatureGate", by_gate)):
        started, hits = time.perf_counter(), []
        for seed in range(seeds):
            x, y, support = planted(seed)
            hits.append(len(support & set(choose(x, y).tolist())))
        found[name] = statistics.mean(hits)
        seconds = (time.perf_counter() - started) / seeds
        print(f"| {name} | {found[name]:.1f} | {seconds:.2f} |")
    return found


#: Targets that are no sum of columns, and of how many columns each is made.
HIDDEN: dict[str, tuple[int, Callable[[Array], Array]]] = {
    "product": (2, lambda x: x[:, 0] * x[:, 1]),
    "signs that differ": (2, lambda x: (x[:, 0] > 0) ^ (x[:, 1] > 0)),
    "square": (1, lambda x: x[:, 0] ** 2),
    "sin 2x": (1, lambda x: np.sin(2 * x[:, 0])),
    "sin 3x": (1, lambda x: np.sin(3 * x[:, 0])),
    "sin 6x": (1, lambda x: np.sin(6 * x[:, 0])),
    "product of three": (3, lambda x: x[:, 0] * x[:, 1] * x[:, 2]),
    "all kinds": (4, lambda x: x[:, 0] * x[:, 1] + x[:, 2] ** 2 + x[:, 3]),
}


def hidden(name: str, seed: int) -> tuple[Array, Array, set[int]]:
    """1,000 rows of 50 columns; a few of them, and noise of 0.3 of the rest's sd, make y."""
    k, make = HIDDEN[name]
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(1_000, 50))
    support = generator.permutation(50)[:k]
    y = make(x[:, support]).astype(float)
    return x, y / y.std() + 0.3 * generator.normal(size=1_000), set(support.tolist())


def compare_nonlinear(seeds: int) -> dict[str, float]:
    """Print how often exactly the columns are found that a target is made of, and give it."""
    methods: dict[str, Callable[[Array, Array, int], Array]] = {
        "linear": lambda x, y, k: FeatureGate(50, k).fit(x, y, n_splits=0).select_features(x)[1],
        "mutual information": lambda x, y, k: np.argsort(
            -mutual_info_regression(x, y, random_state=0)
        )[:k],
        "nonlinear": lambda x, y, k: (
            FeatureGate(50, k).fit(x, y, nonlinear=True).select_features(x)[1]
        ),
    }
    print(f"\ntargets of few columns of 50, found exactly in a share of {seeds} seeds\n")
    print(f"| target | {' | '.join(methods)} | seconds |\n|{'---|' * (len(methods) + 2)}")
    shares = {}
    for name in HIDDEN:
        found, seconds = dict.fromkeys(methods, 0.0), dict.fromkeys(methods, 0.0)
        for seed in range(seeds):
            x, y, support = hidden(name, seed)
            for method, choose in methods.items():
                started = time.perf_counter()
                found[method] += (set(choose(x, y, len(support)).tolist()) == support) / seeds
                seconds[method] += (time.perf_counter() - started) / seeds
        row = " | ".join(f"{share:.0%}" for share in found.values())
        print(f"| {name} | {row} | {seconds['nonlinear']:.1f} |")
        shares[name] = found["nonlinear"]
    return shares


#: Of the targets above, those that a nonlinear fit must find, and how often.
FOUND = dict.fromkeys(("product", "signs that differ", "square", "sin 2x", "all kinds"), 0.9)
#: By file, method and another method: the most that its errors may be as shares of the other's.
LIMITS = {
    ("made up", "SampleGate", "random"): {
        "fitted": 0.01, "held out": 0.85, "subgroups": 0.6, "sd": 0.01, "skewness": 0.6,
        "correlations": 0.1, "quantiles": 0.55,
    },
    ("made up", "SampleGate", "random, calibrated"): {
        "subgroups": 0.7, "skewness": 0.6, "quantiles": 0.75,
    },
    ("made up", "SampleGate, even, rows alone", "random"): {
        "fitted": 0.1, "held out": 0.85, "subgroups": 0.75, "sd": 0.05, "correlations": 0.1,
        "quantiles": 0.65,
    },
    ("CPS", "SampleGate", "random"): {
        "fitted": 0.05, "held out": 0.55, "subgroups": 0.8, "sd": 0.01, "skewness": 0.3,
        "correlations": 0.05, "quantiles": 0.4,
    },
    ("CPS", "SampleGate", "random, calibrated"): {
        "held out": 0.9, "subgroups": 0.75, "skewness": 0.3, "quantiles": 0.4,
    },
    ("CPS", "SampleGate, even, rows alone", "random"): {
        "fitted": 0.25, "held out": 0.8, "sd": 0.55, "correlations": 0.95, "quantiles": 0.65,
    },
}  # fmt: skip


def main() -> int:
    """Run all comparisons, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=11, help="how many, from 0")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tables = {name: compare_rows(name, options.seeds) for name in FILES}
    found = compare_features(options.seeds)
    nonlinear = compare_nonlinear(options.seeds)
    print()
    passed = [
        check(
            f"{name}, {column}: {method}, share of {other}",
            tables[name][method][column] / tables[name][other][column],
            "at most",
            limit,
        )
        for (name, method, other), limits in LIMITS.items()
        for column, limit in limits.items()
    ]
    passed.append(check("FeatureGate, planted found", found["FeatureGate"], "at least", 9.9))
    passed += [
        check(f"FeatureGate, nonlinear, {name} found", nonlinear[name], "at least", limit)
        for name, limit in FOUND.items()
    ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

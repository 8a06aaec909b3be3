"""How often L0Regressor finds the best subset: all subsets, or all exchanges of pairs, are tried.

``python benchmarks/enumeration.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from checks import check
from threadpoolctl import threadpool_limits

from l0.linear_model import L0Regressor

Array = Any
#: A choice is beaten if another one lowers the objective by more than this share of it.
BEATEN = 1e-9
#: At most so many of 140 enumerated problems may be missed, and so many of 96 exchanged ones.
MOST_MISSED, MOST_EXCHANGED = 2, 1
#: The least share of the true columns of twins, in %, under the estimator's own ridge.
LEAST_TRUE = 95
#: The ridge of each method: none, or the one that the estimator sets.
METHODS: dict[str, float | None] = {"l2=0": 0.0, "default": None}
COLUMNS = ("problems", "beaten", "worst excess %", "true columns found %", "seconds")
#: The measures whose mean is printed.
MEANS = ("true", "seconds")


class Problem(NamedTuple):
    """Rows, outcomes, and the columns that make them."""

    x: Array
    y: Array
    true: Array


def independent(generator: Any, n: int, p: int) -> Array:
    """Columns from N(0, 1)."""
    return generator.normal(size=(n, p))


def autoregressive(generator: Any, n: int, p: int) -> Array:
    """Each column has a correlation of .9 with the next one."""
    x = generator.normal(size=(n, p))
    for column in range(1, p):
        x[:, column] = 0.9 * x[:, column - 1] + np.sqrt(1 - 0.9**2) * x[:, column]
    return x


def block(generator: Any, n: int, p: int) -> Array:
    """Blocks of five columns with a correlation of .9 within."""
    common = generator.normal(size=(n, -(-p // 5)))
    return np.sqrt(0.9) * common[:, np.arange(p) // 5] + np.sqrt(0.1) * generator.normal(
        size=(n, p)
    )


def equicorrelated(generator: Any, n: int, p: int) -> Array:
    """All columns have a correlation of .7 with each other."""
    return np.sqrt(0.7) * generator.normal(size=(n, 1)) + np.sqrt(0.3) * generator.normal(
        size=(n, p)
    )


def suppressor(generator: Any, n: int, p: int) -> Array:
    """Every third column is nearly the sum of the two before it."""
    x = generator.normal(size=(n, p))
    third = np.arange(2, p, 3)
    x[:, third] = x[:, third - 1] + x[:, third - 2] + 0.3 * x[:, third]
    return x


def polynomial(generator: Any, n: int, p: int) -> Array:
    """Powers 1 to 5 of positive variables."""
    base = generator.uniform(0.5, 2, size=(n, -(-p // 5)))
    return base[:, np.arange(p) // 5] ** (1 + np.arange(p) % 5)


def twins(generator: Any, n: int, p: int) -> Array:
    """Columns in pairs with a correlation of .98."""
    x = generator.normal(size=(n, p))
    second = np.arange(1, p, 2)
    x[:, second] = x[:, second - 1] + 0.2 * x[:, second]
    return x


DESIGNS: dict[str, Callable[[Any, int, int], Array]] = {
    "independent": independent,
    "AR .9": autoregressive,
    "block": block,
    "equicorrelated": equicorrelated,
    "suppressor": suppressor,
    "polynomial": polynomial,
    "twins": twins,
}


def draw(design: str, seed: int, n: int, p: int, k: int) -> Problem:
    """Draw an outcome on k columns, with a signal-to-noise ratio of 1 and 4 by turns.

    True columns and their slopes are random. Those of twins come in pairs with opposite signs: one
    of the two alone explains nearly nothing.
    """
    generator = np.random.default_rng([seed, list(DESIGNS).index(design)])
    x = DESIGNS[design](generator, n, p)
    if design == "twins":
        first = 2 * generator.permutation(p // 2)[: k // 2]
        true = np.concatenate([first, first + 1])
        slopes = np.repeat([1.0, -1.0], k // 2)
    else:
        true = generator.permutation(p)[:k]
        slopes = (
            generator.choice([-1.0, 1.0], k) * generator.uniform(0.5, 1.5, k) / x[:, true].std(0)
        )
    signal = x[:, true] @ slopes
    return Problem(x, signal + signal.std() / (1, 2)[seed % 2] * generator.normal(size=n), true)


class Products(NamedTuple):
    """Products of standardised columns, with the ridge, and products with the outcome."""

    gram: Array
    cross: Array
    total: float


def products(problem: Problem, l2: float) -> Products:
    """What the objective of L0Regressor reads of a problem."""
    z = (problem.x - problem.x.mean(0)) / problem.x.std(0)
    y = problem.y - problem.y.mean()
    n, p = z.shape
    return Products(z.T @ z / n + l2 * np.eye(p), z.T @ y / n, float(y @ y / n))


def objective(parts: Products, columns: Array) -> float:
    """The objective of one choice."""
    gram = parts.gram[np.ix_(columns, columns)]
    return parts.total - float(parts.cross[columns] @ np.linalg.solve(gram, parts.cross[columns]))


def least_of_all(parts: Products, chosen: Array) -> float:
    """The least objective of all choices of as many columns."""
    subsets = np.array(list(combinations(range(len(parts.cross)), len(chosen))))
    gram = parts.gram[subsets[:, :, None], subsets[:, None, :]]
    cross = parts.cross[subsets]
    slopes = np.linalg.solve(gram, cross[:, :, None])[:, :, 0]
    best = subsets[np.einsum("mk,mk->m", slopes, cross).argmax()]
    return objective(parts, best)


def least_of_pairs(parts: Products, chosen: Array) -> float:
    """The least objective after any two of the columns are exchanged for any two others."""
    others = np.setdiff1d(np.arange(len(parts.cross)), chosen)
    least = objective(parts, chosen)
    upper = np.triu_indices(len(others), 1)
    for pair in combinations(range(len(chosen)), 2):
        rest = np.delete(chosen, pair)
        paths = np.linalg.solve(parts.gram[np.ix_(rest, rest)], parts.gram[np.ix_(rest, others)])
        left = parts.gram[np.ix_(others, others)] - parts.gram[np.ix_(others, rest)] @ paths
        r = parts.cross[others] - parts.cross[rest] @ paths
        d = np.diag(left)
        a, b = upper
        across = left[upper]
        gains = (r[a] ** 2 * d[b] + r[b] ** 2 * d[a] - 2 * r[a] * r[b] * across) / np.maximum(
            d[a] * d[b] - across**2, 1e-12
        )
        best = int(gains.argmax())
        least = min(least, objective(parts, np.append(rest, others[[a[best], b[best]]])))
    return least


def enumerated(seeds: int) -> Iterator[tuple[str, Problem]]:
    """Problems small enough to try every subset: p 15 to 17, k 5 and 6, n 40 and 100."""
    for design in DESIGNS:
        for seed in range(seeds):
            k = 6 if design == "twins" else 5 + seed // 4 % 2
            yield design, draw(design, seed, (40, 100)[seed // 2 % 2], 15 + seed % 3, k)


def exchanged(seeds: int) -> Iterator[tuple[str, Problem]]:
    """Problems on which exchanges of pairs are tried: p 100, 150 and 200, k 8, n 150."""
    for design in DESIGNS:
        if design != "polynomial":  # with so many near-copies there is no best choice to speak of
            for seed in range(seeds):
                yield design, draw(design, seed, 150, (100, 150, 200)[seed % 3], 8)


def rows(
    problems: Iterator[tuple[str, Problem]], least: Callable[[Products, Array], float]
) -> dict[tuple[str, str], list[dict[str, float]]]:
    """Fit every method to every problem, and compare its objective with the least one."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for design, problem in problems:
        for method, l2 in METHODS.items():
            started = time.process_time()
            model = L0Regressor(n_features=len(problem.true), l2=l2).fit(problem.x, problem.y)
            seconds = time.process_time() - started
            parts = products(problem, model.l2_)
            own = objective(parts, model.support_)
            excess = own / least(parts, model.support_) - 1
            run = {
                "beaten": float(excess > BEATEN),
                "excess": 100 * excess,
                "true": 100 * float(np.isin(problem.true, model.support_).mean()),
                "seconds": seconds,
            }
            found.setdefault((design, method), []).append(run)
    return found


def main() -> int:
    """Fit all problems, print a row a design and method, and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="enumerated problems a design")
    parser.add_argument("--pair-seeds", type=int, default=16, help="exchanged problems a design")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    kinds = {
        "every subset": (enumerated(options.seeds), least_of_all, MOST_MISSED),
        "pairs": (exchanged(options.pair_seeds), least_of_pairs, MOST_EXCHANGED),
    }
    passed = []
    print(f"| tried | design | method | {' | '.join(COLUMNS)} |")
    print("|---" * (3 + len(COLUMNS)) + "|", flush=True)
    for tried, (problems, least, most) in kinds.items():
        with threadpool_limits(options.threads):
            found = rows(problems, least)
        for (design, method), runs in found.items():
            beaten = sum(int(run["beaten"]) for run in runs)
            worst = max(run["excess"] for run in runs)
            true, seconds = (statistics.mean(run[name] for run in runs) for name in MEANS)
            written = [len(runs), beaten, f"{worst:.3g}", f"{true:.0f}", f"{seconds:.3g}"]
            print(
                f"| {tried} | {design} | {method} | {' | '.join(map(str, written))} |", flush=True
            )
        for method in METHODS:
            runs = [run for (_, name), some in found.items() if name == method for run in some]
            beaten = sum(run["beaten"] for run in runs)
            passed.append((f"beaten of {len(runs)}, {tried}, {method}", beaten, "at most", most))
        true = statistics.mean(run["true"] for run in found["twins", "default"])
        passed.append(
            (f"true columns of twins in %, {tried}, default", true, "at least", LEAST_TRUE)
        )
    print()
    return 0 if all([check(*one) for one in passed]) else 1


if __name__ == "__main__":
    sys.exit(main())

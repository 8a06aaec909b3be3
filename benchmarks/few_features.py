"""Real data with k of their columns: L0Selector beside scikit-learn's selectors.

``python benchmarks/few_features.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from checks import check
from sklearn.base import BaseEstimator, is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.feature_selection import (
    RFE,
    SelectKBest,
    SelectorMixin,
    SequentialFeatureSelector,
    f_classif,
    f_regression,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, lasso_path
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from l0.linear_model import L0Selector

Array = Any
#: Columns and classes up to which forward selection by folds is tried: its fits are many.
MOST_COLUMNS, MOST_CLASSES = 30, 3


class Task(NamedTuple):
    """A table, its outcome, how many columns to choose, and the model that they go into."""

    x: Array
    y: Array
    sizes: list[int]
    model: Any


class LargestOfL1(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """The k largest coefficients of the first model on an L1 path that has so many."""

    def __init__(self, classes: bool, k: int) -> None:
        self.classes, self.k = classes, k

    def fit(self, x: Array, y: Array) -> LargestOfL1:
        """Walk along the path."""
        for slopes in l1_logistic(x, y) if self.classes else lasso_path(x, y - y.mean())[1].T:
            size = np.abs(slopes)
            if np.count_nonzero(size) >= self.k:
                break
        self.chosen_ = np.isin(np.arange(x.shape[1]), np.argsort(-size)[: self.k])
        return self

    def _get_support_mask(self) -> Array:
        return self.chosen_


def l1_logistic(x: Array, y: Array) -> Iterator[Array]:
    """Each column's largest coefficient over the classes, the penalty less and less."""
    indicators = y[:, None] == np.unique(y)
    most = np.abs(x.T @ (indicators - indicators.mean(axis=0))).max()
    model = LogisticRegression(
        l1_ratio=1.0, solver="saga", tol=1e-3, warm_start=True, random_state=0
    )
    for inverse in np.geomspace(1, 300, 30) / most:
        yield np.abs(model.set_params(C=inverse).fit(x, y).coef_).max(axis=0)


def tasks() -> dict[str, Task]:
    """Make the tables of scikit-learn, two of them with all squares and products of columns."""
    products = PolynomialFeatures(degree=2, include_bias=False)
    line, classes = LinearRegression(), LogisticRegression(max_iter=1000)
    diabetes, cancer = load_diabetes(return_X_y=True), load_breast_cancer(return_X_y=True)
    wine, digits = load_wine(return_X_y=True), load_digits(return_X_y=True)
    return {
        "diabetes": Task(*diabetes, [2, 4, 6], line),
        "diabetes, products": Task(
            products.fit_transform(diabetes[0]), diabetes[1], [5, 10, 20], line
        ),
        "breast cancer": Task(*cancer, [2, 4, 8], classes),
        "breast cancer, products": Task(
            products.fit_transform(StandardScaler().fit_transform(cancer[0])),
            cancer[1],
            [2, 4, 8],
            classes,
        ),
        "wine": Task(*wine, [2, 3, 5], classes),
        "digits": Task(*digits, [5, 10, 20], classes),
    }


def selectors(task: Task) -> dict[str, Callable[[int], Any]]:
    """Make the selectors that are compared, by the number of columns."""
    classes = is_classifier(task.model)
    found: dict[str, Callable[[int], Any]] = {
        "L0Selector": lambda k: L0Selector(k, loss="logistic" if classes else "squared"),
        "L1": lambda k: LargestOfL1(classes, k),
        "RFE": lambda k: RFE(task.model, n_features_to_select=k),
        "SelectKBest": lambda k: SelectKBest(f_classif if classes else f_regression, k=k),
    }
    if task.x.shape[1] <= MOST_COLUMNS and not (classes and task.y.max() >= MOST_CLASSES):
        found["forward"] = lambda k: SequentialFeatureSelector(
            task.model, n_features_to_select=k, cv=3
        )
    return found


def folds(task: Task, repeats: int) -> list[tuple[Array, Array]]:
    """Five folds, `repeats` times anew, of rows that are the same for every method."""
    kind = RepeatedStratifiedKFold if is_classifier(task.model) else RepeatedKFold
    return list(kind(n_splits=5, n_repeats=repeats, random_state=0).split(task.x, task.y))


def scores(
    task: Task, select: Callable[[int], Any] | None, size: int, splits: list[tuple[Array, Array]]
) -> tuple[Array, float]:
    """R2 or accuracy in % on each fold, and the mean seconds of a choice."""
    found, spent = [], 0.0
    for train, test in splits:
        scaler = StandardScaler().fit(task.x[train])
        x, fresh = scaler.transform(task.x[train]), scaler.transform(task.x[test])
        if select is not None:
            started = time.perf_counter()
            selector = select(size).fit(x, task.y[train])
            spent += time.perf_counter() - started
            x, fresh = selector.transform(x), selector.transform(fresh)
        found.append(task.model.fit(x, task.y[train]).score(fresh, task.y[test]))
    return 100 * np.array(found), spent / len(splits)


def main() -> int:
    """Cross-validate every method, print a row a table and size, and check."""
    everything = tasks()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=everything, default=list(everything))
    parser.add_argument("--repeats", type=int, default=1, help="of five folds")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Fits that stop before the last digit.

    methods = ("L0Selector", "L1", "RFE", "SelectKBest", "forward")
    ahead: dict[str, list[float]] = {name: [] for name in methods[1:]}
    print("R2 or accuracy in %, and seconds of one choice\n")
    print(f"| data (rows, columns) | k | {' | '.join(methods)} | all columns |")
    print("|---" * (3 + len(methods)) + "|")
    for name in options.data:
        task, splits = everything[name], folds(everything[name], options.repeats)
        whole = scores(task, None, 0, splits)[0].mean()
        for size in task.sizes:
            cells, means = [], {}
            for method, select in selectors(task).items():
                found, seconds = scores(task, select, size, splits)
                means[method] = float(found.mean())
                cells.append(f"{means[method]:.1f} ({seconds:.2g} s)")
                if method != "L0Selector":
                    ahead[method].append(means["L0Selector"] - means[method])
            cells += [""] * (len(methods) - len(cells))
            shape = f"{task.x.shape[0]:,}, {task.x.shape[1]}"
            print(f"| {name} ({shape}) | {size} | {' | '.join(cells)} | {whole:.1f} |", flush=True)
    print()
    passed = [
        check(f"mean score less that of {method}", float(np.mean(values)), "at least", 0.0)
        for method, values in ahead.items()
        if values
    ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The problem of a file that is to be like another: totals, squares, quantile shares, products."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.api import CalibrationProblem
from l0.calibration.sampling.stratification import FeatureStratification

#: Where the distribution of a column is cut: the shares of rows below are targets.
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
#: Moments beyond the totals are targets while a target has at least this many chosen rows.
ROWS_PER_TARGET = 4
#: And while the matrix has no more entries than this.
ENTRIES = 20_000_000
#: Standardised values beyond this do not stretch the order of the rows any further.
FAR = 3.0
#: Entries of a target that is constant are 0 up to this share of the others.
ROUNDING = 1e-9

Rows = Iterator[NDArray[np.float64]]


def totals_problem(
    columns: NDArray[np.float64],
    totals: NDArray[np.float64],
    wanted: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> CalibrationProblem[pa.Table]:
    """Ask for given totals of some columns.

    Parameters
    ----------
    columns : ndarray of float64, shape (n, p)
        All columns; they put the rows in order for the draw.
    totals : ndarray of float64, shape (m,)
    wanted : ndarray of int64, shape (m,)
        The column of each total.
    weights : ndarray of float64, shape (n,)
        Positive design weights.

    Returns
    -------
    CalibrationProblem
    """
    problem = CalibrationProblem.from_matrix(columns[:, wanted].T, totals, weights)
    return dataclasses.replace(problem, stratification=_ordering(standardise(columns, weights)))


def moments_problem(
    columns: NDArray[np.float64], weights: NDArray[np.float64], n_records: int
) -> CalibrationProblem[pa.Table]:
    """Ask for the weighted moments that the rows have together.

    Targets are the sum of the weights and the total of every column that varies. As far as
    `n_records` chosen rows can bear them, there are also the squares, the shares of rows below
    some quantiles, and the products of two columns, kind by kind. Each kind counts the same.
    All of it is taken from standardised columns, so that neither scale nor shift of a column
    matters, and centred, so that an error is a share of what the moment varies by.

    Parameters
    ----------
    columns : ndarray of float64, shape (n, p)
    weights : ndarray of float64, shape (n,)
        Positive design weights.
    n_records : int
        How many rows are to be chosen.

    Returns
    -------
    CalibrationProblem
    """
    z = standardise(columns, weights)
    z = z[:, z.any(axis=0)]
    n, p = z.shape
    total = weights.sum()
    most = min(n_records / ROWS_PER_TARGET, ENTRIES / n)
    rows, groups = [np.ones(n)], ["sum of the weights"]
    rows += list(z.T)
    groups += ["totals"] * p
    kinds = [
        ("squares", p, _squares),
        ("shares", len(QUANTILES) * p, _shares),
        ("products", p * (p - 1) // 2, _products),
    ]
    for name, size, make in kinds:
        if len(rows) + size > most:
            break
        for row in make(z, weights):
            centred = row - weights @ row / total
            if np.abs(centred).max() > ROUNDING * max(1.0, np.abs(row).max()):
                rows.append(centred)
                groups.append(name)
    values = np.zeros(len(rows))
    values[0] = total
    problem = CalibrationProblem.from_matrix(np.stack(rows), values, weights, groups=groups)
    return dataclasses.replace(problem, stratification=_ordering(z))


def standardise(columns: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give columns weighted mean 0 and standard deviation 1; constant ones become 0."""
    largest = np.abs(columns).max(axis=0)
    # Sums of squares of values near the largest float would be infinite.
    scaled = columns / np.where(largest > 0, largest, 1.0)
    centred = scaled - weights @ scaled / weights.sum()
    deviation = np.sqrt(weights @ centred**2 / weights.sum())
    varies = deviation > ROUNDING
    z: NDArray[np.float64] = np.where(varies, centred, 0.0) / np.where(varies, deviation, 1.0)
    return z


def _squares(z: NDArray[np.float64], weights: NDArray[np.float64]) -> Rows:
    return (column**2 for column in z.T)


def _shares(z: NDArray[np.float64], weights: NDArray[np.float64]) -> Rows:
    for column in z.T:
        order = np.argsort(column, kind="stable")
        upto = np.cumsum(weights[order]) / weights.sum()
        cuts = column[order][np.searchsorted(upto, QUANTILES)]
        for cut in np.unique(cuts):  # a column of few values has fewer cuts
            yield (column <= cut).astype(np.float64)


def _products(z: NDArray[np.float64], weights: NDArray[np.float64]) -> Rows:
    return (z[:, i] * z[:, j] for i in range(z.shape[1]) for j in range(i))


def _ordering(z: NDArray[np.float64]) -> FeatureStratification:
    return FeatureStratification(np.clip(z, -FAR, FAR).T.astype(np.float32))

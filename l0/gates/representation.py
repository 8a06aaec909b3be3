"""State what a sample must reproduce of all rows: totals, squares, quantile shares, products."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.api import CalibrationProblem
from l0.calibration.sampling.stratification import FeatureStratification
from l0.gates.z_scores import weighted_z_scores

#: The shares of rows up to these quantiles of each column are targets.
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
#: Moments other than totals are targets only if at least this many rows are chosen for each target.
ROWS_PER_TARGET = 4
#: They are targets only if the matrix has at most this many entries.
ENTRIES = 20_000_000
#: The order of the rows clips z-scores to this size, so that outliers do not dominate it.
FAR = 3.0
#: A moment is constant if, after centring, its entries are at most this share of their size.
ROUNDING = 1e-9

Rows = Iterator[NDArray[np.float64]]


def totals_problem(
    columns: NDArray[np.float64],
    totals: NDArray[np.float64],
    wanted: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> CalibrationProblem[pa.Table]:
    """State the problem to hit given totals of some columns.

    Parameters
    ----------
    columns : ndarray of float64, shape (n, p)
        All columns. They give the rows an order for the draw.
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
    z = weighted_z_scores(columns, weights)
    return dataclasses.replace(problem, stratification=_stratification(z))


def moments_problem(
    columns: NDArray[np.float64], weights: NDArray[np.float64], n_records: int
) -> CalibrationProblem[pa.Table]:
    """State the problem to reproduce the weighted moments of all rows.

    The targets are the sum of the weights and the total of each column that varies. With enough
    chosen rows a target, three more kinds follow in this order: squares, shares of rows up to some
    quantiles, and products of two columns. Each kind counts the same. Moments are taken of
    z-scores: the scale and the shift of a column do not matter. They are centred: an error is
    relative to how much the moment varies among rows.

    The choice of the moments and their order is ours; ``benchmarks/gates.py`` measures what a
    sample keeps with them.

    Parameters
    ----------
    columns : ndarray of float64, shape (n, p)
    weights : ndarray of float64, shape (n,)
        Positive design weights.
    n_records : int
        The number of rows to choose.

    Returns
    -------
    CalibrationProblem
    """
    z = weighted_z_scores(columns, weights)
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
    # An error counts as a share of the absolute total of the moment.
    return dataclasses.replace(problem, stratification=_stratification(z), floor=1.0)


def _squares(z: NDArray[np.float64], weights: NDArray[np.float64]) -> Rows:
    return (column**2 for column in z.T)


def _shares(z: NDArray[np.float64], weights: NDArray[np.float64]) -> Rows:
    for column in z.T:
        order = np.argsort(column, kind="stable")
        upto = np.cumsum(weights[order]) / weights.sum()
        cuts = column[order][np.searchsorted(upto, QUANTILES)]
        for cut in np.unique(cuts):  # equal where the column has few distinct values
            yield (column <= cut).astype(np.float64)


def _products(z: NDArray[np.float64], weights: NDArray[np.float64]) -> Rows:
    return (z[:, i] * z[:, j] for i in range(z.shape[1]) for j in range(i))


def _stratification(z: NDArray[np.float64]) -> FeatureStratification:
    return FeatureStratification(np.clip(z, -FAR, FAR).T.astype(np.float32))

"""Sparse matrices of targets, made from a seed."""

import numpy as np
import scipy.sparse as sp

from l0.calibration import CalibrationProblem
from l0.calibration.fitting import choice, dissection, objective
from l0.calibration.fitting.scaled_matrix import ScaledMatrix


def nested(rng, states=4, districts=6, k=2000, own=3):
    """Make targets of the nation, its states and their districts, `own` of each.

    A record is in most targets of its district, its state and the nation. The order is random.
    """
    district = rng.integers(0, states * districts, k)
    areas = [np.zeros(k, int), district // districts + 1, district + states + 1]
    size = 1 + states + states * districts
    rows = np.concatenate([area * own + each for area in areas for each in range(own)])
    columns = np.tile(np.arange(k), 3 * own)
    data = rng.uniform(0.5, 2, len(rows)) * (rng.random(len(rows)) < 0.8)
    matrix = sp.csr_array((data, (rows, columns)), shape=(size * own, k))
    matrix.eliminate_zeros()
    return matrix[rng.permutation(size * own)].tocsr()


def scattered(rng, m=30, k=200, density=0.2):
    """Make targets without structure, with both signs."""
    matrix = sp.random_array((m, k), density=density, random_state=rng, format="csr")
    matrix.data *= rng.choice([-1, 1], len(matrix.data))
    return matrix


def nested_problem(monkeypatch):
    """Make a problem that counts as large, so that its targets are nested once for all fits."""
    for name in ("FEW", "MOST_PRODUCTS", "MOST_OF_FULL", "QUICK", "MOST_DENSE"):
        monkeypatch.setattr(choice, name, 0)
    monkeypatch.setattr(dissection, "SMALL", 0)
    rng = np.random.default_rng(0)
    matrix = nested(rng, districts=4, k=3_000)
    matrix.data = np.round(matrix.data)  # many columns are equal
    weights = rng.uniform(5, 15, 3_000)
    values = matrix @ (weights * rng.lognormal(0, 0.3, 3_000))
    return CalibrationProblem.from_matrix(matrix, values, weights)


def problem_to_share(monkeypatch):
    """Make a problem of nested targets with so many entries that ranks share its records.

    Two records have no entry.
    """
    for name in ("FEW", "MOST_PRODUCTS", "MOST_OF_FULL", "QUICK", "MOST_DENSE"):
        monkeypatch.setattr(choice, name, 0)
    monkeypatch.setattr(dissection, "SMALL", 0)
    monkeypatch.setattr(objective, "GROUPED", 10.0)
    rng = np.random.default_rng(0)
    matrix = nested(rng, own=24, k=3_000)
    matrix = matrix.multiply(~np.isin(np.arange(3_000), [5, 2_000])).tocsr()
    weights = rng.uniform(5, 15, 3_000)
    values = matrix @ (weights * rng.lognormal(0, 0.3, 3_000))
    return CalibrationProblem.from_matrix(matrix, values, weights)


def with_row(matrix, row):
    """Put a row below the others of a matrix of few entries."""
    return ScaledMatrix.of(sp.vstack([matrix.csr, row[None]], format="csr"))


def copied(rng, k, ages, measures):
    """Make totals of measures for everyone and for each age, and the ages of the records.

    Each record has half of the measures. Even measures count, and odd ones are amounts.
    """
    age = rng.integers(0, ages, k)
    amounts = np.where(np.arange(measures)[:, None] % 2, rng.lognormal(0, 1, (measures, k)), 1.0)
    amounts *= rng.random((measures, k)) < 0.5
    everyone = sp.csr_array(amounts)
    of_ages = [sp.csr_array(amounts * (age == each)) for each in range(ages)]
    return sp.csr_array(sp.vstack([everyone, *of_ages], format="csr")), age

"""Weighted samples that tests of variances share, made from a seed."""

from dataclasses import replace

import numpy as np

from l0.calibration.results.replicate_weights import attach
from l0.calibration.variance.replicates import Replicates
from l0.calibration.variance.statistics import Sample


def delete_one(weights):
    """The jackknife that deletes one record at a time."""
    n = len(weights)
    columns = np.outer(weights, np.ones(n)) * n / (n - 1)
    np.fill_diagonal(columns, 0)
    return Replicates(columns, np.full(n, (n - 1) / n), f"Jackknife({n})")


def delete_groups(weights, n_groups=80, seed=0):
    """The jackknife that deletes a group at a time, with a column more that has the factor 4."""
    group = np.random.default_rng(seed).permutation(np.arange(len(weights)) % n_groups)
    columns = weights[:, None] * (group[:, None] != np.arange(n_groups)) * n_groups / (n_groups - 1)
    last = weights * np.where(np.arange(len(weights)) % 7 == 0, 0.5, 1.0)
    columns = np.column_stack([columns, last * weights.sum() / last.sum()])
    scales = np.append(np.full(n_groups, (n_groups - 1) / n_groups), 4.0)
    return Replicates(columns, scales, f"Jackknife({n_groups})", 1e-3)


def with_replicates(result, n_groups=20, **more):
    """Give a result replicate weights, made of its weights alone."""
    return attach(result, delete_groups(result.values, n_groups), **more)


def sample(seed=0, k=60, n=150, size=4, n_groups=10):
    """Rows of records in domains, the replicates of their weights, and two amounts."""
    generator = np.random.default_rng(seed)
    weights = generator.lognormal(3, 1, k)
    replicates = delete_groups(weights, n_groups, seed)
    rows = Sample(
        np.column_stack([weights, replicates.weights]),
        generator.integers(0, k, n),
        np.r_[np.arange(size), generator.integers(0, size, n - size)],
        size,
    )
    return rows, replicates, generator.lognormal(0, 1, n), generator.lognormal(0, 1, n)


def reordered(rows, order):
    return replace(rows, record=rows.record[order], domain=rows.domain[order])


def scaled(rows, factor):
    return replace(rows, weights=rows.weights * factor)

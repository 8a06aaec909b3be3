import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem
from l0.calibration.sampling.stratification import FeatureStratification
from l0.calibration.selection.balanced import Balanced


def problem(seed, n=300, p=6):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(n, p)) ** 3
    weights = generator.uniform(0.5, 2, n)
    z -= weights @ z / weights.sum()
    matrix = np.vstack([np.ones(n), z.T])
    values = np.append(weights.sum(), np.zeros(p))
    bare = CalibrationProblem.from_matrix(matrix, values, weights)
    return dataclasses.replace(bare, stratification=FeatureStratification(z.T.astype(np.float32)))


def solve(seed, k, **options):
    return problem(seed).solve(n_records=k, method=Balanced(**options), seed=seed)


@given(seed=st.integers(0, 99), k=st.integers(1, 300))
@settings(deadline=None, max_examples=20)
def test_exactly_so_many_records_are_chosen(seed, k):
    result = problem(seed).solve(n_records=k, method=Balanced(), epochs=5, seed=seed)
    assert len(set(result.indices.tolist())) == k
    assert (result.values > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_rows_alone_come_close_to_the_targets(seed):
    task = problem(seed)
    totals = {}
    for sweeps in (0, 10):
        rows = solve(seed, 60, sweeps=sweeps).indices
        even = np.full(60, task.design_weights.sum() / 60)
        errors = (task.estimate(even, rows) - task.values) / task.scales
        totals[sweeps] = np.abs(errors[1:]).mean()
    assert totals[10] < 0.1 * totals[0]


def test_weights_stay_even():
    metrics = solve(0, 60).metrics
    assert metrics["effective_sample_size"] > 58
    assert metrics["loss"] < 1e-3


def test_records_of_much_weight_are_taken_for_certain():
    bare = problem(1)
    weights = bare.design_weights.copy()
    weights[[3, 50]] = 1e4
    heavy = dataclasses.replace(bare, design_weights=weights, values=bare.matrix @ weights)
    result = heavy.solve(n_records=40, method=Balanced())
    assert {3, 50} <= set(result.indices.tolist())


def test_one_seed_gives_one_choice():
    np.testing.assert_array_equal(solve(4, 50).indices, solve(4, 50).indices)

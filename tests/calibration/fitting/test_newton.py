import time
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.fitting.certificate import Certificate
from l0.calibration.fitting.choice import normal_matrix
from l0.calibration.fitting.newton import solve_exactly
from l0.calibration.fitting.program import MET
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.matrices import with_row
from tests.calibration.fitting.programs import program


def solved(of, start=None):
    """Solve a program whose targets must be met; None if it seems that they cannot be."""
    of = replace(of, share=np.full(len(of.share), np.inf))
    certificate = Certificate(of, 1e-9)
    start = np.zeros(len(of.share)) if start is None else start
    met = solve_exactly(of, normal_matrix(of.matrix), certificate, start)
    return certificate if met else None


@pytest.mark.parametrize("distance", ["raking", "linear", "logit"])
@pytest.mark.parametrize("bounds", [None, (0.4, 2.5)])
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 8))
@settings(max_examples=20, deadline=None)
def test_targets_are_met_by_the_closest_ratios(distance, bounds, seed, m):
    if distance == "logit":
        bounds = (0.4, 2.5)
    of = program(seed, m=m, k=40, distance=distance, bounds=bounds)
    found = solved(of)
    assert (np.abs(of.times(found.q) - of.low) <= MET * of.size).all()
    assert (found.q >= of.least).all()
    assert (found.q <= of.most).all()
    # The conditions of optimality: q is what the multipliers ask for, within the bounds.
    np.testing.assert_allclose(found.q, of.closest(of.back(found.multipliers)), rtol=1e-9)
    assert found.gap <= 1e-9


def test_linear_weights_are_those_of_the_regression_estimator():
    of = program(distance="linear")
    B, d = of.matrix.csr.toarray(), 1 / of.cost
    lam = np.linalg.solve(B * d @ B.T, of.low - B @ np.ones(30))
    np.testing.assert_allclose(solved(of).q, 1 + d * (B.T @ lam), rtol=1e-9)


def test_raking_to_margins_is_iterative_proportional_fitting():
    rng = np.random.default_rng(0)
    cell = rng.integers(0, 4, 200)
    rows = np.array([cell % 2 == 0, cell % 2 == 1, cell < 2, cell >= 2]).astype(float)
    weight = rng.uniform(50, 150, 200)
    totals = np.array([12e3, 8e3, 9e3, 11e3])
    of = program(
        k=200,
        matrix=ScaledMatrix.of(sp.csr_array(rows * weight / totals[:, None])),
        low=np.ones(4), high=np.ones(4), cost=weight / weight.sum(),
    )  # fmt: skip
    raked = weight.copy()
    for _ in range(500):
        for row, total in zip(rows, totals, strict=True):
            raked = np.where(row, raked * total / (row @ raked), raked)
    np.testing.assert_allclose(solved(of).q * weight, raked, rtol=1e-9)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("factor", [1.0, -2.0, 1e-6])
def test_dependent_rows_change_nothing(copies, factor):
    of = program()
    alone = solved(of)
    more = np.repeat(of.matrix.csr.toarray()[[1]], copies, axis=0) * factor
    low = np.append(of.low, np.repeat(factor * of.low[1], copies))
    matrix = ScaledMatrix.of(sp.vstack([of.matrix.csr, more], format="csr"))
    both = replace(of, matrix=matrix, low=low, high=low,
                   share=np.ones(len(low)))  # fmt: skip
    found = solved(both)
    np.testing.assert_allclose(found.q, alone.q, rtol=1e-8)
    assert np.abs(found.multipliers).max() <= 10 * np.abs(alone.multipliers).max() * max(
        1, 1 / abs(factor)
    )


@pytest.mark.parametrize("bounds", [None, (0.5, 2.0)])
def test_totals_that_cannot_be_met_are_not_claimed_to_be(bounds):
    of = program(bounds=bounds)
    low = of.low.copy()
    low[0] *= -1  # counts of no record are negative
    assert solved(replace(of, low=low, high=low)) is None
    twice = with_row(of.matrix, of.matrix.row(1))
    low = np.append(of.low, 1.01 * of.low[1])
    assert solved(replace(of, matrix=twice, low=low, high=low, share=np.ones(5))) is None


def test_time_that_runs_out_ends_the_search():
    of = replace(program(), share=np.full(4, np.inf))
    certificate = Certificate(of, 1e-9, deadline=time.perf_counter() - 1)
    assert not solve_exactly(of, normal_matrix(of.matrix), certificate, np.zeros(4))
    assert of.passes <= 2


def test_the_start_changes_nothing_but_the_time():
    of = program()
    first = solved(of)
    again = solved(of, start=first.multipliers)
    np.testing.assert_allclose(again.q, first.q, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_units_of_the_cost_change_nothing(scale):
    of = program()
    found = solved(replace(of, cost=scale * of.cost))
    np.testing.assert_allclose(found.q, solved(of).q, rtol=1e-9)
    np.testing.assert_allclose(found.multipliers, scale * solved(of).multipliers, rtol=1e-6)

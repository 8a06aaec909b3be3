from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from l0.calibration.fitting.certificate import Certificate
from l0.calibration.fitting.choice import normal_matrix
from l0.calibration.fitting.interior_point import solve_interior_point
from l0.calibration.fitting.newton import solve_exactly
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.cases import case, fitted
from tests.calibration.fitting.matrices import with_row
from tests.calibration.fitting.programs import program

seeds = st.integers(0, 2**32 - 1)


def solved(of, gap=1e-9):
    return solve_interior_point(of, normal_matrix(of.matrix), Certificate(of, gap))


def contradicting(of, rng):
    """Move some targets, so that not all can be met."""
    factor = np.exp(rng.normal(0, 1, len(of.low)) * (rng.random(len(of.low)) < 0.5))
    twice = with_row(of.matrix, of.matrix.row(0))
    low, high, share = (np.append(part, part[0]) for part in (of.low, of.high, of.share))
    low, high = low * np.append(factor, 2.0), high * np.append(factor, 2.0)
    return replace(
        of, matrix=twice, low=np.minimum(low, high), high=np.maximum(low, high), share=share
    )


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("tolerance", [0.0, 0.02])
@pytest.mark.parametrize(
    ("distance", "bounds"),
    [("raking", None), ("raking", (0.5, 2.0)), ("linear", None), ("linear", (0.5, 2.0)),
     ("logit", (0.5, 2.0))],
)  # fmt: skip
@given(seed=seeds)
@example(seed=7681)
@settings(max_examples=10, deadline=None)
def test_its_solution_fulfils_the_conditions_of_optimality(
    distance, bounds, tolerance, squared, seed
):
    rng = np.random.default_rng(seed)
    of = contradicting(
        program(seed, distance=distance, bounds=bounds, tolerance=tolerance, squared=squared), rng
    )
    found = solved(of)
    assert found.certified
    q, lam = found.q, found.multipliers
    estimates = of.times(q)
    # A gap of 1e-9 leaves ratios about the root of it times P / c from the best ones.
    np.testing.assert_allclose(q, of.closest(of.back(lam)), rtol=1e-2, atol=1e-2)
    beyond = of.outside(estimates)
    if squared:
        # It leaves multipliers about the root of it from the best ones, as a share of the largest.
        size = max(1.0, np.abs(lam).max())
        np.testing.assert_allclose(lam, -2 * of.share * beyond, rtol=1e-3, atol=1e-4 * size)
    else:
        assert (np.abs(lam) <= of.share * (1 + 1e-12)).all()
        off = np.abs(beyond) > 1e-3
        np.testing.assert_allclose(lam[off], -(of.share * np.sign(beyond))[off], rtol=1e-3)
    if tolerance:
        between = (estimates > of.low + 1e-3) & (estimates < of.high - 1e-3)
        np.testing.assert_allclose(lam[between], 0, atol=1e-4)


@pytest.mark.parametrize("bounds", [None, (0.4, 2.5)])
@pytest.mark.parametrize("distance", ["raking", "linear"])
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_where_all_targets_can_be_met_it_agrees_with_newton(distance, bounds, seed):
    of = program(seed, distance=distance, bounds=bounds, pull=1e-3)
    must = replace(of, share=np.full(4, np.inf))
    newton = Certificate(must, 1e-9)
    assert solve_exactly(must, normal_matrix(of.matrix), newton, np.zeros(4))
    # A gap of 1e-9 leaves ratios about the root of it from the best ones.
    np.testing.assert_allclose(solved(must).q, newton.q, rtol=1e-3, atol=1e-3)
    if (np.abs(newton.multipliers) < of.share).all():  # no target is too dear
        assert solved(of).primal == pytest.approx(newton.primal, rel=1e-6)


def test_a_total_that_must_be_met_is_met_at_the_cost_of_the_others():
    of = contradicting(program(), np.random.default_rng(1))
    share = of.share.copy()
    share[-1] = np.inf
    found = solved(replace(of, share=share))
    estimates = of.times(found.q)
    assert estimates[-1] == pytest.approx(of.low[-1], rel=1e-9)
    assert estimates[0] == pytest.approx(of.low[-1], rel=1e-9)  # the same row, with another value


def test_multipliers_of_dependent_rows_stay_small_where_all_must_be_met():
    of = program(tolerance=0.01)
    twice = ScaledMatrix.of(sp.vstack([of.matrix.csr, of.matrix.csr], format="csr"))
    low, high = np.tile(of.low, 2), np.tile(of.high, 2)
    must = replace(of, share=np.full(4, np.inf))
    both = replace(of, matrix=twice, low=low, high=high, share=np.full(8, np.inf))
    one, two = solved(must), solved(both)
    assert two.certified
    np.testing.assert_allclose(two.q, one.q, rtol=1e-4)
    assert np.abs(two.multipliers).max() <= 10 * np.abs(one.multipliers).max() + 1e-9


def test_the_gap_asked_for_is_reached_and_little_more_is_done():
    of = contradicting(program(), np.random.default_rng(0))
    rough, fine = solved(of, 0.1), solved(of, 1e-9)
    assert rough.gap <= 0.1
    assert fine.gap <= 1e-9
    assert rough.iterations < fine.iterations


def test_what_has_no_solution_is_stopped_and_says_so():
    of = contradicting(program(), np.random.default_rng(0))
    must = replace(of, share=np.full(5, np.inf))
    found = solved(must)
    assert not found.certified
    assert found.stopped in ("iterations", "rounding errors")


def test_a_correction_that_is_long_on_one_side_only_is_not_taken():
    # With it, this fit takes 49 iterations.
    found = fitted(case(np.random.default_rng(5707), gap=1e-4)).solution
    assert found.status == "optimal"
    assert found.iterations <= 20

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.fitting.distances import Logit
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.matrices import with_row
from tests.calibration.fitting.programs import program

seeds = st.integers(0, 2**32 - 1)


def random_ratios(of, rng):
    """Draw ratios within the bounds and the domain."""
    q = np.exp(rng.normal(0, 1, len(of.cost)))
    return np.clip(q, of.least, of.most)


def random_multipliers(of, rng):
    lam = rng.normal(0, 1, len(of.share)) * 10 ** rng.uniform(-4, 1)
    return lam if of.squared else np.clip(lam, -of.share, of.share)


@pytest.mark.parametrize("distance", ["raking", "linear", "logit"])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("tolerance", [0.0, 0.05])
@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_no_dual_value_is_above_a_primal_value(distance, squared, tolerance, seed):
    bounds = (0.2, 3.0) if distance == "logit" or seed % 2 else None
    of = program(seed % 7, distance=distance, bounds=bounds, tolerance=tolerance, squared=squared)
    rng = np.random.default_rng(seed)
    q, lam = random_ratios(of, rng), random_multipliers(of, rng)
    dual, closest = of.dual(lam, of.back(lam))
    assert dual <= of.primal(q, of.times(q)) + 1e-12
    assert (closest >= of.least).all()
    assert (closest <= of.most).all()


@pytest.mark.parametrize("distance", ["raking", "linear", "logit"])
@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_the_closest_ratios_minimise_the_inner_problem(distance, seed):
    of = program(seed % 7, distance=distance, bounds=(0.2, 3.0))
    rng = np.random.default_rng(seed)
    pulled = of.back(random_multipliers(of, rng))
    closest = of.closest(pulled)

    def inner(q):
        return of.cost * of.distance.value(q) - pulled * q

    grid = np.linspace(0.2, 3.0, 301)[:, None] * np.ones(len(closest))
    assert (inner(closest) <= inner(grid).min(axis=0) + 1e-12).all()


def test_soft_targets_are_the_last_before_the_total():
    of = program(m=5)
    assert not of.soft.any()
    np.testing.assert_array_equal(replace(of, n_soft=2).soft, [False] * 3 + [True] * 2)
    with_total = replace(of, n_soft=2, total=True)
    np.testing.assert_array_equal(with_total.soft, [False] * 2 + [True] * 2 + [False])


def test_the_dual_grows_along_its_gradient_the_missing_amounts():
    of = program(pull=10.0)
    lam = np.full(4, 0.01)
    value, q = of.dual(lam, of.back(lam))
    missing = of.low - of.times(q)
    moved = lam + 1e-5 * missing
    grown = of.dual(moved, of.back(moved))[0] - value
    assert grown == pytest.approx(1e-5 * missing @ missing, rel=1e-3)


def test_an_error_counts_from_the_edge_of_the_interval():
    of = program(tolerance=0.1)
    estimates = np.array([1.05, 1.1, 1.25, 0.8])
    of = replace(of, low=np.full(4, 0.9), high=np.full(4, 1.1))
    np.testing.assert_allclose(of.outside(estimates), [0, 0, 0.15, -0.1], atol=1e-15)
    q = np.ones(30)
    assert of.primal(q, estimates) == pytest.approx(0.25 * 0.25)
    assert replace(of, squared=True).primal(q, estimates) == pytest.approx(0.25 * (0.15**2 + 0.01))


def test_a_target_that_must_be_met_costs_everything_if_it_is_not():
    of = program()
    of = replace(of, share=np.array([np.inf, 1, 1, 1]))
    estimates = of.low.copy()
    assert of.primal(np.ones(30), estimates) == 0
    estimates[0] += 1e-6
    assert of.primal(np.ones(30), estimates) == np.inf


def test_the_size_of_a_target_of_zero_is_what_its_records_add():
    matrix = ScaledMatrix.of(sp.csr_array(np.array([[1.0, -1.0, 2.0], [1.0, 1.0, 1.0]])))
    of = program(k=3, m=2, matrix=matrix, low=np.array([1e-9, 3.0]), high=np.array([1e-9, 3.0]))
    np.testing.assert_array_equal(of.size, [4, 3])


@pytest.mark.parametrize(
    ("distance", "bounds"),
    [("raking", (0.2, 3.0)), ("logit", (0.2, 3.0)), ("logit", (0.998, 1.0))],
)
@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_no_step_leaves_the_domain(distance, bounds, seed):
    of = program(distance=distance)
    least, most = (np.full(30, side) for side in bounds)
    if distance == "logit":
        of = replace(of, distance=Logit(least, most, (least + most) / 2))
    of = replace(of, least=least, most=most)
    rng = np.random.default_rng(seed)
    q = of.inside(random_ratios(of, rng))
    low, high = of.distance.domain
    for _ in range(30):
        q = of.stepped(q, rng.normal(0, 10, len(q)), fall=-4.0, least=1e-60)
        assert (q > low).all()
        assert (q < high).all()


def test_small_steps_are_added():
    of = program()
    step = np.linspace(-0.4, 0.4, 30)
    np.testing.assert_allclose(of.stepped(np.ones(30), step, -4.0, 1e-60), 1 + step)


@given(seed=seeds, bounded=st.booleans(), linear=st.booleans())
@settings(max_examples=50, deadline=None)
def test_ratios_move_to_the_total(seed, bounded, linear):
    rng = np.random.default_rng(seed)
    bounds = (0.3, 2.5) if bounded else None
    of = program(distance="linear" if linear else "raking", bounds=bounds)
    parts = rng.dirichlet(np.ones(30))
    one = np.append(of.low, 1.0)
    of = replace(of, matrix=with_row(of.matrix, parts), low=one, high=one)
    q = random_ratios(of, rng) - (0.1 if linear and not bounded else 0.0)
    moved, estimates = of.with_total(q, of.times(q))
    assert parts @ moved == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(estimates, of.times(moved))
    assert (moved >= of.least).all()
    assert (moved <= of.most).all()
    again, _ = of.with_total(moved, estimates)
    np.testing.assert_allclose(again, moved, rtol=1e-12)


def test_products_with_the_matrix_are_counted():
    of = program()
    of.times(np.ones(30))
    of.back(np.ones(4))
    assert of.passes == 2

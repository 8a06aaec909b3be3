import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from l0.linear_model.bounded_fit import bounded_slopes

SIDES = st.sampled_from([0.0, 0.05, 0.3, 1.0, np.inf])


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(SIDES, SIDES), max_size=7),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.0, 0.95]),
)
def test_the_slopes_are_within_bounds_and_no_others_fit_better(seed, sides, l2, rho):
    m = len(sides)
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(20, m)) + rho * 3 * generator.normal(size=(20, 1))
    y = z.sum(axis=1) / 3 + generator.normal(size=20)
    bounds = np.array([(-low, high) for low, high in sides]).reshape(m, 2)
    a, c = z.T @ z + l2 * np.eye(m), z.T @ y
    slopes, explained = bounded_slopes(a, c, bounds)
    assert (bounds[:, 0] <= slopes).all() and (slopes <= bounds[:, 1]).all()
    assert explained == pytest.approx(2 * c @ slopes - slopes @ a @ slopes)
    # The conditions of an optimum: a slope that may still go up (down) gains nothing there.
    gradient, least = c - a @ slopes, 1e-9 * max(np.abs(c).max(initial=0), 1)
    assert (gradient[slopes < bounds[:, 1]] <= least).all()
    assert (gradient[slopes > bounds[:, 0]] >= -least).all()
    if m and (bounds[:, 0] < bounds[:, 1]).all():
        rows = np.vstack([z, np.sqrt(l2) * np.eye(m)])
        other = lsq_linear(rows, np.append(y, np.zeros(m)), bounds.T, method="bvls", tol=1e-14).x
        assert explained >= 2 * c @ other - other @ a @ other - 1e-8 * (y @ y)


@pytest.mark.parametrize("high", [0.1, np.inf])
def test_columns_that_are_sums_of_each_other_are_fitted(high):
    generator = np.random.default_rng(0)
    z = generator.normal(size=(20, 3))
    z = np.column_stack([z, z[:, 0] + z[:, 1], z[:, 2]])
    y = z @ [1, 1, 0.5, 0, 0] + generator.normal(size=20)
    bounds = np.tile([0.0, high], (5, 1))
    slopes, explained = bounded_slopes(z.T @ z, z.T @ y, bounds)
    best = lsq_linear(z, y, bounds.T, method="trf", tol=1e-13).x
    assert (slopes >= 0).all() and (slopes <= high).all()
    assert explained >= y @ y - np.sum((y - z @ best) ** 2) - 1e-6 * (y @ y)

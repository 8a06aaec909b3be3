import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.fitting.distances import (
    DISTANCES,
    Linear,
    Logit,
    Raking,
    checked_distance,
)
from l0.common.errors import InputError


def logit(low, high):
    """A logit distance of one record, with its minimum as close to 1 as its limits allow."""
    room = 1e-3 * (high - low)
    return Logit(*(np.array([x]) for x in (low, high, np.clip(1.0, low + room, high - room))))


#: A distance, and a ratio inside its domain.
pairs = st.one_of(
    st.tuples(st.just(Raking()), st.floats(1e-3, 1e3)),
    st.tuples(st.just(Linear()), st.floats(-10, 10)),
    st.tuples(st.floats(0, 0.9), st.floats(1.1, 50), st.floats(0.01, 0.99)).map(
        lambda each: (logit(*each[:2]), each[0] + each[2] * (each[1] - each[0]))
    ),
)


@given(pairs)
def test_the_gradient_is_the_derivative_and_the_curvature_that_of_the_gradient(pair):
    distance, at = pair
    step = 1e-5 * max(abs(at), 0.1)
    low, high = (np.array([at + side * step]) for side in (-1, 1))
    q = np.array([at])
    slope = (distance.value(high) - distance.value(low)) / (2 * step)
    np.testing.assert_allclose(distance.gradient(q), slope, rtol=1e-4, atol=1e-6)
    bend = (distance.gradient(high) - distance.gradient(low)) / (2 * step)
    np.testing.assert_allclose(distance.curvature(q), bend, rtol=1e-4)


@given(pairs)
def test_the_inverse_of_the_gradient_is_its_inverse(pair):
    distance, at = pair
    q = np.array([at])
    np.testing.assert_allclose(distance.inverse_gradient(distance.gradient(q)), q, 1e-9, 1e-12)


@given(pairs)
def test_distances_are_convex_and_zero_at_their_minimum_only(pair):
    distance, at = pair
    centre = getattr(distance, "centre", np.ones(1))
    q = np.array([at])
    np.testing.assert_allclose(distance.value(centre), 0, atol=1e-14)
    np.testing.assert_allclose(distance.gradient(centre), 0, atol=1e-12)
    assert distance.value(q) >= 0
    assert distance.curvature(q) > 0
    middle = distance.value((q + centre) / 2)
    assert middle <= (distance.value(q) + distance.value(centre)) / 2 + 1e-12


@given(st.floats(-1e6, 1e6))
def test_no_pull_takes_a_ratio_out_of_its_domain(y):
    assert 0 < Raking().inverse_gradient(np.array([y])) < np.inf
    distance = logit(0.25, 4.0)
    assert 0.25 <= distance.inverse_gradient(np.array([y])) <= 4.0
    # Newton's method divides by the curvature at such a ratio.
    assert distance.curvature(distance.inverse_gradient(np.array([y]))) > 0


def test_all_distances_agree_near_1():
    q = np.array([0.999, 1.001])
    expected = (q - 1) ** 2 / 2
    for distance in (Raking(), Linear(), logit(0.1, 10)):
        np.testing.assert_allclose(distance.value(q), expected, rtol=2e-3)


def test_the_raking_distance_of_a_weight_of_0_is_1():
    assert Raking().value(np.zeros(1)) == 1


@pytest.mark.parametrize("name", ["chi2", "", None, ["raking"]])
def test_an_unknown_distance_lists_the_known_ones(name):
    assert all(checked_distance(known) == known for known in DISTANCES)
    with pytest.raises(InputError, match="`distance` is .*one of 'raking', 'linear', 'logit'"):
        checked_distance(name)


def test_the_distance_of_some_records_is_that_of_all():
    low, high = np.array([0.1, 0.2, 0.3]), np.array([2.0, 3.0, 4.0])
    some = np.array([2, 0])
    q = np.array([0.7, 1.1, 1.9])
    for distance in (Raking(), Linear(), Logit(low, high, np.ones(3))):
        np.testing.assert_allclose(distance.of(some).value(q[some]), distance.value(q)[some])

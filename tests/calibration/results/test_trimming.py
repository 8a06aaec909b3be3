import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration.results.trimming import checked_limits, trimmed
from l0.common.errors import InputError

WEIGHTS = np.array([1, 2, 4, 8, 16, 32, 64, 3.5, 7.25, 12])


# What trimWeights(..., strict=TRUE) of R's survey 4.1.1 gives.
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((None, 40), [11 / 3, 14 / 3, 20 / 3, 32 / 3, 56 / 3, 104 / 3, 40,
                      37 / 6, 119 / 12, 44 / 3]),
        ((None, 20), [8.42857142857143, 9.42857142857143, 11.4285714285714, 15.4285714285714, 20,
                      20, 20, 10.9285714285714, 14.6785714285714, 19.4285714285714]),
        ((None, 15.5), [12.5833333333333, 13.5833333333333, 15.5, 15.5, 15.5, 15.5, 15.5,
                        15.0833333333333, 15.5, 15.5]),
        ((5, None), [5, 5, 5, 6.41666666666667, 14.4166666666667, 30.4166666666667,
                     62.4166666666667, 5, 5.66666666666667, 10.4166666666667]),
        ((12, None), [12, 12, 12, 12, 12, 12, 41.75, 12, 12, 12]),
        ((5, 20), [7.4375, 7.4375, 7.4375, 20, 20, 20, 20, 7.4375, 20, 20]),
        ((14, 30), [14, 14, 14, 14, 14, 18.875, 18.875, 14, 14, 14]),
        ((3, 18), [5.3125, 5.3125, 15.8125, 18, 18, 18, 18, 15.3125, 18, 18]),
    ],
)  # fmt: skip
def test_it_does_what_r_does(limits, expected):
    new = trimmed(WEIGHTS, *checked_limits(*limits, WEIGHTS))
    np.testing.assert_allclose(new, expected, rtol=1e-13)
    assert new.sum() == pytest.approx(WEIGHTS.sum(), rel=1e-14)


def as_r_does(weights, lower, upper, rounds=10_000):
    """The loop of R, until it changes nothing that can be seen."""
    for _ in range(rounds):
        outside = (weights < lower) | (weights > upper)
        if not outside.any():
            break
        new = np.clip(weights, lower, upper)
        new[~outside] += (weights - new).sum() / (~outside).sum()
        weights = new
    return weights


weights_of_some = hnp.arrays(float, st.integers(3, 30), elements=st.floats(0.01, 100))


@given(weights=weights_of_some, below=st.floats(0, 0.95), above=st.floats(1.05, 4))
def test_the_sum_and_the_limits_are_kept(weights, below, above):
    mean = weights.mean()
    lower, upper = checked_limits(below * mean, above * mean, weights)
    new = trimmed(weights, lower, upper)
    assert new.sum() == pytest.approx(weights.sum(), rel=1e-12)
    assert (new >= lower).all()
    assert (new <= upper).all()
    np.testing.assert_array_equal(new[np.argsort(weights, kind="stable")], np.sort(new))
    inside = (weights >= lower) & (weights <= upper)
    if inside.any():
        np.testing.assert_allclose(new, as_r_does(weights, lower, upper), rtol=1e-8)


@given(weights=weights_of_some)
def test_weights_within_the_limits_stay(weights):
    np.testing.assert_array_equal(trimmed(weights, 0.0, 100.0), weights)


def test_weights_that_are_all_outside():
    np.testing.assert_allclose(trimmed(np.array([1.0, 1, 10, 10]), 4, 6), [5, 5, 6, 6])
    np.testing.assert_allclose(trimmed(np.array([1.0, 1, 10, 10]), 5.5, 5.5), np.full(4, 5.5))


def test_a_limit_at_the_mean_makes_all_weights_equal():
    for limits in ((None, WEIGHTS.mean()), (WEIGHTS.mean(), None)):
        new = trimmed(WEIGHTS, *checked_limits(*limits, WEIGHTS))
        np.testing.assert_allclose(new, np.full(10, WEIGHTS.mean()), rtol=1e-12)


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [
        (None, None, "`lower` and `upper` are both None; pass at least one limit"),
        (math.nan, None, "`lower` is nan; pass a number of at least 0"),
        (None, math.nan, "`upper` is nan; pass a number"),
        (-1, None, "`lower` is -1; pass a number of at least 0"),
        ("1", None, "`lower` is '1'; pass a number"),
        (None, True, "`upper` is True; pass a number"),
        (7, 5, "`lower` 7 is above `upper` 5; swap or widen them"),
        (20, None, "`lower` is 20, and the weights have the mean 14.975, which trimming keeps; "
                   "pass at most the mean"),
        (math.inf, None, "`lower` is inf, and the weights"),
        (None, 10, "`upper` is 10, and the weights have the mean 14.975, which trimming keeps; "
                   "pass at least the mean"),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_are_named(lower, upper, text):
    with pytest.raises(InputError) as raised:
        checked_limits(lower, upper, WEIGHTS)
    assert text in str(raised.value)


@pytest.mark.parametrize("limits", [(None, 9.0), (0.0, None)])
def test_negative_weights_need_a_lower_limit_above_zero(limits):
    weights = np.array([-1.0, 3, 10])
    with pytest.raises(
        InputError, match="1 of 3 weights is negative.* make it 0; pass a `lower` above 0"
    ):
        checked_limits(*limits, weights)
    assert trimmed(weights, *checked_limits(0.5, 9.0, weights)).min() == 0.5


def test_limits_that_are_none():
    assert checked_limits(None, 100, WEIGHTS) == (0, 100)
    assert checked_limits(np.float32(0.5), math.inf, WEIGHTS) == (0.5, math.inf)

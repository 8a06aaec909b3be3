import math
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration import CalibrationProblem
from l0.calibration.problem.bounds import Bounds
from l0.calibration.problem.limits import read_bounds, whole_bounds
from l0.common.errors import InputError

N = 6
#: The problem sorts its records by key: these are rows 1, 3, 5, 0, 2, 4.
KEYS = [40, 10, 50, 20, 60, 30]
SORTED = [1, 3, 5, 0, 2, 4]


@pytest.fixture
def of_matrix():
    w0 = np.array([1.0, 2.0, 4.0, 1.0, 2.0, 4.0])
    return CalibrationProblem.from_matrix(np.ones((1, N)), [14], w0, keys=KEYS)


@pytest.fixture
def of_frames():
    homes = pd.DataFrame(
        {
            "id": KEYS,
            "w": [1.0, 2.0, 4.0, 1.0, 2.0, 4.0],
            "cap": [3, 5, 7, 9, 11, 13],
            "gaps": [1.0, None, math.nan, 2.0, 1.0, 1.0],
            "low": [0.5, -1.0, 0.1, 0.2, -0.1, 0.3],
            "open": [math.inf, 2.0, 2.0, math.inf, 2.0, 2.0],
            "area": list("ababab"),
        }
    )
    targets = pd.DataFrame({"variable": ["count"], "value": [14.0]})
    return CalibrationProblem.from_frames(homes, targets, key="id", weight="w")


@pytest.mark.parametrize(
    ("pair", "low", "high"),
    [
        (None, 0, math.inf),
        ((None, None), 0, math.inf),
        ((0, math.inf), 0, math.inf),
        ((0.5, None), 0.5, math.inf),
        ([None, 2], 0, 2),
        ((np.float32(0.25), np.int64(4)), 0.25, 4),
        (np.array([0.5, 3]), 0.5, 3),
        ((1, 1), 1, 1),
    ],
)
def test_numbers_stay_numbers(of_matrix, pair, low, high):
    bounds = read_bounds(of_matrix, pair)
    assert (bounds.low, bounds.high) == (low, high)
    assert bounds.active == ((low, high) != (0, math.inf))
    assert (bounds.weight_low, bounds.weight_high) == (0, math.inf)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, pl.Series, torch.tensor])
def test_an_array_has_the_order_of_the_records(of_matrix, of_frames, kind):
    highs = [3.0, 5, 7, 9, 11, 13]
    for problem in (of_matrix, of_frames):
        bounds = read_bounds(problem, (0.5, kind(highs)))
        assert bounds.high.tolist() == np.array(highs)[SORTED].tolist()
        assert bounds.low == 0.5


def test_an_array_of_two_rows_is_a_pair(of_matrix):
    bounds = read_bounds(of_matrix, np.array([np.arange(6.0), np.arange(6.0) + 1]))
    assert bounds.low.tolist() == SORTED
    assert (bounds.high - bounds.low == 1).all()


def test_a_column_has_the_order_of_the_records(of_frames):
    bounds = read_bounds(of_frames, (None, "cap"), ("w", None))
    assert bounds.high.tolist() == np.array([3, 5, 7, 9, 11, 13])[SORTED].tolist()
    assert bounds.weight_low.tolist() == of_frames.design_weights.tolist()
    assert (bounds.low == 1).all()


def test_infinity_in_a_column_is_no_limit(of_frames):
    assert read_bounds(of_frames, (None, "open")).high.tolist() == [2, math.inf, 2, math.inf, 2, 2]


def test_the_tighter_limit_holds_for_each_record(of_matrix):
    bounds = read_bounds(of_matrix, (0.5, 3), (1, 8))
    w0 = of_matrix.design_weights
    assert bounds.low.tolist() == np.maximum(0.5, 1 / w0).tolist()
    assert bounds.high.tolist() == np.minimum(3, 8 / w0).tolist()
    assert (bounds.weight_low, bounds.weight_high) == (1, 8)


@pytest.mark.parametrize("argument", ["bounds", "weight_bounds"])
@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ((3, 2), "`{}` cross: low 3 is above high 2; widen them"),
        ((-0.1, 2), "`{}` has the low limit -0.1; low limits must be finite and at least 0"),
        ((0, 0), "`{}` has the high limit 0; high limits must be above 0"),
        ((0, -1), "`{}` has the high limit -1; high limits must be above 0"),
        ((math.inf, math.inf), "the low limit inf; low limits must be finite"),
        ((math.nan, 1), "the low limit nan; low limits must be finite"),
        ((0, math.nan), "the high limit nan; high limits must be above 0"),
        (2, "`{}` is 2; pass a pair (low, high), each side a number, the name of a column"),
        ((1,), "`{}` is (1,); pass a pair"),
        ((1, 2, 3), "pass a pair"),
        ("12", "`{}` is '12'; pass a pair"),
        (np.float64(3), "pass a pair"),
        (np.array(3), "pass a pair"),
        (({"a": 1}, 2), "`{}` must be numbers"),
        ((True, 2), "`{}` has low limits of shape (); pass for each side a number"),
        ((None, np.ones((6, 1))), "`{}` has high limits of shape (6, 1); pass for each side"),
        ((None, [1, 2]), "`{}` has 2 entries for 6 records; pass one for each of the records"),
        ((None, [1, 2, "3", 4, 5, 6]), "`{}` must be numbers; cast them"),
        ((None, [1, 2, 3, math.nan, None, 6]),
         "`{}` has high limits that are null or NaN in 2 records (20, 60); fill them"),
        (([1, 2, 3, -1, -1, 6], None),
         "`{}` has low limits that are wrong in 2 records (20, 60); low limits must be finite"),
        (([1, 2, 3, 4, 5, math.inf], None), "wrong in 1 record (30)"),
        ((None, [1, 2, 3, 0, 5, 6]), "wrong in 1 record (20); high limits must be above 0"),
        (([1, 2, 3, 4, 5, 6], 2.5), "`{}` cross in 4 records (20, 30, 50, 60); widen them"),
        (([6] * 6, [5] * 6), "`{}` cross in 6 records (10, 20, 30, 40, 50 and 1 more)"),
    ],
)  # fmt: skip
def test_bad_limits_are_named(of_matrix, argument, pair, text):
    with pytest.raises(InputError) as raised:
        read_bounds(of_matrix, **{"bounds": None, argument: pair})
    assert text.format(argument) in str(raised.value)


def test_bounds_that_leave_no_weight_are_named(of_matrix):
    with pytest.raises(InputError) as raised:
        read_bounds(of_matrix, (3, None), (None, 5))
    assert "`bounds` and `weight_bounds` together cross in 4 records (10, 30, 50, 60); wi" in str(
        raised.value
    )
    with pytest.raises(InputError, match=r"together cross in 2 records \(20, 40\)"):
        read_bounds(of_matrix, (None, 3), (4, None))


def test_bounds_that_leave_one_weight_are_no_error_for_a_rounding_error():
    w0 = np.random.default_rng(0).lognormal(3, 2, 100)
    problem = CalibrationProblem.from_matrix(np.ones((1, 100)), [3 * w0.sum()], w0)
    for pair in ((3, None), (None, 3)):
        assert not ((3 * w0 / w0 >= 3) & (3 * w0 / w0 <= 3)).all()
        bounds = read_bounds(problem, pair, (3 * w0, 3 * w0))
        assert (bounds.low <= bounds.high).all()
        assert (bounds.weights(np.ones(100), w0) == 3 * w0).all()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("capp", "`records` has no column 'capp' to use as a limit of `bounds`; closest: 'cap'"),
        ("area", "`bounds` names the column 'area', which is text"),
        ("gaps", "low limits (column 'gaps') that are null or NaN in 2 records (10, 50); fill"),
        ("low", "`bounds` has low limits (column 'low') that are wrong in 2 records (10, 60); "),
        ("open", "`bounds` has low limits (column 'open') that are wrong in 2 records (20, 40)"),
    ],
)  # fmt: skip
def test_bad_columns_are_named(of_frames, name, text):
    with pytest.raises(InputError) as raised:
        read_bounds(of_frames, (name, None))
    assert text in re.sub("(large_)?string, not a number", "text", str(raised.value))


def test_a_matrix_has_no_columns(of_matrix):
    with pytest.raises(InputError, match="names a column, 'cap', and a problem from a matrix has"):
        read_bounds(of_matrix, (None, "cap"))


# Bounds of whole weights


@given(
    w0=hnp.arrays(float, 8, elements=st.floats(0.01, 1e4)),
    low=st.floats(0, 3),
    width=st.floats(0, 5),
    weight_low=st.floats(0, 5),
)
def test_whole_bounds_are_the_smallest_and_the_largest_whole_weights(w0, low, width, weight_low):
    of = CalibrationProblem.from_matrix(np.ones((1, 8)), [1.0], w0)
    high = low + width + 1e-3
    both = Bounds(np.maximum(low, weight_low / w0), np.full(8, high), weight_low, math.inf)

    def inside(weights):
        return (weights >= 1) & (weights >= weight_low) & (weights / w0 >= low) & (
            weights / w0 <= high
        )  # fmt: skip

    none = np.array([], dtype=np.int64)
    whole = whole_bounds(of, both, none)
    np.testing.assert_array_equal(whole.weight_low, np.rint(whole.weight_low))
    np.testing.assert_array_equal(whole.weight_high, np.rint(whole.weight_high))
    some = whole.weight_low <= whole.weight_high
    assert inside(whole.weight_low)[some].all()
    assert inside(whole.weight_high)[some].all()
    assert not inside(whole.weight_low - 1)[some].any()
    assert not inside(whole.weight_high + 1)[some].any()
    if not some.all():
        with pytest.raises(InputError, match="no whole number"):
            whole_bounds(of, both, np.arange(8))


@pytest.mark.parametrize("w0", [0.1, 7, 30, 49, 1e5])
def test_whole_limits_are_not_lost_by_rounding(w0):
    of = CalibrationProblem.from_matrix(np.ones((1, 3)), [3 * w0], np.full(3, w0))
    everyone = np.arange(3)
    for limit in range(1, 200):
        bounds = read_bounds(of, None, (limit, limit))
        whole = whole_bounds(of, bounds, everyone)
        np.testing.assert_array_equal(whole.weight_low, limit)
        np.testing.assert_array_equal(whole.weight_high, limit)
        whole = whole_bounds(of, read_bounds(of, (limit / w0, limit / w0)), everyone)
        np.testing.assert_array_equal(whole.weight_low, limit)
        np.testing.assert_array_equal(whole.weight_high, limit)


def test_without_bounds_whole_weights_are_at_least_1(of_matrix):
    whole = whole_bounds(of_matrix, Bounds(), np.arange(N))
    np.testing.assert_array_equal(whole.weight_low, 1)
    np.testing.assert_array_equal(whole.weight_high, np.inf)


def test_records_without_a_whole_number_within_the_bounds_are_named(of_matrix):
    bounds = read_bounds(of_matrix, (0.1, 0.9))
    text = (
        r"`integer_weights=True`: there is no whole number of at least 1 within the bounds in "
        r"2 records \(20, 40\); widen `bounds` and `weight_bounds`"
    )
    with pytest.raises(InputError, match=text):
        whole_bounds(of_matrix, bounds, np.arange(N))
    # Nobody asks for weights of records that cannot be kept.
    whole_bounds(of_matrix, bounds, np.flatnonzero(of_matrix.design_weights > 1))

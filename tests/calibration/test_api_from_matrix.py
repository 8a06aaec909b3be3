"""`CalibrationProblem.from_matrix`."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp

from l0.calibration import CalibrationProblem
from l0.common.errors import InputError
from tests.calibration import problems


def small(**changes):
    given = {
        "A": np.array([[1.0, 2, 0], [0, 0, 4]]),
        "values": [5.0, 8.0],
        "weights": [1.0, 2.0, 2.0],
    }
    return CalibrationProblem.from_matrix(**{**given, **changes})


def test_what_is_left_out_takes_its_default():
    problem = small()
    assert problem.names == ["target 0", "target 1"]
    assert list(problem.groups) == ["all", "all"]
    assert problem.keys.to_pylist() == [0, 1, 2]
    assert problem.untargeted is None
    np.testing.assert_array_equal(problem.importance, [0.5, 0.5])
    np.testing.assert_array_equal(problem.tolerance, [0, 0])


@pytest.mark.parametrize("layout", [sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix])
def test_any_layout_is_taken(layout):
    problem = small(A=layout(np.array([[1.0, 2, 0], [0, 0, 4]])))
    np.testing.assert_array_equal(problem.matrix.toarray(), [[1, 2, 0], [0, 0, 4]])
    assert problem.matrix.indices.dtype == problem.matrix.indptr.dtype == np.int32


def test_entries_given_twice_add_up_and_the_source_is_left_alone():
    A = sp.csr_array(
        (np.array([1.0, 2, 3]), np.array([2, 0, 2]), np.array([0, 3, 3])), shape=(2, 3)
    )
    problem = small(A=A)
    np.testing.assert_array_equal(problem.matrix.toarray(), [[2, 0, 4], [0, 0, 0]])
    assert A.indices.tolist() == [2, 0, 2]


@pytest.mark.parametrize(("dtype", "kept"), [(np.float32, np.float32), (np.int64, np.float64)])
def test_single_precision_is_kept(dtype, kept):
    assert small(A=np.ones((2, 3), dtype=dtype)).matrix.dtype == kept


@pytest.mark.parametrize("make", [np.array, sp.csr_array, sp.coo_array])
def test_true_counts_as_1(make):
    problem = small(A=make(np.array([[True, True, False], [False, False, True]])))
    assert problem.matrix.dtype == np.float64
    np.testing.assert_array_equal(problem.matrix.toarray(), [[1, 1, 0], [0, 0, 1]])


def test_numbers_may_come_as_objects():
    A = np.array([[1, Decimal("2"), 0], [0, False, Fraction(8, 2)]], dtype=object)
    problem = small(A=A, values=[5, Decimal(8)], names=pa.array(["a", "b"]), groups=["", "g"])
    np.testing.assert_array_equal(problem.matrix.toarray(), [[1, 2, 0], [0, 0, 4]])
    assert problem.names == ["a", "b"]
    assert list(problem.groups) == ["", "g"]


def test_records_are_sorted_by_key_and_targets_by_name():
    problem = small(keys=["c", "a", "b"], names=["z", "y"], groups=["g", "h"])
    assert problem.keys.to_pylist() == ["a", "b", "c"]
    assert problem.names == ["y", "z"]
    assert list(problem.groups) == ["h", "g"]
    np.testing.assert_array_equal(problem.matrix.toarray(), [[0, 4, 0], [2, 0, 1]])
    np.testing.assert_array_equal(problem.values, [8, 5])
    np.testing.assert_array_equal(problem.design_weights, [2, 2, 1])
    np.testing.assert_array_equal(problem.record_order, [1, 2, 0])
    np.testing.assert_array_equal(problem.target_order, [1, 0])


def test_every_group_counts_the_same():
    problem = problems.problem(m=4)
    given = problems.parts(m=4)
    problem = CalibrationProblem.from_matrix(**given, groups=["a", "b", "b", "b"])
    np.testing.assert_allclose(problem.importance, [1 / 2, 1 / 6, 1 / 6, 1 / 6])


def test_series_are_taken_by_position_whatever_their_index():
    names = pd.Series(["z", "y"], index=[7, 3])
    groups = pd.Series(["g", "h"], index=[1, 0], dtype="category")
    problem = small(names=names, groups=groups, keys=pd.Series(["c", "a", "b"], index=[5, 5, 6]))
    assert problem.names == ["y", "z"]
    assert list(problem.groups) == ["h", "g"]
    assert problem.keys.to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"A": np.ones(3)}, r"`A` has shape \(3,\); it needs two dimensions"),
        ({"A": np.ones((2, 3, 1))}, r"`A` has shape \(2, 3, 1\); it needs two dimensions"),
        ({"A": 3.0}, r"`A` has shape \(\); it needs two dimensions"),
        ({"A": np.ones((0, 3))}, r"`A` has shape \(0, 3\); .* none empty"),
        ({"A": [[1, np.nan, 0], [0, 0, 1]]}, r"`A` has NaN or infinite entries in 1 row \(0\)"),
        ({"A": [[1, 0, 0], [0, 0, np.inf]]}, r"`A` has NaN or infinite entries in 1 row \(1\)"),
        ({"values": [1.0]}, r"`values` has 1 entry for 2 rows of `A`; pass one"),
        ({"values": [[1.0, 2.0]]}, r"`values` has shape \(1, 2\); pass one dimension"),
        ({"values": [1, np.nan]}, r"`values` is NaN or infinite at 1 position \(1\)"),
        ({"values": ["a", 1]}, r"`values` must be numbers; cast them"),
        ({"weights": [1, 2]}, r"`weights` has 2 entries for 3 columns of `A`"),
        ({"weights": [1, np.inf, 1]}, r"`weights` is NaN or infinite at 1 position \(1\)"),
        ({"weights": [1, 0, -2]}, r"`weights` has 2 zero or negative values \(records 1, 2\)"),
        ({"weights": [1, 1e-99, 1e99]}, r"`weights` is outside of 1e-50 to 1e\+50 in 2 records"),
        ({"A": [["1", "2", "0"], ["0", "0", "4"]]}, r"`A` must be numbers; .*\(these are text\)"),
        ({"A": np.eye(2, 3) * 1j}, r"`A` must be numbers; .*\(these are complex numbers\)"),
        ({"A": sp.eye_array(2, 3) * 1j}, r"`A` must be numbers; .*\(these are complex numbers\)"),
        ({"values": ["5", "8"]}, r"`values` must be numbers; .*\(these are text\)"),
        ({"values": [5, 8j]}, r"`values` must be numbers; .*\(these are complex numbers\)"),
        ({"weights": ["1", "2", "2"]}, r"`weights` must be numbers; .*\(these are text\)"),
        ({"untargeted": np.eye(2, 3) * 1j}, r"`untargeted` must be numbers; .*complex numbers"),
        ({"untargeted": [["1", "2", "3"]]}, r"`untargeted` must be numbers; .*text"),
        ({"names": [None, "a"]}, r"`names` is None or NaN at 1 position \(0\); pass one for each"),
        ({"names": ["a", np.nan]}, r"`names` is None or NaN at 1 position \(1\)"),
        ({"names": pd.Series(["a", None])}, r"`names` is None or NaN at 1 position \(1\)"),
        ({"names": pa.array(["a", None])}, r"`names` is None or NaN at 1 position \(1\)"),
        ({"names": ["", "a"]}, r"`names` is empty at 1 position \(0\); name each"),
        ({"names": ["a", " "]}, r"`names` is empty at 1 position \(1\)"),
        ({"names": "ab"}, r"`names` is 'ab'; pass one for each of the rows of `A`"),
        ({"names": 3}, r"`names` is 3; pass one for each of the rows of `A`"),
        ({"groups": [np.nan, np.nan]}, r"`groups` is None or NaN at 2 positions \(0, 1\); pass"),
        ({"groups": ["a", None]}, r"`groups` is None or NaN at 1 position \(1\)"),
        ({"groups": pd.Series(["a", None], dtype="category")}, r"`groups` is None or NaN at 1"),
        ({"groups": pd.Series([1, None], dtype="Int64")}, r"`groups` is None or NaN at 1"),
        ({"groups": "ab"}, r"`groups` is 'ab'; pass one for each of the rows of `A`"),
        ({"keys": [1, "a", 2]}, r"`keys` are of mixed or unknown types \(.*\); pass text or whole"),
        ({"keys": [1j, 2, 3]}, r"`keys` are of mixed or unknown types"),
        ({"keys": [2**70, 2, 3]}, r"`keys` are of mixed or unknown types"),
        ({"keys": np.ones((3, 1))}, r"`keys` are of mixed or unknown types"),
        ({"keys": [[1], [2], [3]]}, r"`keys` are list<.*>; pass text or whole numbers"),
        ({"names": ["a"]}, r"`names` has 1 entry for 2 rows of `A`"),
        ({"names": ["a", "a"]}, r"`names` repeats 'a'; names must be unique"),
        ({"groups": ["a"]}, r"`groups` has 1 entry for 2 rows of `A`; pass one for each"),
        ({"keys": [1, 2]}, r"`keys` has 2 entries for 3 columns of `A`"),
        ({"keys": [1, 2, 1]}, r"`keys` repeats 1 key \(1\); keys must be unique: drop the"),
        ({"keys": [1, 1, 1]}, r"`keys` repeats 1 key \(1\)"),
        ({"keys": pa.array([1, 2, None])}, r"`keys` is null in 1 position \(positions 2\); give"),
        ({"keys": [1.0, np.nan, np.nan]}, r"`keys` is null in 2 positions \(positions 1, 2\)"),
        ({"untargeted": np.ones((4, 2))}, r"`untargeted` has 2 columns where `A` has 3; pass"),
        ({"untargeted": np.full((2, 3), np.nan)}, r"`untargeted` has NaN .* in 2 rows \(0, 1\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(changes, text):
    with pytest.raises(InputError, match=text):
        small(**changes)

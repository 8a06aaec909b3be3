import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.problem.must_keep import read_must_keep
from l0.common.errors import InputError

#: The problem sorts its records by key.
KEYS = [40, 10, 50, 20, 60, 30]


def of_frames(keys=KEYS, **options):
    homes = pd.DataFrame(
        {
            "id": keys,
            "w": [1.0, 2.0, 4.0, 1.0, 2.0, 4.0],
            "big": [True, False, False, False, False, True],
            "number": [1, 0, 0, 0, 0, 1],
            "gaps": pd.array([True, None, False, False, None, True], dtype="boolean"),
            "amount": np.arange(6),
        }
    )
    targets = pd.DataFrame({"variable": ["count"], "value": [14.0]})
    return CalibrationProblem.from_frames(homes, targets, key="id", weight="w", **options)


def of_matrix():
    return CalibrationProblem.from_matrix(np.ones((1, 6)), [14], np.ones(6), keys=KEYS)


def kept(problem, given):
    return problem.keys.filter(pa.array(read_must_keep(problem, given))).to_pylist()


def test_nothing_is_nobody():
    for given in (None, [], set(), np.array([], dtype=int)):
        assert kept(of_frames(), given) == []


@pytest.mark.parametrize("name", ["big", "number"])
def test_a_column_says_who_is_kept(name):
    assert kept(of_frames(), name) == [30, 40]


@pytest.mark.parametrize("kind", [list, tuple, set, np.array, pd.Series, pl.Series, pa.array])
def test_keys_say_who_is_kept(kind):
    for problem in (of_frames(), of_matrix()):
        assert kept(problem, kind([60, 10])) == [10, 60]


def test_a_key_may_come_twice():
    assert kept(of_frames(), [60, 10, 60]) == [10, 60]


def test_keys_of_text_are_looked_up_as_they_are():
    problem = of_frames(["a", "b", "c", "d", "e", "01"])
    assert kept(problem, ["01", "c"]) == ["01", "c"]
    with pytest.raises(InputError, match="1 key that no record has: '1'; correct them"):
        kept(problem, ["1"])


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, pl.Series])
def test_flags_have_the_order_of_the_records(kind):
    flags = [False, True, False, False, True, False]
    for problem in (of_frames(), of_matrix()):
        assert kept(problem, kind(flags)) == [10, 60]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, 2, 3, 4, 5, 6, 10], "has 6 keys that no record has: 1, 2, 3, 4, 5 and 1 more"),
        (["x"], r"no record has: 'x' \(string where the records have int64\)"),
        ([None, 10], r"`must_keep` is null at 1 position \(0\); drop them"),
        ([True, False], "`must_keep` has 2 entries for 6 records"),
        (iter([10]), "`must_keep` is a list_iterator, which can be read only once; pass a list"),
        (pd.DataFrame({"id": [10]}), "`must_keep` is a DataFrame; pass one column of it: keys"),
        (pa.table({"id": [10]}), "`must_keep` is a Table; pass one column of it: keys"),
        (pl.LazyFrame({"id": [10]}), "`must_keep` is a LazyFrame; pass one column of it: keys"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "`must_keep` is a DataFrame; pass one column"),
        (5, "`must_keep` is a int that cannot be read .* pass keys, a boolean array"),
        ([[1, 2]], "`must_keep` has values of the type list"),
        ("bigg", "`records` has no column 'bigg' to use as `must_keep`; closest: 'big'"),
        ("amount", "names the column 'amount', which is int64; it must be boolean, or have"),
        ("gaps", r"'gaps', which is null in 2 records \(10, 60\); fill them"),
    ],
)
def test_what_cannot_be_kept_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        read_must_keep(of_frames(), given)


def test_a_matrix_has_no_columns():
    with pytest.raises(InputError, match="a problem from a matrix has no columns; pass keys, or"):
        read_must_keep(of_matrix(), "big")


def test_records_that_are_left_out_cannot_be_kept():
    homes = pd.DataFrame({"id": [1, 2, 3], "w": [1.0, 0.0, 2.0]})
    targets = pd.DataFrame({"variable": ["count"], "value": [3.0]})
    problem = CalibrationProblem.from_frames(
        homes, targets, key="id", weight="w", zero_weights="drop"
    )
    assert kept(problem, [True, False, True]) == [1, 3]
    with pytest.raises(InputError, match="has 1 record of design weight 0, which `zero_weights"):
        read_must_keep(problem, [True, True, False])
    with pytest.raises(InputError, match="no record has: 2; 1 record of design weight 0 is left"):
        read_must_keep(problem, [2])

import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.common.validation import (
    above_one,
    as_plain,
    checked_labels,
    checked_matrix,
    checked_vector,
    flag,
    inner_share,
    not_negative,
    positive,
    positive_share,
    refuse_masked,
    share,
    whole_number,
)


def test_a_flag_is_true_or_false():
    for value in (True, False, np.True_):
        assert flag(value, "a") is bool(value)
    for value in (1, 0, None, "true", [True]):
        with pytest.raises(InputError, match="`a` must be True or False, got"):
            flag(value, "a")


@given(st.integers(2, 10**9))
def test_good_numbers_come_back_as_plain_ones(value):
    assert whole_number(value, "a", 2) == positive(value, "a") == not_negative(value, "a") == value
    assert not_negative(0, "a") == 0


@pytest.mark.parametrize("value", [1, 2.0, True, "2", None])
def test_a_whole_number_is_an_integer_large_enough(value):
    with pytest.raises(InputError, match="`size` must be an integer of at least 2, got"):
        whole_number(value, "size", 2)


def test_a_whole_number_is_no_larger_than_there_are():
    assert whole_number(np.int64(7), "k", 1, most=7, what="the number of rows") == 7
    with pytest.raises(InputError, match="`k` must be an integer from 1 to the number of rows, 7"):
        whole_number(8, "k", 1, most=7, what="the number of rows")


@pytest.mark.parametrize("value", [0.0, -1, math.nan, math.inf, None, True, "2", 1j, [1.0]])
def test_positive_is_finite_and_above_0(value):
    with pytest.raises(InputError, match="`rate` must be positive and finite, got"):
        positive(value, "rate")


@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, None, True, "2", 1j, [1.0]])
def test_not_negative_is_finite_and_at_least_0(value):
    with pytest.raises(InputError, match="`rate` must be finite and at least 0, got"):
        not_negative(value, "rate")


SHARES = [
    (share, [0, 0.5, 1], "from 0 to 1"),
    (positive_share, [1e-9, 1], "above 0 and up to 1"),
    (inner_share, [1e-9, 0.5], "above 0 and below 1"),
    (above_one, [1.001, 2], "and above 1"),
]


@pytest.mark.parametrize(("check", "good", "text"), SHARES)
def test_numbers_of_a_range(check, good, text):
    for value in good:
        assert check(value, "a") == value
        assert type(check(np.float32(value), "a")) is float
    for value in (-1e-9, math.nan, -math.inf, math.inf, True, False, None, "0.5", 1j, [0.5]):
        with pytest.raises(InputError, match=f"`a` must be .*{text}, got"):
            check(value, "a")
    for value in {share: [1.001], positive_share: [0, 1.001], inner_share: [0, 1]}.get(check, [1]):
        with pytest.raises(InputError, match=f"`a` must be .*{text}, got"):
            check(value, "a")


def test_a_matrix_is_made_canonical_without_changing_what_came_in():
    twice = sp.csr_array((np.array([1.0, 2.0, 4.0]), [1, 1, 0], [0, 3]), shape=(1, 2))
    matrix = checked_matrix(twice, "A")
    assert matrix.has_canonical_format
    np.testing.assert_array_equal(matrix.toarray(), [[4, 3]])
    assert twice.nnz == 3


@pytest.mark.parametrize(("given", "kept"), [(np.float32, np.float32), (np.int8, np.float64)])
def test_single_precision_stays(given, kept):
    assert checked_matrix(np.eye(2, dtype=given), "A").dtype == kept


def test_a_vector_is_float64_whatever_comes():
    for source in ([1, 2], np.array([1, 2], np.int8), torch.tensor([1.0, 2.0])):
        vector = checked_vector(source, 2, "y", "rows of `A`")
        assert vector.dtype == np.float64
        assert vector.tolist() == [1, 2]
    with pytest.raises(InputError, match="`y` must be numbers; cast them"):
        checked_vector(["a", "b"], 2, "y", "rows of `A`")


NUMBERS = (
    st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.fractions()
    | st.decimals(-1000, 1000)
    | st.booleans().map(np.bool_)
)


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.booleans())
def test_numbers_in_objects_are_numbers(values, as_objects):
    source = np.array(values, dtype=object) if as_objects else values
    vector = checked_vector(source, len(values), "y", "rows")
    assert vector.tolist() == [float(value) for value in values]
    matrix = checked_matrix(np.array([values], dtype=object), "A")
    assert matrix.dtype == np.float64
    assert matrix.toarray()[0].tolist() == vector.tolist()


NO_NUMBERS = {
    "text": ["1", "2"],
    "text and numbers": [1, "2"],
    "bytes": [b"1", b"2"],
    "complex": [1 + 0j, 2],
    "single complex": np.ones(2, np.complex64),
    "dates": np.array(["2020", "2021"], "datetime64[D]"),
    "durations": np.array([1, 2], "timedelta64[s]"),
    "objects": [object(), 1],
    "numbers as objects of text": np.array(["1", 2], dtype=object),
    "complex objects": np.array([1j, 2], dtype=object),
    "nested": np.array([[1], [1, 2]], dtype=object),
    "ragged": [[1], [1, 2]],
    "records": np.zeros(2, dtype=[("a", int)]),
}


@pytest.mark.parametrize("values", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_never_made_one(values):
    with pytest.raises(InputError, match="`y` must be numbers; cast them"):
        checked_vector(values, 2, "y", "rows of `A`")
    for one in (values, [values], {"a": values}):
        with pytest.raises(InputError, match=r"`A` (must be numbers; cast them|has shape)"):
            checked_matrix(pd.DataFrame(one) if isinstance(one, dict) else one, "A")


def test_objects_that_are_no_numbers_are_named_with_their_places():
    matrix = np.array([[1, "a"], [2, 3], [1j, None]], dtype=object)
    with pytest.raises(
        InputError,
        match=r"`A` must be numbers; cast them \('a', 1j at the positions \(0, 1\), \(2, 0\)\)",
    ):
        checked_matrix(matrix, "A")
    with pytest.raises(InputError, match=r"`y` .* \('b', 'c' at the positions 1, 2\)"):
        checked_vector(np.array([1, "b", "c"], dtype=object), 3, "y", "rows")


@pytest.mark.parametrize(
    "values",
    [
        [1, None],
        [1, math.nan],
        np.array([1, None], dtype=object),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1, pd.NA], dtype=object),
        np.ma.array([1.0, 2.0], mask=[False, True]),
        np.ma.array([1, 2], mask=[False, True]),
        [1, 10**400],
    ],
    ids=repr,
)
def test_missing_masked_and_infinite_numbers_are_named(values):
    with pytest.raises(InputError, match=r"`y` is NaN or infinite at 1 position \(1\)"):
        checked_vector(values, 2, "y", "rows")
    row = values.reshape(1, 2) if isinstance(values, np.ma.MaskedArray) else np.asarray([values])
    with pytest.raises(InputError, match=r"`A` has NaN or infinite entries in 1 row \(0\)"):
        checked_matrix(row, "A")


@pytest.mark.parametrize(
    "value", [3, 0.5, True, None, "a", [1, ("a", 0.5)], {"a": [1]}, np.arange(3), object()]
)
def test_what_is_plain_stays_as_it_is(value):
    assert as_plain(value) is value or as_plain(value) == value


def test_scalars_of_numpy_become_plain_inside_of_lists_and_mappings():
    given = {np.str_("a"): [np.int8(1), (np.float32(0.5), np.bool_(True))], "b": np.uint64(2)}
    found = as_plain(given)
    assert repr(found) == "{'a': [1, (0.5, True)], 'b': 2}"
    assert type(next(iter(given))) is np.str_ and type(next(iter(found))) is str


def test_masked_values_are_refused_and_a_mask_without_any_is_not():
    for taken in (None, [1, 2], np.ma.array([1, 2], mask=False)):
        refuse_masked(taken, "y")
    with pytest.raises(InputError, match="`y` has masked values; fill them, or leave out"):
        refuse_masked(np.ma.array([1, 2], mask=[False, True]), "y")


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f4", "f8", "g"])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array, sp.csc_matrix, sp.coo_array])
def test_numbers_of_every_size_are_taken(dtype, layout):
    if dtype == "f2" and layout is not np.asarray:
        pytest.skip("scipy has no half precision")
    matrix = checked_matrix(layout(np.eye(2, 3, dtype=dtype)), "A")
    assert matrix.dtype == (np.float32 if dtype == "f4" else np.float64)
    np.testing.assert_array_equal(matrix.toarray(), np.eye(2, 3))


def test_a_sparse_complex_matrix_keeps_no_half_of_itself():
    with pytest.raises(InputError, match=r"`A` must be numbers; .*\(these are complex numbers\)"):
        checked_matrix(sp.csr_array(np.array([[1j, 2]])), "A")


@given(st.lists(st.sampled_from(["a", "b", 1, None, math.nan, pd.NA, pd.NaT]), max_size=9))
def test_labels_are_never_missing(labels):
    bad = [place for place, label in enumerate(labels) if not isinstance(label, (str, int))]
    if not bad:
        assert checked_labels(labels, len(labels), "g", "rows") == labels
        return
    shown = ", ".join(map(str, bad[:5]))
    with pytest.raises(InputError, match=rf"`g` is None or NaN at {len(bad)} positions? \({shown}"):
        checked_labels(labels, len(labels), "g", "rows")


def test_a_masked_label_is_missing():
    with pytest.raises(InputError, match=r"`g` is None or NaN at 1 position \(1\); pass one"):
        checked_labels(np.ma.array(["a", "b"], mask=[False, True]), 2, "g", "rows")


def test_labels_are_one_for_each():
    with pytest.raises(InputError, match="`g` has 1 entry for 2 rows; pass one"):
        checked_labels(["a"], 2, "g", "rows")
    for value in ("ab", b"ab", 3, None):
        with pytest.raises(InputError, match="`g` is .*; pass one for each of the rows"):
            checked_labels(value, 2, "g", "rows")

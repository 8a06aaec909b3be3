import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.common.validation import (
    checked_matrix,
    checked_vector,
    not_negative,
    positive,
    whole_number,
)


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


@pytest.mark.parametrize("value", [0.0, -1, math.nan, math.inf, None, "2", 1j, [1.0]])
def test_positive_is_finite_and_above_0(value):
    with pytest.raises(InputError, match="`rate` must be positive and finite, got"):
        positive(value, "rate")


@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, None, "2", 1j, [1.0]])
def test_not_negative_is_finite_and_at_least_0(value):
    with pytest.raises(InputError, match="`rate` must be finite and at least 0, got"):
        not_negative(value, "rate")


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
    with pytest.raises(InputError, match="`y` must be real numbers; convert them"):
        checked_vector(["a", "b"], 2, "y", "rows of `A`")


@pytest.mark.parametrize("source", [[["a", "b"]], [[1], [1, 2]], [[1j, 2]]])
def test_a_matrix_of_something_else_than_numbers_is_named(source):
    with pytest.raises(InputError, match="`A` must be real numbers"):
        checked_matrix(source, "A")


def test_an_imaginary_part_is_not_dropped():
    with pytest.raises(InputError, match="`y` must be real numbers"):
        checked_vector(np.array([1j, 2]), 2, "y", "rows of `A`")

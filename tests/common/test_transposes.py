from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.common.transposes import transposed

entries = st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.5, 1e-3, 4e5])
shapes = st.tuples(st.integers(1, 7), st.integers(1, 9))


def equal(found, expected):
    """Tell whether two matrices have the same entries in the same order, of the same types."""
    return all(
        each.dtype == other.dtype and np.array_equal(each, other)
        for each, other in zip(
            (found.data, found.indices, found.indptr),
            (expected.data, expected.indices, expected.indptr),
            strict=True,
        )
    )


@given(
    A=hnp.arrays(float, shapes, elements=entries),
    dtype=st.sampled_from([np.float32, np.float64]),
    stretch=st.integers(1, 20),
    n_threads=st.sampled_from([1, 3]),
)
@settings(deadline=None, max_examples=200)
def test_it_is_that_of_scipy_with_any_number_of_threads(A, dtype, stretch, n_threads):
    matrix = sp.csr_array(A.astype(dtype))
    with (
        mock.patch("l0.common.transposes.STRETCH", stretch),
        mock.patch.object(torch, "get_num_threads", lambda: n_threads),
    ):
        found = transposed(matrix)
    assert found.shape == A.shape[::-1]
    assert equal(found, matrix.T.tocsr())


@pytest.mark.parametrize("stretch", [1, 1000])
def test_entries_in_any_order_are_turned_as_well(monkeypatch, stretch):
    monkeypatch.setattr("l0.common.transposes.STRETCH", stretch)
    parts = np.array([1.0, 2.0, 3.0]), np.array([2, 0, 1]), np.array([0, 2, 3])
    matrix = sp.csr_array(parts, shape=(2, 3))
    np.testing.assert_array_equal(transposed(matrix).toarray(), matrix.toarray().T)

from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.common import csr_tensors

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
entries = st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.5, 0.125, 4e5])
matrices = hnp.arrays(np.float32, st.tuples(st.integers(1, 7), st.integers(1, 9)), elements=entries)


def sent(A, device, index):
    matrix = sp.csr_array(A)
    matrix.indptr, matrix.indices = matrix.indptr.astype(index), matrix.indices.astype(index)
    return csr_tensors.sent(matrix, torch.device(device))


def equal(found, dense):
    np.testing.assert_array_equal(found.to_dense().cpu().numpy(), dense)
    assert len(found.values()) == np.count_nonzero(dense)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("device", DEVICES)
@given(A=matrices, data=st.data())
@settings(deadline=None)
def test_parts_are_slices_of_the_dense_matrix(device, index, A, data):
    matrix = sent(A, device, index)
    m, n = A.shape
    columns = sorted(data.draw(st.sets(st.integers(0, n - 1))))
    rows = data.draw(st.lists(st.integers(0, m - 1), unique=True))
    found = csr_tensors.columns_of(matrix, torch.tensor(columns, dtype=torch.int64, device=device))
    equal(found, A[:, columns])
    assert found.crow_indices().dtype == matrix.crow_indices().dtype
    equal(
        csr_tensors.rows_of(matrix, torch.tensor(rows, dtype=torch.int64, device=device)), A[rows]
    )
    again = csr_tensors.rows_of(found, torch.tensor(rows, dtype=torch.int64, device=device))
    equal(again, A[rows][:, columns])


@pytest.mark.parametrize("device", DEVICES)
@given(A=matrices)
@settings(deadline=None)
def test_stored_zeros_are_no_entries(device, A):
    stored = sp.csr_array(np.ones_like(A))
    stored.data[:] = A.ravel()
    empty = csr_tensors.empty_rows(csr_tensors.sent(stored, torch.device(device)))
    np.testing.assert_array_equal(empty.cpu().numpy(), (A == 0).all(axis=1))


def test_the_cpu_shares_the_memory():
    matrix = sp.csr_array(np.eye(3, dtype=np.float32))
    tensor = csr_tensors.sent(matrix, torch.device("cpu"))
    matrix.data[0] = 5
    assert tensor.values()[0] == 5


@pytest.mark.parametrize("room", [0, 1000])
def test_a_matrix_that_is_too_large_for_a_gpu_is_refused_before_it_is_sent(room):
    matrix = sp.csr_array(np.ones((100, 100), np.float32))
    with (
        mock.patch("torch.cuda.mem_get_info", lambda _: (room, 8e10)),
        mock.patch("torch.cuda.memory_reserved", lambda _: 300),
        mock.patch("torch.cuda.memory_allocated", lambda _: 200),
        pytest.raises(ValueError, match=r"`device`: cuda:0 .* pass device='cpu'"),
    ):
        csr_tensors.sent(matrix, torch.device("cuda:0"))

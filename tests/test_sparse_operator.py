import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.common import csr_tensors
from l0.common.ranks import ONE
from l0.common.scaled_entries import ScaledEntries
from l0.sparse_operator import LEAST_ROWS, SparseOperator, _DeviceRows, have_one_order
from tests.thread_ranks import on_ranks

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

entries = st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.5, 1e-3, 4e5])
factors = st.floats(0.01, 100)
blocks = st.sampled_from([1, 2, 5, 11, 1000])


matrices = hnp.arrays(float, st.tuples(st.integers(1, 7), st.integers(1, 9)), elements=entries)


def columns_of(n):
    """Draw some columns, in ascending order."""
    return st.sets(st.integers(0, n - 1), min_size=1).map(lambda kept: np.array(sorted(kept)))


@st.composite
def maps(draw):
    """Draw a matrix, empty rows and columns and all; give it scaled, dense and as a map."""
    A = draw(matrices)
    m, n = A.shape
    rows = draw(hnp.arrays(float, m, elements=factors))
    columns = draw(hnp.arrays(float, n, elements=factors))
    operator = SparseOperator.from_scipy(sp.csr_array(A), rows, columns)
    return rows[:, None] * A * columns, operator


@given(both=maps(), seed=st.integers(0, 99))
@settings(deadline=None)
def test_value_and_gradient_are_those_of_the_dense_matrix(both, seed):
    dense, operator = both
    m, n = dense.shape
    assert operator.shape == (m, n)
    rng = np.random.default_rng(seed)
    u, g = rng.uniform(0, 3, n), rng.normal(size=m)
    ratios = torch.tensor(u, dtype=torch.float32, requires_grad=True)
    value = operator(ratios)
    value.backward(torch.tensor(g, dtype=torch.float32))
    # Rounding is relative to the sum of sizes, not to what is left of it.
    np.testing.assert_array_less(
        np.abs(value.detach().numpy() - dense @ u), 1e-6 * (np.abs(dense) @ u) + 1e-30
    )
    np.testing.assert_array_less(
        np.abs(ratios.grad.numpy() - g @ dense), 1e-6 * (np.abs(g) @ np.abs(dense)) + 1e-30
    )


@given(both=maps(), data=st.data())
@settings(deadline=None)
def test_a_cut_is_a_slice(both, data):
    dense, operator = both
    n = dense.shape[1]
    everyone = torch.ones(n, requires_grad=True)
    operator(everyone).sum().backward()
    kept = data.draw(columns_of(n))
    operator.cut(kept)
    assert operator.shape == (len(dense), len(kept))
    for column, record in enumerate(kept):
        unit = torch.zeros(len(kept))
        unit[column] = 1
        np.testing.assert_array_equal(operator(unit), dense[:, record].astype(np.float32))
    ratios = torch.ones(len(kept), requires_grad=True)
    operator(ratios).sum().backward()
    torch.testing.assert_close(ratios.grad, everyone.grad[kept])


@given(A=matrices, block=blocks, data=st.data())
@settings(deadline=None)
def test_cuts_in_steps_give_the_bits_of_one_cut(A, block, data):
    scaled = ScaledEntries([sp.csr_array(A)], *(np.full(size, 0.3) for size in A.shape))
    left, pull = np.arange(A.shape[1]), torch.arange(1.0, len(A) + 1) / 7
    with mock.patch("l0.common.scaled_entries.BLOCK", block):
        in_steps = SparseOperator.of(scaled)
        while len(left):
            kept = data.draw(columns_of(len(left)))
            in_steps.cut(kept)
            left = left[kept]
            at_once = SparseOperator.of(scaled, left)
            x = torch.arange(1.0, len(left) + 1) / 3
            assert torch.equal(in_steps(x), at_once(x))
            assert torch.equal(in_steps.transposed(pull), at_once.transposed(pull))
            if len(kept) < 2 or data.draw(st.booleans()):
                return


@given(A=matrices, data=st.data())
@settings(deadline=None)
def test_a_device_cuts_its_own_entries_to_the_same_operator(A, data):
    """The cut on a GPU, here on the CPU."""
    factors = np.full(len(A), 0.3), np.full(A.shape[1], 0.7)
    with mock.patch(
        "l0.sparse_operator._laid_out",
        lambda matrix, device, *_: _DeviceRows(csr_tensors.sent(matrix, device)),
    ):
        cut = SparseOperator.from_scipy(sp.csr_array(A), *factors)
    expected = SparseOperator.from_scipy(sp.csr_array(A), *factors)
    np.testing.assert_array_equal(cut.empty_rows, expected.empty_rows)
    kept = data.draw(columns_of(A.shape[1]))
    for operator in (cut, expected):
        operator.cut(kept)
    assert cut.shape == expected.shape
    np.testing.assert_array_equal(cut.empty_rows, ~A[:, kept].any(axis=1))
    x, pull = torch.arange(1.0, len(kept) + 1) / 3, torch.arange(1.0, len(A) + 1) / 7
    assert torch.equal(cut(x), expected(x))
    assert torch.equal(cut.transposed(pull), expected.transposed(pull))


@given(lengths=hnp.arrays(np.int64, 9, elements=st.sampled_from([0, 0, 1, 3, 8])), block=blocks)
@settings(deadline=None)
def test_rows_are_scaled_across_blocks(lengths, block):
    rng = np.random.default_rng(0)
    A = np.where(np.arange(8) < lengths[:, None], rng.uniform(1, 2, (9, 8)), 0)
    rows, columns = 2.0 ** rng.permutation(9), 3.0 ** rng.permutation(8)
    with mock.patch("l0.common.scaled_entries.BLOCK", block):
        operator = SparseOperator.from_scipy(sp.csr_array(A), rows, columns)
    for column, unit in enumerate(torch.eye(8)):
        expected = rows * A[:, column] * columns[column]
        np.testing.assert_allclose(operator(unit), expected, rtol=1e-6)


def test_the_matrix_that_came_in_is_left_alone():
    A = sp.csr_array(np.array([[1.0, 2.0], [0.0, 3.0]]))
    SparseOperator.from_scipy(A, np.array([5.0, 5.0]), np.array([7.0, 7.0]))
    np.testing.assert_array_equal(A.toarray(), [[1, 2], [0, 3]])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_rounds_nothing(monkeypatch, device, dtype):
    """On CUDA it lowers `mv`, on the CPU it does not: that it is off tells for both."""
    products, multiply = [], torch.mv

    def watched(*factors):
        products.append(torch.is_autocast_enabled(device))
        return multiply(*factors)

    monkeypatch.setattr(torch, "mv", watched)
    operator = SparseOperator.from_scipy(sp.csr_array(np.eye(3)), np.ones(3), np.ones(3), device)
    ratios = torch.full((3,), 1 + 1e-4, device=device, requires_grad=True)
    with torch.autocast(device, dtype):
        value = operator(ratios)
        value.backward(ratios.detach())
        assert torch.is_autocast_enabled(device)
    assert products == [False, False]
    assert torch.equal(value, ratios)
    assert torch.equal(ratios.grad, ratios)


def test_the_default_device_of_torch_decides_nothing():
    with torch.device("meta"):
        operator = SparseOperator.from_scipy(sp.csr_array(np.eye(3)), np.ones(3), np.ones(3))
    np.testing.assert_array_equal(operator(torch.ones(3)), np.ones(3))


@pytest.mark.parametrize("is_short", [False, True])
@pytest.mark.parametrize("size", [2, 3])
def test_any_number_of_ranks_gives_the_same_bits(size, is_short):
    rng = np.random.default_rng(0)
    m = 10 if is_short else 100
    A = sp.random_array((m, 400), density=0.4, rng=rng, format="csr")
    rows, columns = rng.uniform(size=m), rng.uniform(size=400)
    kept = np.flatnonzero(rng.random(400) < 0.3)
    start, pull = torch.from_numpy(rng.random(len(kept))).float(), torch.rand(m)

    def products(ranks):
        operator = SparseOperator.from_scipy(A, rows, columns, "cpu", ranks)
        operator.cut(kept)
        x = start.clone().requires_grad_()
        y = operator(x)
        (gradient,) = torch.autograd.grad(pull @ y, x)
        return y.detach().numpy(), gradient.numpy(), operator.transposed(pull).numpy()

    alone = products(ONE)
    for found in on_ranks(size, products):
        assert [each.tobytes() for each in found] == [each.tobytes() for each in alone]


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_rows_have_one_order_if_those_of_each_thread_are_long_and_many(n_threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    alike = np.full(n_threads * LEAST_ROWS, 14)
    assert have_one_order(alike)
    assert not have_one_order(alike // 2)
    assert not have_one_order(alike[:0])
    assert have_one_order(alike[:-1]) == (n_threads == 1)
    uneven = np.repeat([7, 28], 3 * LEAST_ROWS)
    assert have_one_order(uneven) == (n_threads == 1)
    assert have_one_order(np.random.default_rng(0).permutation(uneven))
    # A long row between two threads makes neither of them long.
    between = np.full(n_threads * LEAST_ROWS, 11)
    between[np.arange(1, n_threads) * LEAST_ROWS] = 500
    assert not have_one_order(between)


#: Of a file in two parts, the first records have few entries.
UNEVEN = """
import numpy as np, scipy.sparse as sp, torch
from l0.common.ranks import ONE
from l0.sparse_operator import SparseOperator
from tests.thread_ranks import on_ranks
assert torch.get_num_threads() == 2
rng, lengths = np.random.default_rng(0), np.repeat([7, 28], 1000)
rows = np.concatenate([rng.choice(60, length, replace=False) for length in lengths])
columns = np.repeat(np.arange(2000), lengths)
A = sp.csr_array((rng.uniform(0.5, 2, len(rows)), (rows, columns)), shape=(60, 2000))
pull = torch.rand(60)
def product(ranks):
    return SparseOperator.from_scipy(A, np.ones(60), np.ones(2000), "cpu", ranks).transposed(pull)
print([torch.equal(product(ONE), found) for found in on_ranks(2, product)])
"""


def test_ranks_with_two_threads_give_the_same_bits_where_rows_are_uneven():
    """MKL adds up short rows in another order, and tells them by the mean of a thread."""
    command = [sys.executable, "-c", UNEVEN]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[True, True]"

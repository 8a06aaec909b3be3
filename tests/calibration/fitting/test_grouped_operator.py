import numpy as np
import pytest
import torch

from l0.calibration.fitting.grouped_operator import GroupedOperator
from l0.common.ranks import ONE
from l0.sparse_operator import SparseOperator
from tests.calibration.fitting.matrices import nested
from tests.calibration.fitting.test_nesting import nest
from tests.thread_ranks import on_ranks


def a_problem(share):
    """Make a matrix in which some records have no entry, its factors, and some of its records."""
    rng = np.random.default_rng(0)
    matrix = nested(rng)
    matrix = matrix[:, np.where(rng.random(2000) < 0.9, np.arange(2000), 1999)].tocsr()
    matrix = matrix.multiply(rng.random(2000) < 0.9).tocsr()
    r, c = rng.lognormal(0, 2, matrix.shape[0]), rng.lognormal(0, 1, 2000)
    return matrix, r, c, np.flatnonzero(rng.random(2000) < share)


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_it_is_the_matrix_both_ways_and_after_a_cut(share):
    matrix, r, c, records = a_problem(share)
    operator = GroupedOperator(nest(matrix), r, c, records, torch.device("cpu"), ONE)
    rng, whole = np.random.default_rng(1), r[:, None] * matrix.toarray() * c
    for _ in range(3):
        B = whole[:, records]
        x = torch.tensor(rng.lognormal(size=len(records)), dtype=torch.float32, requires_grad=True)
        y = torch.tensor(rng.normal(size=len(r)), dtype=torch.float32)
        found = operator(x)
        expected = B @ x.detach().double().numpy()
        np.testing.assert_allclose(found.detach(), expected, rtol=2e-5, atol=1e-6)
        found.backward(y)
        pulled, size = B.T @ y.double().numpy(), B.T @ y.abs().double().numpy()
        assert (np.abs(x.grad.numpy() - pulled) <= 2e-6 * size).all()
        kept = np.flatnonzero(rng.random(len(records)) < 0.6)
        operator.cut(kept)
        records = records[kept]


def test_it_is_close_to_the_operator_of_all_entries():
    matrix, r, c, records = a_problem(0.5)
    grouped = GroupedOperator(nest(matrix), r, c, records, torch.device("cpu"), ONE)
    entries = SparseOperator.from_scipy(matrix[:, records].tocsr(), r, c[records])
    x = torch.rand(len(records))
    torch.testing.assert_close(grouped(x), entries(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [2, 3])
def test_any_number_of_ranks_gives_the_same_bits(size):
    matrix, r, c, records = a_problem(0.5)
    nesting, x = nest(matrix), torch.rand(len(records))

    def estimates(ranks):
        return GroupedOperator(nesting, r, c, records, torch.device("cpu"), ranks)(x)

    for found in on_ranks(size, estimates):
        assert torch.equal(found, estimates(ONE))

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from l0.calibration.fitting.dissection import Block, dissect
from l0.calibration.fitting.nesting import Nesting
from tests.calibration.fitting.matrices import nested


def whole(front, places):
    """Write places in a front as numbers."""
    return np.arange(len(front.rows))[places]


@pytest.fixture(params=[1, 2])
def made(request, monkeypatch):
    """Give the records of nested targets, and their fronts, made in one thread or two."""
    monkeypatch.setattr("l0.common.threads.LEAST", 1)
    monkeypatch.setattr("l0.calibration.fitting.dissection.SMALL", 0)
    monkeypatch.setattr("l0.calibration.fitting.kinds.OF_GROUP", 0.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)
    matrix = nested(np.random.default_rng(0))
    records = matrix.T.tocsr()
    root, _ = dissect(matrix, records)
    assert root.children
    return records, root, Nesting.of(root, matrix, records).fronts


def test_each_target_is_eliminated_once(made):
    records, _, fronts = made
    own = np.concatenate([front.rows[: front.own] for front in fronts])
    assert sorted(own) == list(range(records.shape[1]))


def test_each_record_with_an_entry_is_in_one_front_that_meets_its_targets(made):
    records, _, fronts = made
    seen = []
    for front in fronts:
        those = front.columns.records
        seen.extend(those)
        assert set(records[those].indices) == set(front.rows[front.places])
        np.testing.assert_array_equal(front.rows[front.places], front.columns.targets)
    assert sorted(seen) == list(np.flatnonzero(np.diff(records.indptr)))


def test_a_parent_has_all_that_its_children_leave_over(made):
    _, _, fronts = made
    for front in fronts:
        for child, places in front.children:
            left = fronts[child].left_over
            assert set(left) <= set(front.rows)
            np.testing.assert_array_equal(front.rows[whole(front, places)], left)


def test_the_root_leaves_nothing_over(made):
    assert not len(made[2][-1].left_over)


def test_a_front_leaves_out_targets_of_its_ancestors_that_few_of_its_records_meet():
    # The first block meets one of ten targets of the root, the second one all.
    A = np.zeros((12, 4))
    A[2, 0] = A[0, 0] = 1
    A[:11, 1] = 1
    A[0, 1] = 0
    matrix = sp.csr_array(A)
    root = Block(np.arange(2, 12), [Block(np.array([0])), Block(np.array([1]))])
    first, second, last = Nesting.of(root, matrix, matrix.T.tocsr()).fronts
    assert list(first.rows) == [0, 2]
    assert list(second.rows) == [1, *range(2, 12)]
    assert last.own == 10
    assert first.cost < second.cost

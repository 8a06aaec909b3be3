import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.fitting import dissection
from l0.calibration.fitting.dissection import deepest, dissect
from l0.common.ranks import ONE
from tests.calibration.fitting.matrices import nested, scattered
from tests.thread_ranks import on_ranks


def tree(matrix):
    return dissect(matrix, matrix.T.tocsr())[0]


@pytest.mark.parametrize("make", [nested, scattered])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_each_target_is_in_one_block_and_each_record_on_one_path(make, seed):
    matrix = make(np.random.default_rng(seed))
    root = tree(matrix)
    blocks = root.in_order()
    rows = np.concatenate([block.rows for block in blocks])
    np.testing.assert_array_equal(np.sort(rows), np.arange(matrix.shape[0]))
    above = {id(root): {id(root)}}
    for block in blocks[::-1]:
        for child in block.children:
            above[id(child)] = above[id(block)] | {id(child)}
    of_row = {row: id(block) for block in blocks for row in block.rows}
    records = matrix.T.tocsr()
    for start, stop in zip(records.indptr, records.indptr[1:], strict=False):
        held = {of_row[row] for row in records.indices[start:stop]}
        assert not held or max((above[block] for block in held), key=len) >= held


def test_nested_areas_are_found(monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    matrix = nested(np.random.default_rng(0), states=5, districts=8, k=20_000)
    m, k = matrix.shape
    root, cost = dissect(matrix, matrix.T.tocsr())
    assert len(root.children) == 5 * 8
    assert cost < 0.01 * k * m**2


def test_the_root_is_the_smallest_one_that_splits_well(monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    # Records of one of six kinds meet only their part of each area's targets. With all others of an
    # area in the root, the kinds fall apart too, which looks cheap where records are many.
    rng = np.random.default_rng(0)
    k, states, districts, kinds, own = 30_000, 4, 5, 6, 4
    district, kind = rng.integers(0, states * districts, k), rng.integers(0, kinds, k)
    areas = [np.zeros(k, int), district // districts + 1, district + states + 1]
    n_areas = 1 + states + states * districts
    of_all = [area * own + each for area in areas for each in range(own)]
    of_kind = [
        (n_areas + area * kinds + kind) * own + each for area in areas for each in range(own)
    ]
    rows = np.concatenate(of_all + of_kind)
    columns = np.tile(np.arange(k), len(of_all + of_kind))
    shape = (n_areas * (1 + kinds) * own, k)
    matrix = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    matrix = matrix[rng.permutation(shape[0])].tocsr()
    root = tree(matrix)
    assert len(root.rows) == (1 + kinds) * own
    assert len(root.children) == states


def test_threads_find_the_same_tree(monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    monkeypatch.setattr("l0.common.threads.LEAST", 1)
    matrix = nested(np.random.default_rng(1))
    found = []
    for n_threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n_threads: n)
        found.append([block.rows.tolist() for block in tree(matrix).in_order()])
    assert len(found[0]) > 1
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_find_the_same_tree(size, monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    matrix = nested(np.random.default_rng(1))
    records = matrix.T.tocsr()

    def blocks(ranks):
        root, cost = dissect(matrix, records, ranks)
        return [block.rows.tolist() for block in root.in_order()], cost

    expected = blocks(ONE)
    assert len(expected[0]) > 1
    assert on_ranks(size, blocks) == [expected] * size


def test_what_has_no_structure_stays_whole():
    assert tree(scattered(np.random.default_rng(0), m=100, k=3000)).children == []


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_a_record_is_in_the_deepest_block_of_its_targets(block, n_threads, monkeypatch):
    monkeypatch.setattr(dissection, "CACHED", block)
    monkeypatch.setattr("l0.common.threads.LEAST", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    matrix = nested(np.random.default_rng(0))
    records = matrix.T.tocsr()
    of_row = np.arange(matrix.shape[0])[::-1].copy()
    holder = deepest(records, of_row, len(of_row) - 1)
    for record in range(0, 2000, 25):
        rows = records.indices[records.indptr[record] : records.indptr[record + 1]]
        assert holder[record] == of_row[rows].min(initial=len(of_row) - 1)

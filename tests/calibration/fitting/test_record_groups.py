import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.fitting import record_groups
from l0.calibration.fitting.dissection import Block
from l0.calibration.fitting.fronts import fronts_of
from l0.calibration.fitting.nested_normal import NestedNormalMatrix
from l0.calibration.fitting.record_groups import groups_of
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.matrices import nested, scattered


@pytest.mark.parametrize("make", [nested, scattered])
@given(seed=st.integers(0, 2**32 - 1), fewest=st.integers(1, 50))
@settings(max_examples=10, deadline=None)
def test_each_record_is_in_one_group(make, seed, fewest):
    matrix = make(np.random.default_rng(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_groups, "FEWEST", fewest)
        patch.setattr(record_groups, "ADDING", 0.0)
        groups = groups_of(matrix.T.tocsr())
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(matrix.shape[1]))
    for group in groups:
        assert (np.diff(group) > 0).all()


def test_records_of_different_areas_are_told_apart():
    rng = np.random.default_rng(0)
    areas = [rng.random((1_000, 40)) < 0.5 for _ in range(4)]
    records = sp.csr_array(sp.block_diag([area | (np.arange(40) == 0) for area in areas]))
    order = rng.permutation(records.shape[0])
    groups = groups_of(records[order])
    assert len(groups) == 4
    for group in groups:
        assert len(np.unique(order[group] // 1_000)) == 1


def test_records_that_meet_all_targets_stay_together():
    rng = np.random.default_rng(0)
    records = sp.csr_array(rng.random((2_000, 30)) < 0.5)
    assert len(groups_of(records)) == 1


def test_records_without_entries_are_a_group_too():
    assert [len(group) for group in groups_of(sp.csr_array((2_000, 30)))] == [2_000]


@pytest.mark.parametrize("few", [0, 10_000_000])
def test_the_normal_matrix_of_groups_is_that_of_all_records(few, monkeypatch):
    monkeypatch.setattr("l0.calibration.fitting.scaled_matrix.FEW", few)
    rng = np.random.default_rng(1)
    matrix = nested(rng)
    m, k = matrix.shape
    d, e, right = rng.lognormal(0, 1, k), rng.lognormal(0, 1, m), rng.normal(size=m)
    of = ScaledMatrix.scaled(matrix, rng.lognormal(0, 1, m), rng.lognormal(0, 1, k))
    whole = NestedNormalMatrix(of, fronts_of(of.transpose, Block(np.arange(m)))).factor(d, e)(right)
    monkeypatch.setattr(record_groups, "FEWEST", 20)
    monkeypatch.setattr(record_groups, "ADDING", 0.0)
    assert len(groups_of(of.transpose)) > 10
    parts = NestedNormalMatrix(of, fronts_of(of.transpose, Block(np.arange(m)))).factor(d, e)(right)
    np.testing.assert_allclose(parts, whole, rtol=1e-3, atol=1e-4 * np.abs(whole).max())


@pytest.mark.parametrize("m", [1, 2, 5])
def test_records_without_entries_add_nothing_to_the_normal_matrix(m):
    rng = np.random.default_rng(m)
    entries = rng.random((m, 1_500)) * (np.arange(1_500) < 600)
    matrix = ScaledMatrix.of(sp.csr_array(entries))
    assert len(groups_of(matrix.transpose)) == 2
    d, e, right = rng.lognormal(0, 1, 1_500), rng.lognormal(0, 1, m), rng.normal(size=m)
    solution = NestedNormalMatrix(matrix, fronts_of(matrix.transpose, Block(np.arange(m)))).factor(
        d, e
    )(right)
    expected = np.linalg.solve((entries * d) @ entries.T + np.diag(e), right)
    np.testing.assert_allclose(solution, expected, rtol=1e-3)

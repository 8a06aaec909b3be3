import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.fitting import kinds
from l0.calibration.fitting.kinds import kinds_of
from tests.calibration.fitting.matrices import copied, nested


def found(matrix, n_blocks=1):
    matrix = sp.csr_array(matrix)
    return kinds_of(matrix, matrix.T.tocsr(), np.arange(matrix.shape[0]), n_blocks)


def purity(kind, truth):
    """Compute the share of records that are of the most frequent true kind of theirs."""
    return sum(np.bincount(truth[kind == each]).max() for each in np.unique(kind)) / len(kind)


@pytest.mark.parametrize("of_group", [0.0, 1e12])
def test_each_record_is_of_one_kind_and_kinds_are_numbered(of_group, monkeypatch):
    monkeypatch.setattr(kinds, "OF_GROUP", of_group)
    kind = found(nested(np.random.default_rng(0)))
    assert kind.shape == (2000,)
    np.testing.assert_array_equal(np.unique(kind), np.arange(kind.max() + 1))
    assert (kind.max() > 0) == (of_group == 0)


@pytest.mark.parametrize("seed", range(3))
def test_records_of_different_ages_are_told_apart_although_they_share_targets(seed):
    rng = np.random.default_rng(seed)
    matrix, age = copied(rng, k=40_000, ages=4, measures=60)
    kind = found(matrix)
    assert kind.max() + 1 >= 4
    assert purity(kind, age) > 0.99


def test_what_depends_on_the_blocks_decides_whether_kinds_pay():
    matrix, _ = copied(np.random.default_rng(0), k=10_000, ages=4, measures=60)
    assert found(matrix, n_blocks=1).max() > 0
    assert found(matrix, n_blocks=10_000).max() == 0


def test_records_that_meet_all_targets_are_of_one_kind():
    assert found(np.random.default_rng(0).random((30, 20_000)) + 0.5).max() == 0


@pytest.mark.parametrize("shape", [(0, 500), (3, 500), (3, 1)])
def test_matrices_without_entries_have_one_kind(shape):
    np.testing.assert_array_equal(found(np.zeros(shape)), np.zeros(shape[1]))


def test_a_sample_of_the_records_and_some_of_the_targets_suffice(monkeypatch):
    monkeypatch.setattr(kinds, "SAMPLE", 300)
    monkeypatch.setattr(kinds, "MOST_TARGETS", 200)
    matrix, age = copied(np.random.default_rng(1), k=40_000, ages=3, measures=60)
    assert purity(found(matrix), age) > 0.95


def test_sums_of_codes_are_exact():
    assert kinds.SAMPLE * kinds.LARGEST_CODE**2 <= 2**53

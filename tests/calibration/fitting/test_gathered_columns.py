import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.fitting.different_columns import different_columns
from l0.calibration.fitting.gathered_columns import gathered
from l0.common.ranks import ONE, even_parts
from tests.calibration.fitting.test_different_columns import a_matrix
from tests.thread_ranks import on_ranks


def blocks_of(n_blocks, dtype):
    """Find the columns of blocks of a matrix, one of which has records without entries only."""
    rng = np.random.default_rng(0)
    matrix = a_matrix(rng, 10, 60, dtype)
    matrix[:, 20:25] = 0
    records = sp.csr_array(matrix.T)
    kind = rng.integers(0, 3, 60)
    stretches = [np.arange(start, start + 5) for start in range(0, 5 * n_blocks, 5)]
    return [different_columns(records, those, kind) for those in stretches]


@pytest.mark.parametrize("n_blocks", [1, 2, 5, 12])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_ranks_have_the_columns_of_all_blocks(n_blocks, size, dtype):
    blocks = blocks_of(n_blocks, dtype)
    parts = even_parts(np.ones(n_blocks, dtype=np.int64), size)
    for found in on_ranks(size, lambda ranks: gathered(blocks[parts[ranks.rank]], dtype, ranks)):
        assert len(found) == n_blocks
        for those, expected in zip(found, blocks, strict=True):
            assert those.kinds == expected.kinds
            assert those.values.shape == expected.values.shape
            for name in ("data", "indices", "indptr"):
                each, other = (getattr(columns.values, name) for columns in (those, expected))
                assert each.dtype == other.dtype
                np.testing.assert_array_equal(each, other)
            for name in ("records", "targets", "copies"):
                each, other = (getattr(columns, name) for columns in (those, expected))
                assert each.dtype == other.dtype
                np.testing.assert_array_equal(each, other)


def test_a_single_process_has_them_already():
    blocks = blocks_of(2, np.float64)
    assert gathered(blocks, np.float64, ONE) is blocks

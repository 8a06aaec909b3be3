import numpy as np
import pytest

from l0.calibration.fitting import front_columns
from l0.calibration.fitting.dissection import Block
from l0.calibration.fitting.front_columns import FrontColumns
from l0.calibration.fitting.nesting import Nesting
from tests.calibration.fitting.matrices import copied


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [1, 1_000, 4_000_000])
@pytest.mark.parametrize("from_inside", [True, False])
def test_a_product_from_inside_and_from_outside_is_that_of_the_entries(
    from_inside, block, dtype, monkeypatch
):
    monkeypatch.setattr(front_columns, "BLOCK", block)
    monkeypatch.setattr(front_columns, "OF_GROUP", 0.0 if from_inside else 1e12)
    monkeypatch.setattr(front_columns, "SPREADING", 0.0)
    monkeypatch.setattr("l0.calibration.fitting.kinds.OF_GROUP", 0.0)
    rng = np.random.default_rng(0)
    matrix, _ = copied(rng, k=500, ages=3, measures=6)
    matrix = matrix.astype(dtype)
    m, k = matrix.shape
    factors, roots = rng.lognormal(0, 3, m), rng.lognormal(0, 1, k).astype(np.float32)
    [front] = Nesting.of(Block(np.arange(m)), matrix, matrix.T.tocsr()).fronts
    columns = FrontColumns.of(front, factors)
    assert len(columns.kinds) == (len(front.columns.kinds) if from_inside else 0)
    B = (factors[:, None] * matrix.toarray() * roots)[front.rows]
    expected, found = B @ B.T, columns.product(roots)
    size = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    lower = np.tri(m, dtype=bool)
    assert (np.abs(found - expected) <= 1e-5 * size)[lower].all()
    assert found.flags.f_contiguous

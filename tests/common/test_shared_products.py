import numpy as np
import pytest
import scipy.sparse as sp

from l0.common.ranks import ONE
from l0.common.shared_products import Products
from tests.thread_ranks import on_ranks


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("shape", [(40, 300), (5, 4), (2, 50), (6, 1)])
def test_any_number_of_ranks_gives_the_same_bits(shape, size):
    rng = np.random.default_rng(0)
    matrix = sp.csr_array(rng.normal(size=shape) * (rng.random(shape) < 0.3))
    q, multipliers = rng.normal(size=shape[1]), rng.normal(size=shape[0])
    alone = Products(matrix, ONE)
    np.testing.assert_allclose(alone.times(q), matrix.toarray() @ q)
    np.testing.assert_allclose(alone.back(multipliers), matrix.toarray().T @ multipliers)

    def products(ranks):
        shared = Products(matrix, ranks)
        return shared.times(q), shared.back(multipliers)

    for times, back in on_ranks(size, products):
        assert times.tobytes() == alone.times(q).tobytes()
        assert back.tobytes() == alone.back(multipliers).tobytes()

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.fitting import dissection, scaled_matrix, shared_products
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.calibration.fitting.shared_products import products_of
from l0.common.ranks import ONE
from tests.calibration.fitting.matrices import nested
from tests.calibration.fitting.test_nesting import nest
from tests.thread_ranks import on_ranks


def assert_the_same_on_ranks(matrix, q, multipliers, size):
    """Assert that ranks compute the bits of one process, and give the products of that."""
    alone = products_of(matrix, ONE)

    def products(ranks):
        shared = products_of(matrix, ranks)
        return shared.times(q), shared.back(multipliers)

    for times, back in on_ranks(size, products):
        assert times.tobytes() == alone.times(q).tobytes()
        assert back.tobytes() == alone.back(multipliers).tobytes()
    return alone


@pytest.mark.parametrize("few", [0, 10_000_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("shape", [(40, 300), (5, 4), (2, 50), (6, 1)])
def test_any_number_of_ranks_gives_the_same_bits(shape, size, dtype, few, monkeypatch):
    monkeypatch.setattr(scaled_matrix, "FEW", few)
    rng = np.random.default_rng(0)
    entries = sp.csr_array((rng.normal(size=shape) * (rng.random(shape) < 0.3)).astype(dtype))
    r, c = rng.lognormal(size=shape[0]), rng.lognormal(size=shape[1])
    matrix = ScaledMatrix.scaled(entries, r, c)
    q, multipliers = rng.normal(size=shape[1]), rng.normal(size=shape[0])
    alone = assert_the_same_on_ranks(matrix, q, multipliers, size)
    B = r[:, None] * entries.toarray() * c
    np.testing.assert_allclose(alone.times(q), B @ q, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(alone.back(multipliers), B.T @ multipliers, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_threads", [2, 3, 7])
@pytest.mark.parametrize("shape", [(40, 300), (5, 4), (2, 50), (6, 1)])
def test_any_number_of_threads_gives_the_same_bits(shape, n_threads, monkeypatch):
    monkeypatch.setattr(scaled_matrix, "FEW", 0)
    rng = np.random.default_rng(0)
    entries = sp.csr_array((rng.normal(size=shape) * (rng.random(shape) < 0.3)).astype(np.float32))
    matrix = ScaledMatrix.scaled(
        entries, rng.lognormal(size=shape[0]), rng.lognormal(size=shape[1])
    )
    q, multipliers = rng.normal(size=shape[1]), rng.normal(size=shape[0])
    found = []
    for number in (1, n_threads):
        monkeypatch.setattr("torch.get_num_threads", lambda n=number: n)
        products = products_of(matrix, ONE)
        found.append((products.times(q), products.back(multipliers)))
    for alone, shared in zip(*found, strict=True):
        assert alone.tobytes() == shared.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_products_of_different_columns_are_those_of_the_entries(size, dtype, monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    monkeypatch.setattr(shared_products, "CACHED", 2_000)
    rng = np.random.default_rng(0)
    matrix = nested(rng).multiply(rng.random(2000) < 0.9).tocsr().astype(dtype)
    (m, k), factors = matrix.shape, [rng.lognormal(0, 1, size) for size in matrix.shape]
    nesting = nest(matrix)
    of = ScaledMatrix.scaled(matrix, *factors, nesting)
    q, multipliers, B = rng.normal(size=k), rng.normal(size=m), of.csr.toarray()
    alone = assert_the_same_on_ranks(of, q, multipliers, size)
    np.testing.assert_allclose(alone.times(q), B @ q, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(alone.back(multipliers), B.T @ multipliers, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr("l0.common.threads.LEAST", 1)
    monkeypatch.setattr("torch.get_num_threads", lambda: size)
    threaded = products_of(of, ONE)
    assert threaded.times(q).tobytes() == alone.times(q).tobytes()
    assert threaded.back(multipliers).tobytes() == alone.back(multipliers).tobytes()


def test_threads_go_on_after_the_main_thread_has_ended():
    code = """
import threading
import numpy as np
import scipy.sparse as sp
import torch
from l0.calibration.fitting import scaled_matrix
from l0.calibration.fitting.shared_products import products_of
from l0.common.ranks import ONE

scaled_matrix.FEW = 0
torch.set_num_threads(2)
matrix = scaled_matrix.ScaledMatrix.scaled(sp.csr_array(np.eye(4)), np.ones(4), np.ones(4))
products = products_of(matrix, ONE)

def multiply():
    threading.main_thread().join()
    print(products.times(np.arange(4.0)))

threading.Thread(target=multiply).start()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["[0.", "1.", "2.", "3.]"]

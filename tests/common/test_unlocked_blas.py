import threading
import time

import numpy as np
import pytest

from l0.common.unlocked_blas import spotrf, ssyrk, strsm


def part(rng, rows, columns):
    """A part of a larger array in Fortran's order, and the larger one."""
    whole = rng.normal(size=(rows + 3, columns + 2)).astype(np.float32, order="F")
    return whole[2 : 2 + rows, 1 : 1 + columns], whole


SIZES = [(1, 1), (5, 1), (1, 4), (6, 9), (40, 3), (4, 0)]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("n", "k"), SIZES)
def test_ssyrk_adds_to_the_lower_triangle_and_nowhere_else(n, k, transposed):
    rng = np.random.default_rng(0)
    a, (c, whole) = part(rng, n, k)[0], part(rng, n, n)
    before, added = whole.copy(), np.tril(-2.0 * a @ a.T)
    expected = before.copy()
    expected[2 : 2 + n, 1 : 1 + n] += added
    ssyrk(-2.0, np.asfortranarray(a.T) if transposed else a, c, transposed)
    np.testing.assert_allclose(whole, expected, rtol=1e-5, atol=1e-5)
    upper = ~np.tri(n, dtype=bool)
    assert (c[upper] == before[2 : 2 + n, 1 : 1 + n][upper]).all()


@pytest.mark.parametrize("n", [1, 2, 30])
def test_spotrf_factors(n):
    rng = np.random.default_rng(1)
    b = rng.normal(size=(n, 2 * n))
    a, _ = part(rng, n, n)
    a[:] = b @ b.T
    product = a.copy()
    assert spotrf(a) == 0
    np.testing.assert_allclose(np.tril(a) @ np.tril(a).T, product, rtol=1e-4, atol=1e-3)


def test_spotrf_names_the_column_at_which_an_array_is_not_positive():
    a = np.asfortranarray(np.diag([1, 1, -1, 1]), dtype=np.float32)
    assert spotrf(a) == 3


@pytest.mark.parametrize("from_the_right", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("n", "p"), SIZES)
def test_strsm_solves(n, p, transposed, from_the_right):
    rng = np.random.default_rng(2)
    triangle, _ = part(rng, n, n)
    triangle += 10 * np.eye(n, dtype=np.float32)
    lower = np.tril(triangle).T if transposed else np.tril(triangle)
    b, _ = part(rng, p, n) if from_the_right else part(rng, n, p)
    right = b.copy()
    strsm(triangle, b, transposed=transposed, from_the_right=from_the_right)
    back = b @ lower if from_the_right else lower @ b
    np.testing.assert_allclose(back, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "array",
    [
        np.eye(3),
        np.zeros((3, 3), np.float32)[::2],
        np.ones((2, 3), np.float32, order="C"),
        np.ones((3, 3), np.float32, order="F")[:, ::-1],
        np.broadcast_to(np.ones((3, 1), np.float32), (3, 3)),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(ValueError, match="float32 in Fortran's order"):
        spotrf(array)


def test_arrays_without_columns_are_in_any_order():
    c = np.ones((3, 3), dtype=np.float32, order="F")
    ssyrk(1.0, np.ones((3, 0), dtype=np.float32), c)
    assert (c == 1).all()


def test_other_threads_run_meanwhile():
    a = np.ones((1500, 3000), dtype=np.float32, order="F")
    c = np.zeros((1500, 1500), dtype=np.float32, order="F")
    worker = threading.Thread(target=ssyrk, args=(1.0, a, c))
    worker.start()
    turns = 0
    while worker.is_alive():
        time.sleep(0)
        turns += 1
    assert turns > 10

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.linear_map import BLOCK_ROWS, LinearMap

entries = st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.5, 1e-3, 4e5])
factors = st.floats(0.01, 100)


@st.composite
def maps(draw):
    """Draw a matrix, empty rows and columns and all; give it scaled, dense and as a map."""
    m, n = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    A = draw(hnp.arrays(float, (m, n), elements=entries))
    rows = draw(hnp.arrays(float, m, elements=factors))
    columns = draw(hnp.arrays(float, n, elements=factors))
    linear_map = LinearMap.from_scipy(sp.csr_array(A), rows, columns)
    return rows[:, None] * A * columns, linear_map


@given(both=maps(), seed=st.integers(0, 99))
@settings(deadline=None)
def test_value_and_gradient_are_those_of_the_dense_matrix(both, seed):
    dense, linear_map = both
    m, n = dense.shape
    assert linear_map.shape == (m, n)
    rng = np.random.default_rng(seed)
    u, g = rng.uniform(0, 3, n), rng.normal(size=m)
    ratios = torch.tensor(u, dtype=torch.float32, requires_grad=True)
    value = linear_map(ratios)
    value.backward(torch.tensor(g, dtype=torch.float32))
    # Rounding is relative to the sum of sizes, not to what is left of it.
    np.testing.assert_array_less(
        np.abs(value.detach().numpy() - dense @ u), 1e-6 * (np.abs(dense) @ u) + 1e-30
    )
    np.testing.assert_array_less(
        np.abs(ratios.grad.numpy() - g @ dense), 1e-6 * (np.abs(g) @ np.abs(dense)) + 1e-30
    )


@given(both=maps(), data=st.data())
@settings(deadline=None)
def test_a_subset_is_a_slice(both, data):
    dense, linear_map = both
    n = dense.shape[1]
    kept = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))))
    part = linear_map.subset(kept)
    assert part.shape == (len(dense), len(kept))
    for column, record in enumerate(kept):
        unit = torch.zeros(len(kept))
        unit[column] = 1
        np.testing.assert_array_equal(part(unit), dense[:, record].astype(np.float32))
    np.testing.assert_array_equal(part.largest_entries(), linear_map.largest_entries()[kept])
    ratios = torch.ones(len(kept), requires_grad=True)
    part(ratios).sum().backward()
    everyone = torch.ones(n, requires_grad=True)
    linear_map(everyone).sum().backward()
    torch.testing.assert_close(ratios.grad, everyone.grad[kept])


@given(both=maps())
@settings(deadline=None)
def test_largest_entries_are_of_the_columns(both):
    dense, linear_map = both
    np.testing.assert_allclose(linear_map.largest_entries(), np.abs(dense).max(axis=0), rtol=1e-6)


@pytest.mark.parametrize("m", [BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS + 5])
def test_rows_are_scaled_across_blocks(m):
    A = sp.random_array((m, 40), density=0.05, rng=np.random.default_rng(m), format="csr")
    rows, columns = np.linspace(1, 2, m), np.linspace(3, 4, 40)
    scaled = LinearMap.from_scipy(A, rows, columns)(torch.ones(40))
    np.testing.assert_allclose(scaled, (rows[:, None] * A.toarray()) @ columns, rtol=1e-5)


def test_the_matrix_that_came_in_is_left_alone():
    A = sp.csr_array(np.array([[1.0, 2.0], [0.0, 3.0]]))
    LinearMap.from_scipy(A, np.array([5.0, 5.0]), np.array([7.0, 7.0]))
    np.testing.assert_array_equal(A.toarray(), [[1, 2], [0, 3]])

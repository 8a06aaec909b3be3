import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.gates.inclusion import inclusion
from l0.gates.linear import linear_choice


def first_columns(k):
    return lambda x, outcome: np.arange(k)


def data(seed=0, n=200, p=12):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    return x, (3 * x[:, 2] - 2 * x[:, 7])[:, None] + 0.3 * generator.normal(size=(n, 1))


def shares(x, y, k, n_splits=25):
    return inclusion(lambda rows, outcome: linear_choice(rows, outcome, k), x, y, n_splits)


@given(n=st.integers(4, 30), p=st.integers(1, 6), n_splits=st.integers(1, 5))
def test_halves_are_disjoint_and_their_columns_in_any_order(n, p, n_splits):
    x = np.arange(n * p, dtype=float).reshape(n, p)
    seen = []

    def choose(rows, outcome):
        np.testing.assert_array_equal(rows.min(axis=1), outcome[:, 0])
        seen.append(set(outcome[:, 0]))
        return np.array([rows[0].argmin()])

    found = inclusion(choose, x, x[:, :1], n_splits)
    # What was chosen is always the column that came first before they were shuffled.
    assert found.tolist() == [1.0] + [0.0] * (p - 1)
    assert len(seen) == 2 * n_splits
    for one, other in zip(seen[::2], seen[1::2], strict=True):
        assert len(one) == len(other) == n // 2
        assert not one & other


@given(k=st.integers(1, 5))
def test_shares_sum_to_the_number_chosen(k):
    x, y = data()
    assert inclusion(first_columns(k), x, y, 7).sum() == pytest.approx(k)
    assert shares(x, y, k, 3).sum() == pytest.approx(k)


def test_what_matters_is_chosen_in_each_half_and_noise_seldom():
    x, y = data()
    found = shares(x, y, 2)
    assert found[[2, 7]].tolist() == [1, 1]
    assert not np.delete(found, [2, 7]).any()
    spare = np.delete(shares(x, y, 3), [2, 7])
    assert spare.sum() == pytest.approx(1)
    assert spare.max() < 0.5


def test_columns_that_are_alike_divide_their_share():
    x, y = data()
    found = shares(np.column_stack([x, x[:, 2]]), y, 2)
    assert found[2] + found[12] == pytest.approx(1)
    assert abs(found[2] - found[12]) < 0.5
    assert found[7] == 1


def test_the_same_data_give_the_same_shares():
    x, y = data(n=30)
    first = shares(x, y, 4)
    np.testing.assert_array_equal(shares(x, y, 4), first)


def test_a_half_without_a_difference_chooses_nothing():
    x, _ = data(n=8)
    y = np.zeros((8, 1))
    y[0] = 1
    assert shares(x, y, 1).sum() == pytest.approx(1 / 2)


def test_constant_columns_are_never_chosen():
    x, y = data()
    x[:, 4] = 7
    x[:100, 5] = 0
    x[100:, 5] = 1e-30
    assert not shares(x, y, 12)[4]

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.linear_model.subset import best_subset


def problem(seed, n=60, p=8, q=1, noise=1.0, overlap=0.5):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p)) + overlap * generator.normal(size=(n, 1))
    y = x @ generator.normal(size=(p, q)) + noise * generator.normal(size=(n, q))
    return x, y


def subset(x, y, k):
    return best_subset(x.T @ x, x.T @ y, k)


def residual(x, y, columns):
    return np.sum((y - x[:, columns] @ np.linalg.lstsq(x[:, columns], y, rcond=None)[0]) ** 2)


@given(seed=st.integers(0, 9999), k=st.integers(1, 8), q=st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_a_planted_support_is_found_without_noise(seed, k, q):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(80, 30)) + generator.normal(size=(80, 1))
    support = generator.permutation(30)[:k]
    y = x[:, support] @ generator.choice([-2.0, -1, 1, 3], (k, q))
    found = subset(x, y, k).order[:k]
    assert residual(x, y, found) < 1e-6 * np.sum(y**2)
    assert set(found) == set(support)


@given(seed=st.integers(0, 9999), k=st.integers(1, 7), q=st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_no_swap_lowers_the_residual(seed, k, q):
    x, y = problem(seed, q=q)
    chosen = subset(x, y, k).order[:k].tolist()
    own = residual(x, y, chosen)
    for out in chosen:
        for new in set(range(8)) - set(chosen):
            other = [column for column in chosen if column != out] + [new]
            assert residual(x, y, other) >= own * (1 - 1e-7)


def test_most_tiny_problems_are_solved_exactly():
    exact = 0
    for seed in range(100):
        x, y = problem(seed, overlap=1.0)
        best = min(residual(x, y, list(columns)) for columns in combinations(range(8), 3))
        exact += residual(x, y, subset(x, y, 3).order[:3]) <= best * (1 + 1e-9)
    assert exact >= 90


@given(seed=st.integers(0, 9999), k=st.integers(1, 7), q=st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_worth_is_what_leaving_out_loses_and_adding_gains(seed, k, q):
    x, y = problem(seed, q=q)
    found = subset(x, y, k)
    chosen = found.order[:k].tolist()
    own = residual(x, y, chosen)
    for column in range(8):
        other = [*chosen, column] if column not in chosen else [j for j in chosen if j != column]
        assert found.worth[column] == pytest.approx(abs(own - residual(x, y, other)), rel=1e-6)
    for part in (found.order[:k], found.order[k:]):
        assert (np.diff(found.worth[part]) <= 0).all()


@given(seed=st.integers(0, 9999), k=st.integers(1, 7), size=st.floats(1e-6, 1e6))
@settings(deadline=None, max_examples=30)
def test_scale_and_order_of_columns_do_not_matter(seed, k, size):
    x, y = problem(seed)
    generator = np.random.default_rng(seed)
    order = generator.permutation(8)
    factors = size ** generator.uniform(-1, 1, 8) * generator.choice([-1, 1], 8)
    plain = subset(x, y, k).order[:k]
    other = subset(x[:, order] * factors[order], y, k).order[:k]
    assert set(order[other]) == set(plain)


def test_every_column_comes_once():
    x, y = problem(0)
    for k in range(1, 9):
        assert sorted(subset(x, y, k).order.tolist()) == list(range(8))


def test_a_duplicate_waits_until_nothing_else_is_left():
    x, y = problem(1, p=5, noise=0.1)
    doubled = np.hstack([x, x])
    found = subset(doubled, y, 5).order[:5]
    assert sorted(found % 5) == [0, 1, 2, 3, 4]
    assert np.isfinite(subset(doubled, y, 7).worth).all()


def test_columns_of_zeros_come_last():
    x, y = problem(2, p=4)
    x = np.hstack([np.zeros((60, 2)), x, x[:, :1]])
    order = subset(x, y, 3).order
    assert set(order[-2:]) == {0, 1}
    assert set(order[:3]) <= {2, 3, 4, 5, 6}
    assert subset(x, y, 6).order[-1] in (0, 1)


def test_nothing_to_choose_from_is_filled_up_in_order():
    assert best_subset(np.zeros((3, 3)), np.zeros((3, 1)), 2).order.tolist() == [0, 1, 2]


def test_columns_that_stand_for_all_columns():
    generator = np.random.default_rng(3)
    factors = generator.normal(size=(500, 3))
    # Columns 0 to 2 are the factors; all others are mixtures of them with noise.
    x = np.hstack([factors, factors @ generator.normal(size=(3, 9))])
    x[:, 3:] += 0.5 * generator.normal(size=(500, 9))
    gram = x.T @ x
    chosen = best_subset(gram, gram, 3).order[:3]
    rank = sorted(residual(x, x, list(columns)) for columns in combinations(range(12), 3))
    assert residual(x, x, chosen) <= rank[2]

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.gates.linear import linear_choice, linear_order


def problem(seed, n=60, p=8, q=1, noise=1.0, overlap=0.5):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p)) + overlap * generator.normal(size=(n, 1))
    y = x @ generator.normal(size=(p, q)) + noise * generator.normal(size=(n, q))
    return x - x.mean(0), y - y.mean(0)


def residual(x, y, columns):
    return np.sum((y - x[:, columns] @ np.linalg.lstsq(x[:, columns], y, rcond=None)[0]) ** 2)


@pytest.mark.parametrize("choose", [linear_choice, linear_order])
@given(seed=st.integers(0, 9999), k=st.integers(1, 8), q=st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_a_planted_support_is_found_without_noise(choose, seed, k, q):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(80, 30)) + generator.normal(size=(80, 1))
    support = generator.permutation(30)[:k]
    y = x[:, support] @ generator.choice([-2.0, -1, 1, 3], (k, q))
    assert set(choose(x, y, k)[:k]) == set(support)


@given(seed=st.integers(0, 9999), k=st.integers(1, 7), q=st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_no_swap_lowers_the_residual(seed, k, q):
    x, y = problem(seed, q=q)
    for chosen in (linear_choice(x, y, k).tolist(), linear_order(x, y, k)[:k].tolist()):
        own = residual(x, y, chosen)
        for out in chosen:
            for new in set(range(8)) - set(chosen):
                other = [column for column in chosen if column != out] + [new]
                assert residual(x, y, other) >= own * (1 - 1e-7)


def test_tiny_problems_are_solved_exactly():
    exact = {linear_choice: 0, linear_order: 0}
    for seed in range(100):
        x, y = problem(seed, overlap=1.0)
        best = min(residual(x, y, list(columns)) for columns in combinations(range(8), 3))
        for choose in exact:
            exact[choose] += residual(x, y, choose(x, y, 3)[:3]) <= best * (1 + 1e-9)
    assert exact[linear_choice] >= 90
    assert exact[linear_order] >= 99


@given(seed=st.integers(0, 9999), k=st.integers(1, 7), q=st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_order_is_by_what_leaving_out_loses_and_adding_gains(seed, k, q):
    x, y = problem(seed, q=q)
    order = linear_order(x, y, k).tolist()
    chosen, rest = order[:k], order[k:]
    left = [residual(x, y, [j for j in chosen if j != column]) for column in chosen]
    assert (np.diff(left) <= 1e-9 * left[0]).all()
    added = [residual(x, y, [*chosen, column]) for column in rest]
    assert (np.diff(added) >= -1e-9 * left[0]).all()


@given(seed=st.integers(0, 9999), k=st.integers(1, 7), size=st.floats(1e-6, 1e6))
@settings(deadline=None, max_examples=30)
def test_scale_shift_and_order_of_columns_do_not_matter(seed, k, size):
    x, y = problem(seed)
    generator = np.random.default_rng(seed)
    order = generator.permutation(8)
    factors = size ** generator.uniform(-1, 1, 8) * generator.choice([-1, 1], 8)
    other = linear_order((x[:, order] + 1) * factors[order], y - 5, k)[:k]
    assert set(order[other]) == set(linear_order(x, y, k)[:k])


def test_every_column_comes_once():
    x, y = problem(0)
    for k in range(1, 9):
        assert sorted(linear_order(x, y, k).tolist()) == list(range(8))


def test_a_duplicate_waits_until_nothing_else_is_left():
    x, y = problem(1, p=5, noise=0.1)
    doubled = np.hstack([x, x])
    assert sorted(linear_order(doubled, y, 5)[:5] % 5) == [0, 1, 2, 3, 4]
    assert sorted(linear_order(doubled, y, 7).tolist()) == list(range(10))
    assert len(linear_choice(doubled, y, 7)) == 5


def test_columns_of_zeros_come_last():
    x, y = problem(2, p=4)
    x = np.hstack([np.zeros((60, 2)), x, x[:, :1]])
    order = linear_order(x, y, 3)
    assert set(order[-2:]) == {0, 1}
    assert set(order[:3]) <= {2, 3, 4, 5, 6}
    assert linear_order(x, y, 6)[-1] in (0, 1)


def test_nothing_to_choose_from_is_filled_up_in_order():
    assert linear_order(np.zeros((9, 3)), np.arange(9.0)[:, None], 2).tolist() == [0, 1, 2]


def test_columns_that_stand_for_all_columns():
    generator = np.random.default_rng(3)
    factors = generator.normal(size=(500, 3))
    # Columns 0 to 2 are the factors; all others are mixtures of them with noise.
    x = np.hstack([factors, factors @ generator.normal(size=(3, 9))])
    x[:, 3:] += 0.5 * generator.normal(size=(500, 9))
    x -= x.mean(0)
    rank = sorted(residual(x, x, list(columns)) for columns in combinations(range(12), 3))
    assert residual(x, x, linear_order(x, x, 3)[:3]) <= rank[2]


@given(seed=st.integers(0, 9999), k=st.integers(1, 5))
@settings(deadline=None, max_examples=20)
def test_more_outcomes_than_rows_count_like_any(seed, k):
    x, y = problem(seed, n=12, q=40)
    chosen = linear_choice(x, y, k)
    own = residual(x, y, chosen)
    for out in range(k):
        for new in set(range(8)) - set(chosen):
            other = np.append(np.delete(chosen, out), new)
            assert residual(x, y, other) >= own * (1 - 1e-7)

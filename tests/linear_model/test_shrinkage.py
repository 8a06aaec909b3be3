import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.linear_model import L0Regressor
from l0.linear_model.shrinkage import log_subsets, ridge
from tests.linear_model.problems import planted


@given(p=st.integers(0, 40), k=st.integers(0, 40))
def test_subsets_are_counted(p, k):
    if k <= p:
        assert math.exp(log_subsets(p, k)) == pytest.approx(math.comb(p, k))


@given(u=st.floats(0, 1), choices=st.floats(0, 500), n=st.floats(3, 1e6), more=st.floats(1.01, 10))
def test_more_noise_and_more_choice_shrink_more_and_more_rows_less(u, choices, n, more):
    here = ridge(u, choices, n)
    assert 0 <= here <= ridge(min(1.0, u * more), choices, n)
    assert here <= ridge(u, choices * more, n)
    assert ridge(u, choices, n * more) <= here


def test_nothing_to_choose_and_nothing_left_mean_plain_least_squares():
    x, y, _ = planted(0, noise=1.0)
    assert L0Regressor(n_features=30).fit(x, y).l2_ == 0
    assert L0Regressor(n_features=2, must_keep=[3, 4]).fit(x, y).l2_ == 0
    x, y, support = planted(0)
    exact = L0Regressor(n_features=3).fit(x, y)
    assert exact.l2_ == 0
    np.testing.assert_allclose(exact.predict(x), y)
    assert L0Regressor(n_features=2, l2=0.3).fit(x, y).l2_ == 0.3


def test_noise_is_shrunk_away_and_predictions_gain():
    ahead = []
    for seed in range(10):
        generator = np.random.default_rng(seed)
        x = generator.normal(size=(100, 300))
        beta = np.repeat([1.0, 0.0], [10, 290])
        y = x @ beta + math.sqrt(10) * generator.normal(size=100)
        errors = [
            np.sum((L0Regressor(n_features=10, l2=l2).fit(x, y).coef_ - beta) ** 2)
            for l2 in (None, 0)
        ]
        ahead.append(errors[0] < errors[1])
    assert sum(ahead) >= 9


def test_the_ridge_does_not_depend_on_units():
    x, y, _ = planted(1, n=80, p=200, k=5, noise=2.0)
    one = L0Regressor(n_features=5).fit(x, y)
    other = L0Regressor(n_features=5).fit(x * 1000 - 7, 0.01 * y + 3)
    assert other.l2_ == pytest.approx(one.l2_, rel=1e-6)
    np.testing.assert_allclose(other.coef_, one.coef_ * 1e-5, rtol=1e-6)


@pytest.mark.parametrize("l2", [None, 0.0, 0.1, 10.0])
@pytest.mark.parametrize("groups", [False, True])
def test_a_ridge_lets_no_copy_in_beside_what_it_copies(l2, groups):
    x, y, _ = planted(2, n=100, p=8, k=2, noise=0.5)
    doubled = np.hstack([x, x, x[:, :1] - x[:, 1:2]])
    labels = np.arange(17) if groups else None
    model = L0Regressor(n_features=8, l2=l2, groups=labels).fit(doubled, y)
    assert np.linalg.matrix_rank(doubled[:, model.support_]) == 8
    with pytest.warns(UserWarning, match="only 8 of"):
        L0Regressor(n_features=9, l2=l2, groups=labels).fit(doubled, y)

import numpy as np
import pytest

from l0.linear_model import L0Classifier, L0Regressor
from tests.linear_model.problems import best, planted, residual


@pytest.mark.parametrize("l2", [0.0, None])
def test_the_best_subset_is_found_in_nearly_all_of_a_hundred_problems(l2):
    exact = 0
    for seed in range(100):
        p, k = 8 + seed % 7, 2 + seed % 3
        x, y, _ = planted(seed, n=30, p=p, k=k + 1, rho=0.8, noise=2.0)
        model = L0Regressor(n_features=k, l2=l2).fit(x, y)
        found = residual(x, y, model.support_, model.l2_)
        exact += found <= best(x, y, k, model.l2_) * (1 + 1e-9)
    assert exact >= 99


def test_choices_that_share_few_columns_are_tried():
    exact = 0
    for seed in range(20):
        x, y, _ = planted(1003 + 4 * seed, n=40, p=16, k=6, rho=0.95, noise=2.0)
        found = L0Regressor(n_features=4, l2=0).fit(x, y).support_
        exact += residual(x, y, found) <= best(x, y, 4) * (1 + 1e-9)
    assert exact >= 19


@pytest.mark.parametrize("l2", [0.0, None])
@pytest.mark.parametrize("p", [60, 900])
def test_no_swap_helps_screened_or_not(p, l2):
    x, y, _ = planted(0, n=80, p=p, k=6, rho=0.7, noise=1.0)
    model = L0Regressor(n_features=5, l2=l2).fit(x, y)
    assert model.swap_gap_ <= 1e-9
    own = residual(x, y, model.support_, model.l2_)
    gaps = []
    for out in model.support_:
        for new in range(p):
            if new not in model.support_:
                swapped = [*(j for j in model.support_ if j != out), new]
                gaps.append(own - residual(x, y, swapped, model.l2_))
    assert max(gaps) <= 1e-9 * own
    assert max(gaps) / np.sum((y - y.mean()) ** 2) == pytest.approx(model.swap_gap_, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_planted_support_is_found_whatever_the_scales(seed):
    x, y, support = planted(seed, n=60, p=500, k=5)
    scales = 10 ** np.random.default_rng(seed).uniform(-6, 6, 500)
    # Columns of other sizes and means make the same y.
    model = L0Regressor(n_features=5).fit(x * scales + scales, y)
    assert model.support_.tolist() == support.tolist()
    assert L0Regressor().fit(x * scales, y).support_.tolist() == support.tolist()


def test_longer_paths_explain_more():
    x, y, _ = planted(3, n=100, p=50, k=10, noise=2.0)
    model = L0Regressor(max_features=15).fit(x, y)
    assert [len(columns) for columns in model.path_] == list(range(16))
    left = [residual(x, y, columns) for columns in model.path_]
    assert (np.diff(left) < 0).all()


def test_correlated_columns_are_told_apart():
    hits = []
    for seed in range(5):
        x, _, _ = planted(seed, n=200, p=600, k=1, rho=0.9)
        support = np.arange(10) * 60
        generator = np.random.default_rng(seed)
        y = x[:, support].sum(1) + np.sqrt(10 / 5) * generator.normal(size=200)
        hits.append(len(set(support) & set(L0Regressor(n_features=10).fit(x, y).support_)))
    assert np.mean(hits) >= 9.7


@pytest.mark.parametrize("n_features", [3, 30])
def test_a_size_asked_for_is_the_only_one_on_the_path(n_features):
    x, y, _ = planted(4, noise=1.0)
    for model in (L0Regressor(n_features), L0Regressor(n_features, l2=0.1)):
        assert len(model.fit(x, y).path_) == 1
    assert len(L0Classifier(n_features).fit(x, y > 0).path_) == 1

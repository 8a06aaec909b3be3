import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Regressor, L0Selector
from tests.linear_model.problems import outcomes, planted, residual


def test_the_fit_is_least_squares_on_the_chosen_columns():
    x, y, _ = planted(0, noise=1.0)
    model = L0Regressor(n_features=3, l2=0).fit(x, y)
    plain = LinearRegression().fit(x[:, model.support_], y)
    np.testing.assert_allclose(model.coef_[model.support_], plain.coef_)
    np.testing.assert_allclose(model.predict(x), plain.predict(x[:, model.support_]))
    assert np.count_nonzero(model.coef_) == 3 == model.n_features_selected_
    through = L0Regressor(n_features=3, fit_intercept=False).fit(x, y)
    assert through.intercept_ == 0


@pytest.mark.parametrize("criterion", ["gicc", "gic", "bic", "ebic"])
def test_criteria_find_the_size(criterion):
    x, y, support = planted(1, n=300, p=40, k=4, noise=0.5)
    model = L0Regressor(criterion=criterion).fit(x, y)
    assert set(model.support_) >= set(support)
    assert len(model.support_) <= 4 + 3 * (criterion != "ebic")
    assert model.criterion_path_.argmin() == len(model.support_)
    assert model.coefs_path_.shape == (len(model.path_), 40)
    np.testing.assert_array_equal(model.coefs_path_[len(model.support_)], model.coef_)


def test_ridge_shrinks_and_a_lone_column_as_documented():
    x, y, _ = planted(3, k=1)
    plain, half = (L0Regressor(n_features=1, l2=l2).fit(x, y) for l2 in (0.0, 1.0))
    np.testing.assert_allclose(half.coef_, plain.coef_ / 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_matrix])
def test_sparse_and_single_precision_give_the_same(form, dtype):
    x, y, _ = planted(4, n=80, p=500, k=4, noise=0.5)
    x = np.where(np.abs(x) > 0.7, x, 0.0).astype(dtype)
    reference = L0Regressor(n_features=4).fit(x.astype(float), y)
    model = L0Regressor(n_features=4).fit(form(x), y)
    assert model.support_.tolist() == reference.support_.tolist()
    assert model.coef_.dtype == dtype
    assert model.predict(form(x)).dtype == dtype
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-4)


def test_groups_enter_together():
    x, y, _ = planted(6, n=100, p=12, k=1, noise=0.1)
    y = x[:, 4] + x[:, 5] - x[:, 9] + 0.1 * np.random.default_rng(0).normal(size=100)
    groups = [c for c in "aabbccddeeff"]
    model = L0Regressor(n_features=2, groups=groups).fit(x, y)
    assert model.support_.tolist() == [4, 5, 8, 9]
    assert model.swap_gap_ < 0
    single = L0Regressor(n_features=2, groups=range(12)).fit(x, y)
    assert single.support_.tolist() == L0Regressor(n_features=2).fit(x, y).support_.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_no_coefficient_is_negative_and_the_choice_is_best(seed):
    from itertools import combinations

    from scipy.optimize import nnls

    x, y, _ = planted(seed, n=40, p=9, k=4, rho=0.7, noise=1.0)
    model = L0Regressor(n_features=3, l2=0, nonnegative=True).fit(x, y)
    assert (model.coef_ >= 0).all()
    z, t = x - x.mean(0), y - y.mean()
    least = min(nnls(z[:, columns], t)[1] for columns in combinations(range(9), 3))
    assert np.linalg.norm(y - model.predict(x)) <= least * (1 + 1e-9)


def test_frames_pipelines_and_searches():
    x, y, support = planted(8, n=100, k=3, noise=0.3)
    names = [f"x{j}" for j in range(30)]
    for frame in (pd.DataFrame(x, columns=names), pl.DataFrame(x, schema=names)):
        model = L0Regressor(n_features=3).fit(frame, y)
        assert list(model.feature_names_in_) == names
        assert model.support_.tolist() == support.tolist()
    pipeline = make_pipeline(StandardScaler(), L0Selector(), LinearRegression())
    search = GridSearchCV(pipeline, {"l0selector__n_features": [1, 2, 3]}, cv=3).fit(x, y)
    assert search.best_params_ == {"l0selector__n_features": 3}


def test_edges_are_defined():
    x, y, _ = planted(9, noise=1.0)
    none = L0Regressor(n_features=0).fit(x, y)
    assert none.support_.size == 0 and none.intercept_ == pytest.approx(y.mean())
    every = L0Regressor(n_features=30).fit(x, y)
    np.testing.assert_allclose(every.predict(x), LinearRegression().fit(x, y).predict(x))
    flat = L0Regressor(n_features=2).fit(x, np.ones(60))
    np.testing.assert_allclose(flat.predict(x), 1.0)
    assert L0Regressor().fit(x, np.full(60, 0.1)).support_.size == 0
    through = L0Regressor(n_features=2, fit_intercept=False).fit(x, np.zeros(60))
    np.testing.assert_array_equal(through.predict(x), 0.0)
    one_sided = L0Classifier(n_features=0, fit_intercept=False).fit(x, y > 0)
    np.testing.assert_array_equal(one_sided.predict_proba(x), 0.5)
    doubled = np.hstack([x[:, :3], x[:, :3], np.ones((60, 1))])
    with pytest.warns(UserWarning, match="only 3 of `n_features` = 5"):
        model = L0Regressor(n_features=5).fit(doubled, y)
    assert sorted(model.support_ % 3) == [0, 1, 2]
    with pytest.warns(UserWarning, match="only 9 of"):
        few = L0Regressor(n_features=20, l2=0).fit(x[:10], y[:10])
    assert residual(x[:10], y[:10], few.support_) < 1e-9


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_outcomes_whose_squares_are_no_numbers_are_refused(scale):
    x, y, _ = planted(0)
    with pytest.raises(ValueError, match=r"`y` goes up to .* divide `y` by"):
        L0Regressor(n_features=2).fit(x, y * scale)


def test_outliers_do_not_hide_the_columns():
    found = {"squared": 0, "huber": 0}
    for seed in range(5):
        x, y, support = planted(seed, n=200, p=50, k=4, noise=0.5)
        y[np.random.default_rng(seed).permutation(200)[:10]] += 50
        for loss in found:
            model = L0Regressor(4, loss=loss).fit(x, y)
            found[loss] += len(set(model.support_) & set(support))
        assert abs(model.intercept_) < 0.3
        clean = L0Regressor(4, l2=0).fit(x[y < 25], y[y < 25])
        np.testing.assert_allclose(model.coef_, clean.coef_, atol=0.25)
    assert found["huber"] == 20 and found["squared"] < 15


def test_many_columns_leave_outliers_no_scale():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(30, 40))
    y = x[:, 0] + generator.normal(size=30)
    with pytest.warns(UserWarning, match="20 columns .* have no scale.* a smaller `n_features`"):
        L0Regressor(20, loss="huber").fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        L0Regressor(10, loss="huber").fit(x, y)
        exact = 2 * x[:, 0] + 50 * (np.arange(30) < 3)  # most rows have no error, as they should
        np.testing.assert_allclose(L0Regressor(1, loss="huber").fit(x, exact).coef_[0], 2)


def test_the_unit_of_y_does_not_matter():
    x, y, _ = outcomes(0, "outliers")
    one, other = (L0Regressor(3, loss="huber").fit(x, v) for v in (y, 1e6 * y - 3e7))
    np.testing.assert_allclose(other.coef_, 1e6 * one.coef_, rtol=1e-4)
    assert other.intercept_ == pytest.approx(1e6 * one.intercept_ - 3e7, rel=1e-6)
    x, y, _ = outcomes(0, "counts")
    one, other = (L0Regressor(3, loss="poisson").fit(x, v) for v in (y, 1e-3 * y))
    np.testing.assert_allclose(other.coef_, one.coef_, rtol=1e-4)
    two = np.column_stack([x[:, 0] + x[:, 1], x[:, 5] - x[:, 1]])
    two += np.random.default_rng(0).normal(size=two.shape)
    one, other = (L0Regressor(3).fit(x, two * units) for units in ([1, 1], [1, 1e6]))
    assert one.support_.tolist() == other.support_.tolist() == [0, 1, 5]
    np.testing.assert_allclose(other.predict(x), one.predict(x) * [1, 1e6])


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_counts_have_their_columns_found(form):
    for seed in range(3):
        x, y, loss_of = outcomes(seed, "counts", n=300, p=20)
        x = np.where(np.abs(x) > 0.3, x, 0)
        model = L0Regressor(3, loss="poisson").fit(form(x), y)
        _, score, support = planted(seed, n=300, p=20)
        assert model.support_.tolist() == support.tolist()
        assert (model.predict(form(x)) > 0).all() and 0 < model.score(form(x), y) < 1
    groups = L0Regressor(2, loss="poisson", groups=np.arange(20) // 2, must_keep=[0]).fit(x, y)
    assert {0, 1} <= set(groups.support_) and len(groups.support_) == 4


def test_several_outcomes_share_their_columns():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(150, 40))
    y = np.column_stack([x[:, 3] - x[:, 8], x[:, 3] + x[:, 20], x[:, 8] + x[:, 20]])
    y += 0.5 * generator.normal(size=y.shape)
    for arguments in ({"n_features": 3}, {"criterion": "ebic"}):
        model = L0Regressor(**arguments).fit(x, y)
        assert model.support_.tolist() == [3, 8, 20]
        assert model.coef_.shape == (3, 40) and model.intercept_.shape == (3,)
        assert model.predict(x).shape == y.shape and model.score(x, y) > 0.7
    plain = LinearRegression().fit(x[:, [3, 8, 20]], y)
    free = L0Regressor(3, l2=0).fit(x, y)
    np.testing.assert_allclose(free.predict(x), plain.predict(x[:, [3, 8, 20]]))
    assert set(L0Regressor(cv=4, max_features=6).fit(x, y).support_) >= {3, 8, 20}
    together = L0Regressor(3, groups=np.arange(40) // 2).fit(x, y)
    assert together.support_.tolist() == [2, 3, 8, 9, 20, 21]
    single = L0Regressor(3).fit(x, y[:, :1])
    np.testing.assert_allclose(single.coef_[0], L0Regressor(3).fit(x, y[:, 0]).coef_)
    assert single.predict(x).shape == (150, 1)
    constant = L0Regressor(2).fit(x, np.column_stack([y[:, 0], np.ones(150)]))
    np.testing.assert_allclose(constant.predict(x)[:, 1], 1)


def test_the_criterion_of_several_outcomes_is_one_number_for_each_size():
    x, y, _ = planted(0, noise=1.0)
    y = np.column_stack([y, 100 * x[:, 0] - 100 * y, x[:, 1]])

    def unexplained(model):
        return float(np.mean(((y - model.predict(x)) / y.std(axis=0)) ** 2))

    path = L0Regressor(criterion="bic", max_features=4, l2=0).fit(x, y)
    assert path.criterion_path_.shape == (5,)
    for size, found in enumerate(path.criterion_path_):
        share = unexplained(L0Regressor(size, l2=0).fit(x, y))
        expected = 3 * len(y) * np.log(share) + 3 * size * np.log(len(y))
        assert found == pytest.approx(expected, abs=1e-6)
    one = L0Regressor(3, l2=0).fit(x, y)
    np.testing.assert_allclose(one.criterion_path_, [3 * np.log(unexplained(one))])
    held = L0Regressor(cv=5, max_features=4).fit(x, y)
    assert held.criterion_path_.shape == (5,) and held.fold_losses_path_.shape == (5, 5)
    assert held.criterion_path_[0] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"loss": "hinge"}, "`loss` 'hinge' is not known"),
        ({"loss": []}, r"`loss` \[\] is not known"),
        ({"loss": "huber", "nonnegative": True}, '`nonnegative` needs `loss="squared"`'),
        ({"loss": "poisson"}, "`y` is negative in the rows 0"),
        ({"one_standard_error": True}, "pass `cv` too"),
        ({"one_standard_error": 1, "cv": 3}, "must be True or False"),
    ],
)
def test_arguments_of_a_loss_are_checked(arguments, said):
    x, y, _ = planted(0)
    y[0] = -1.0
    y[1:] = np.abs(y[1:])
    with pytest.raises(InputError, match=said):
        L0Regressor(**arguments).fit(x, y)

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import l0.linear_model
from l0.linear_model import L0Classifier, L0Regressor, L0Selector
from tests.linear_model.problems import planted, residual


@parametrize_with_checks([L0Regressor(), L0Classifier(), L0Selector()])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_what_scikit_learn_asks_of_an_estimator(estimator, check):
    check(estimator)


def test_scikit_learn_is_asked_for_by_name():
    code = (
        "import sys; import l0.linear_model; assert 'sklearn' not in sys.modules;"
        "sys.modules['sklearn'] = None\n"
        "try: l0.linear_model.L0Regressor\n"
        "except ImportError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install scikit-learn" in said.stdout
    assert set(dir(l0.linear_model)) >= {"L0Regressor", "L0Classifier", "L0Selector"}
    with pytest.raises(AttributeError, match="L0Ranker"):
        _ = l0.linear_model.L0Ranker


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


def test_held_out_folds_find_the_size():
    x, y, support = planted(2, n=200, k=4, noise=0.5)
    model = L0Regressor(cv=5).fit(x, y)
    assert set(model.support_) >= set(support)
    assert len(model.support_) < 10
    assert model.criterion_path_.min() == pytest.approx(0.25, rel=0.3)


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


def test_weights_count_rows():
    x, y, _ = planted(5, noise=1.0)
    counts = np.random.default_rng(0).integers(0, 4, 60)
    weighted = L0Regressor().fit(x, y, sample_weight=counts)
    repeated = L0Regressor().fit(np.repeat(x, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-10)


def test_groups_enter_together():
    x, y, _ = planted(6, n=100, p=12, k=1, noise=0.1)
    y = x[:, 4] + x[:, 5] - x[:, 9] + 0.1 * np.random.default_rng(0).normal(size=100)
    groups = [c for c in "aabbccddeeff"]
    model = L0Regressor(n_features=2, groups=groups).fit(x, y)
    assert model.support_.tolist() == [4, 5, 8, 9]
    assert model.swap_gap_ < 0
    single = L0Regressor(n_features=2, groups=range(12)).fit(x, y)
    assert single.support_.tolist() == L0Regressor(n_features=2).fit(x, y).support_.tolist()


def test_what_must_be_kept_is():
    x, y, support = planted(7, k=3, noise=0.1)
    useless = [column for column in range(30) if column not in support][:2]
    model = L0Regressor(n_features=5, must_keep=useless).fit(x, y)
    assert set(model.support_) == {*support, *useless}
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(30)])
    named = L0Regressor(must_keep=[f"x{j}" for j in useless]).fit(frame, y)
    assert set(named.support_) >= {*support, *useless}
    grouped = L0Regressor(1, must_keep=useless[:1], groups=np.arange(30) // 2).fit(x, y)
    assert useless[0] in grouped.support_ and len(grouped.support_) == 2


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
        kind = "pandas" if isinstance(frame, pd.DataFrame) else "polars"
        selector = L0Selector(n_features=3).set_output(transform=kind)
        chosen = selector.fit_transform(frame, y)
        assert isinstance(chosen, type(frame))
        assert list(chosen.columns) == [names[j] for j in support]
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n_features": -1}, "`n_features` must be an integer"),
        ({"n_features": 31}, "`n_features` is 31, and there are 30"),
        ({"n_features": 2.5}, "`n_features` must be an integer"),
        ({"n_features": 1, "must_keep": [0, 1]}, "`must_keep` alone takes 2"),
        ({"must_keep": [40, "a"]}, "`must_keep` names columns that are not there: 40, 'a'"),
        ({"n_features": 2, "cv": 3}, "pass one"),
        ({"criterion": "aic"}, "`criterion` 'aic' is not known"),
        ({"criterion": []}, r"`criterion` \[\] is not known"),
        ({"l2": -1.0}, "`l2` must be"),
        ({"l2": "auto"}, "`l2` must be"),
        ({"n_features": 2, "max_features": 5}, "`max_features` is for sizes that are tried"),
        ({"cv": []}, "`cv` holds no row out"),
        ({"cv": GroupKFold(3)}, r"`cv` cannot split .*cv=list\(splitter.split"),
        ({"groups": [1, 2]}, "`groups` has shape"),
        ({"groups": range(30), "nonnegative": True}, "do not go together"),
        ({"max_features": 99}, "`max_features` is 99"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, said):
    x, y, _ = planted(0)
    with pytest.raises(ValueError, match=said):
        L0Regressor(**arguments).fit(x, y)


def test_held_out_errors_are_means_over_what_is_held_out():
    x, y, _ = planted(2, n=200, k=4, noise=0.5)
    halves = ShuffleSplit(8, test_size=0.1, random_state=0)
    model = L0Regressor(cv=halves, max_features=6).fit(x, y)
    assert model.criterion_path_.min() == pytest.approx(0.25, rel=0.4)


def test_bad_data_are_named():
    x, y, _ = planted(0)
    with pytest.raises(ValueError, match="`sample_weight` has the sum 1, and a weight of 2"):
        L0Regressor().fit(x, y, sample_weight=np.full(60, 1 / 60))
    with pytest.raises(ValueError, match="NaN"):
        L0Regressor().fit(np.where(x > 2, np.nan, x), y)
    with pytest.raises(ValueError, match="sample_weight"):
        L0Regressor().fit(x, y, sample_weight=-np.ones(60))
    with pytest.raises(ValueError, match="`must_keep` has columns that are constant"):
        L0Regressor(must_keep=[0, 1]).fit(np.hstack([x[:, :1], x]), y)
    once = np.column_stack([x, np.arange(60) == 50])
    with pytest.raises(ValueError, match=r"that fold 2 of `cv` holds out, `must_keep`.*\[30\]"):
        L0Regressor(cv=3, must_keep=[30]).fit(once, y)
    with pytest.raises(ValueError, match="`loss` 'hinge'"):
        L0Selector(loss="hinge").fit(x, y)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_outcomes_whose_squares_are_no_numbers_are_refused(scale):
    x, y, _ = planted(0)
    with pytest.raises(ValueError, match=r"`y` goes up to .* divide `y` by"):
        L0Regressor(n_features=2).fit(x, y * scale)


def test_a_path_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    x, y, _ = planted(0, noise=1.0)
    figure = L0Regressor().fit(x, y).plot_path(tmp_path / "path.png")
    assert len(figure.axes) == 2
    assert (tmp_path / "path.png").stat().st_size > 1000
    classes = np.digitize(y, [-1, 1])
    assert len(L0Classifier(max_features=3).fit(x, classes).plot_path().axes) == 2

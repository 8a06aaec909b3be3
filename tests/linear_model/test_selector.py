import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning

from l0.linear_model import L0Classifier, L0Regressor, L0Selector
from tests.linear_model.problems import planted


def test_it_keeps_the_columns_that_its_estimator_chooses():
    x, y, _ = planted(0, noise=1.0)
    options = {
        "max_features": 6,
        "criterion": "bic",
        "must_keep": [2],
        "groups": np.arange(30) // 2,
    }
    selector = L0Selector(**options).fit(x, y)
    alone = L0Regressor(**options).fit(x, y)
    assert np.flatnonzero(selector.get_support()).tolist() == alone.support_.tolist()
    np.testing.assert_array_equal(selector.estimator_.coefs_path_, alone.coefs_path_)
    np.testing.assert_array_equal(selector.transform(x), x[:, alone.support_])


@pytest.mark.parametrize(("loss", "kind"), [("squared", L0Regressor), ("logistic", L0Classifier)])
def test_the_ridge_is_that_of_the_estimator_unless_it_is_given(loss, kind):
    x, y, _ = planted(1, noise=1.0)
    y = y > 0 if loss == "logistic" else y
    own = kind(n_features=2).fit(x, y)
    default = L0Selector(2, loss=loss).fit(x, y).estimator_
    given = L0Selector(2, loss=loss, l2=0.5).fit(x, y).estimator_
    assert type(default) is kind
    assert default.l2_ == own.l2_ and given.l2_ == 0.5


def test_weights_reach_the_estimator():
    x, y, _ = planted(2, noise=3.0)
    weights = np.random.default_rng(0).integers(1, 9, 60)
    selector = L0Selector(4).fit(x, y, sample_weight=weights)
    expected = L0Regressor(4).fit(x, y, sample_weight=weights)
    np.testing.assert_array_equal(selector.estimator_.coef_, expected.coef_)


def test_sparse_columns_stay_sparse():
    x, y, support = planted(3)
    chosen = L0Selector(3).fit_transform(sp.csr_array(x), y)
    assert sp.issparse(chosen)
    np.testing.assert_array_equal(chosen.toarray(), x[:, support])


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_keep_their_kind_and_their_names(kind):
    x, y, support = planted(8, n=100, k=3, noise=0.3)
    names = [f"x{j}" for j in range(30)]
    frame = pd.DataFrame(x, columns=names) if kind == "pandas" else pl.DataFrame(x, schema=names)
    selector = L0Selector(n_features=3).set_output(transform=kind)
    chosen = selector.fit_transform(frame, y)
    assert isinstance(chosen, type(frame))
    assert list(chosen.columns) == [names[j] for j in support]


def test_a_clone_has_the_same_parameters():
    selector = L0Selector(3, loss="logistic", l2=0.1, must_keep=[1])
    assert clone(selector).get_params() == selector.get_params()


def test_another_loss_is_named():
    x, y, _ = planted(0)
    with pytest.raises(ValueError, match="`loss` 'hinge' is not known; there are: 'huber', 'log"):
        L0Selector(loss="hinge").fit(x, y)


def test_the_loss_follows_from_the_outcome():
    x, y, _ = planted(0, n=90, noise=0.5)
    three = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    for classes in (y > 0, (y > 0).astype(float), np.array(["a", "b", "c"])[three]):
        for outcome in (classes, classes[:, None], pd.DataFrame({"y": classes})):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataConversionWarning)
                assert isinstance(L0Selector(2).fit(x, outcome).estimator_, L0Classifier)
    for numbers in (y, np.round(y * 100), np.round(y[:90]).astype(int) * 7 % 31):
        assert isinstance(L0Selector(2).fit(x, numbers).estimator_, L0Regressor)
    with pytest.warns(UserWarning, match='3 different whole numbers.*loss="logistic" if they are'):
        assert isinstance(L0Selector(2).fit(x, three).estimator_, L0Classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(L0Selector(2, loss="squared").fit(x, three).estimator_, L0Regressor)


def test_whole_numbers_of_classes_find_the_columns_of_the_classes():
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(300, 20))
        codes = np.array([2, 0, 1])[np.digitize(x[:, 3] + x[:, 8], [-0.7, 0.7])]
        with pytest.warns(UserWarning, match="taken for classes"):
            assert L0Selector(2).fit(x, codes).estimator_.support_.tolist() == [3, 8]


def test_all_arguments_reach_the_estimator():
    x, y, _ = planted(0, noise=1.0)
    for loss, outcome in (("huber", y), ("poisson", np.exp(y / 9)), ("squared", y)):
        selector = L0Selector(3, loss=loss, fit_intercept=False).fit(x, outcome)
        assert selector.estimator_.loss == loss and not selector.estimator_.fit_intercept
    positive = L0Selector(4, nonnegative=True, must_keep=[2]).fit(x, y)
    assert (positive.estimator_.coef_ >= 0).all() and positive.get_support()[2]
    several = L0Selector(3).fit(x, np.column_stack([y, -y]))
    assert several.estimator_.coef_.shape == (2, 30)
    with pytest.raises(ValueError, match="`nonnegative` needs .* but `y` has classes"):
        L0Selector(3, nonnegative=True).fit(x, y > 0)

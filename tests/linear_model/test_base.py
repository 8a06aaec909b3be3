"""What the estimators share: arguments, weights, folds, and what scikit-learn asks for."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Cox, L0Regressor, L0Selector
from tests.linear_model.problems import planted


@parametrize_with_checks([L0Regressor(), L0Classifier(), L0Selector()])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore:`y` has . different whole numbers")
def test_what_scikit_learn_asks_of_an_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([L0Regressor(loss="huber"), L0Regressor(loss="poisson")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_what_scikit_learn_asks_of_other_losses(estimator, check):
    check(estimator)


def test_weights_count_rows():
    x, y, _ = planted(5, noise=1.0)
    counts = np.random.default_rng(0).integers(0, 4, 60)
    weighted = L0Regressor().fit(x, y, sample_weight=counts)
    repeated = L0Regressor().fit(np.repeat(x, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-10)


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n_features": -1}, "`n_features` must be an integer"),
        ({"n_features": 31}, "`n_features` is 31, but there are only 30"),
        ({"n_features": 2.5}, "`n_features` must be an integer"),
        ({"n_features": 1, "must_keep": [0, 1]}, "`must_keep` alone takes 2"),
        ({"must_keep": [40, "a"]}, "`must_keep` names columns that do not exist: 40, 'a'"),
        ({"n_features": 2, "cv": 3}, "pass one"),
        ({"criterion": "aicc"}, "`criterion` 'aicc' is not known"),
        ({"criterion": []}, r"`criterion` \[\] is not known"),
        ({"l2": -1.0}, "`l2` must be"),
        ({"l2": "auto"}, "`l2` must be"),
        ({"n_features": 2, "max_features": 5}, "`max_features` limits the sizes to try"),
        ({"cv": []}, "`cv` holds out no row"),
        ({"cv": GroupKFold(3)}, r"`cv` cannot split .*cv=list\(splitter.split"),
        ({"groups": [1, 2]}, "`groups` has shape"),
        ({"max_features": 99}, "`max_features` is 99"),
        ({"nonnegative": [False] * 3}, "`nonnegative` must be True or False"),
        ({"nonnegative": "no"}, "`nonnegative` must be True or False, got 'no'"),
        ({"fit_intercept": "False"}, "`fit_intercept` must be True or False"),
        ({"fit_intercept": 1}, "`fit_intercept` must be True or False"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, said):
    x, y, _ = planted(0)
    with pytest.raises(ValueError, match=said):
        L0Regressor(**arguments).fit(x, y)


def test_bad_data_are_named():
    x, y, _ = planted(0)
    with pytest.raises(
        ValueError, match=r"`sample_weight` has the sum 1, but a weight counts rows \(2"
    ):
        L0Regressor().fit(x, y, sample_weight=np.full(60, 1 / 60))
    with pytest.raises(ValueError, match="NaN"):
        L0Regressor().fit(np.where(x > 2, np.nan, x), y)
    with pytest.raises(ValueError, match="sample_weight"):
        L0Regressor().fit(x, y, sample_weight=-np.ones(60))
    with pytest.raises(ValueError, match="`must_keep` has columns that are constant"):
        L0Regressor(must_keep=[0, 1]).fit(np.hstack([x[:, :1], x]), y)
    once = np.column_stack([x, np.arange(60) == 50])
    with pytest.raises(ValueError, match=r"that fold 2 of `cv` holds out: `must_keep`.*\[30\]"):
        L0Regressor(cv=3, must_keep=[30]).fit(once, y)


def test_each_size_of_the_path_has_the_attributes_of_its_own_fit():
    x, y, _ = planted(3, noise=1.0)
    for model in (L0Regressor(max_features=4, l2=0.1), L0Classifier(max_features=4)):
        model.fit(x, y > 0 if isinstance(model, L0Classifier) else y)
        for columns, coefficients in zip(model.path_, model.coefs_path_, strict=True):
            assert np.flatnonzero(np.atleast_2d(coefficients).any(axis=0)).tolist() == list(columns)
        assert model.path_[len(model.support_)].tolist() == model.support_.tolist()


@pytest.mark.parametrize("groups", [None, np.arange(30) // 3])
def test_another_size_of_the_path_predicts_as_its_coefficients_say(groups):
    x, y, _ = planted(3, noise=1.0)
    several = np.column_stack([y, y + x[:, 0]])
    for model, outcome in (
        (L0Regressor(max_features=4, groups=groups), y),
        (L0Regressor(max_features=4, groups=groups), several),
        (L0Regressor(max_features=4, groups=groups, loss="huber"), y),
        (L0Regressor(max_features=4, groups=groups, loss="poisson"), np.exp(y / 5)),
        (L0Classifier(max_features=4, groups=groups), y > 0),
    ):
        model.fit(x, outcome)
        own = len(model.support_) if groups is None else len(model.support_) // 3
        np.testing.assert_allclose(model.predict_at(x, own), model.predict(x))
        assert not np.array_equal(model.predict_at(x, 0), model.predict(x))
        scores = x @ np.swapaxes(np.atleast_2d(model.coefs_path_[2]), 0, 1)
        scores = scores + model.intercepts_path_[2]
        if isinstance(model, L0Classifier):
            np.testing.assert_allclose(
                model.predict_proba_at(x, 2)[:, 1], 1 / (1 + np.exp(-scores[:, 0]))
            )
        else:
            expected = np.exp(scores) if model.loss == "poisson" else scores
            np.testing.assert_allclose(model.predict_at(x, 2).reshape(scores.shape), expected)
        with pytest.raises(
            InputError, match="`n_features` is 9, but the path has the sizes 0 to 4"
        ):
            model.predict_at(x, 9)


@pytest.mark.parametrize("estimator", [L0Classifier, L0Cox])
def test_a_ridge_of_none_is_not_taken_for_0(estimator):
    x, y, _ = planted(0, noise=1.0)
    outcome = y > 0 if estimator == L0Classifier else np.column_stack([np.exp(-y), y < 2])
    with pytest.raises(InputError, match="`l2` must be finite and at least 0, got None"):
        estimator(3, l2=None).fit(x, outcome)

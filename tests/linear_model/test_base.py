"""What the estimators share: arguments, weights, folds, and what scikit-learn asks for."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold, ShuffleSplit
from sklearn.utils.estimator_checks import parametrize_with_checks

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Regressor, L0Selector
from l0.linear_model.base import PATIENCE, problem_parts
from l0.linear_model.group_swap import Groups
from tests.linear_model.problems import GROUPS, planted, stated


@parametrize_with_checks([L0Regressor(), L0Classifier(), L0Selector()])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore:`y` has . different whole numbers")
def test_what_scikit_learn_asks_of_an_estimator(estimator, check):
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


def test_held_out_folds_find_the_size():
    x, y, support = planted(2, n=200, k=4, noise=0.5)
    model = L0Regressor(cv=5).fit(x, y)
    assert set(model.support_) >= set(support)
    assert len(model.support_) < 10
    assert model.criterion_path_.min() == pytest.approx(0.25, rel=0.3)


def test_held_out_errors_are_means_over_what_is_held_out():
    x, y, _ = planted(2, n=200, k=4, noise=0.5)
    halves = ShuffleSplit(8, test_size=0.1, random_state=0)
    model = L0Regressor(cv=halves, max_features=6).fit(x, y)
    assert model.criterion_path_.min() == pytest.approx(0.25, rel=0.4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n_features": -1}, "`n_features` must be an integer"),
        ({"n_features": 31}, "`n_features` is 31, but there are only 30"),
        ({"n_features": 2.5}, "`n_features` must be an integer"),
        ({"n_features": 1, "must_keep": [0, 1]}, "`must_keep` alone takes 2"),
        ({"must_keep": [40, "a"]}, "`must_keep` names columns that do not exist: 40, 'a'"),
        ({"n_features": 2, "cv": 3}, "pass one"),
        ({"criterion": "aic"}, "`criterion` 'aic' is not known"),
        ({"criterion": []}, r"`criterion` \[\] is not known"),
        ({"l2": -1.0}, "`l2` must be"),
        ({"l2": "auto"}, "`l2` must be"),
        ({"n_features": 2, "max_features": 5}, "`max_features` limits the sizes to try"),
        ({"cv": []}, "`cv` holds out no row"),
        ({"cv": GroupKFold(3)}, r"`cv` cannot split .*cv=list\(splitter.split"),
        ({"groups": [1, 2]}, "`groups` has shape"),
        ({"groups": range(30), "nonnegative": True}, "cannot be combined; leave one out"),
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


def test_kept_units_must_each_add_something():
    statistics = stated(0)[0].statistics
    assert problem_parts(statistics, None, np.array([3, 4]))[0] is None
    twice = statistics.restricted(np.array([0, 1, 0]))
    with pytest.raises(InputError, match=r"`must_keep` has columns .*: \[2\]; leave them out"):
        problem_parts(twice, None, np.array([0, 2]))
    groups, kept = problem_parts(statistics, GROUPS, np.array([1]))
    assert isinstance(groups, Groups) and kept.tolist() == [1]


def test_a_criterion_stops_some_sizes_after_its_minimum():
    x, y, _ = planted(1, n=400, p=60, k=3, noise=0.5)
    model = L0Regressor(criterion="bic").fit(x, y)
    sizes = [len(columns) for columns in model.path_]
    assert sizes == list(range(model.criterion_path_.argmin() + PATIENCE + 1))
    asked = L0Regressor(criterion="bic", max_features=25).fit(x, y)
    assert len(asked.path_) == 26


def test_each_size_of_the_path_has_the_attributes_of_its_own_fit():
    x, y, _ = planted(3, noise=1.0)
    for model in (L0Regressor(max_features=4, l2=0.1), L0Classifier(max_features=4)):
        model.fit(x, y > 0 if isinstance(model, L0Classifier) else y)
        for columns, coefficients in zip(model.path_, model.coefs_path_, strict=True):
            assert np.flatnonzero(np.atleast_2d(coefficients).any(axis=0)).tolist() == list(columns)
        assert model.path_[len(model.support_)].tolist() == model.support_.tolist()


def test_held_out_rows_count_by_their_weights():
    x, y, _ = planted(2, n=90, noise=1.0)
    counts = np.random.default_rng(1).integers(1, 4, 90)
    rows = np.repeat(np.arange(90), counts)
    halves = [(np.arange(45), np.arange(45, 90)), (np.arange(45, 90), np.arange(45))]
    repeated = [(np.flatnonzero(rows < 45), np.flatnonzero(rows >= 45))]
    repeated.append(repeated[0][::-1])
    weighted = L0Regressor(cv=halves, max_features=4).fit(x, y, counts)
    plain = L0Regressor(cv=repeated, max_features=4).fit(x[rows], y[rows])
    np.testing.assert_allclose(weighted.criterion_path_, plain.criterion_path_)

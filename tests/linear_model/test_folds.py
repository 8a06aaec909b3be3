import numpy as np
import pytest
from sklearn import config_context
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Cox, L0Regressor, L0Selector
from l0.linear_model.folds import folds
from l0.linear_model.rows import Rows
from tests.linear_model.problems import classes, planted

IRIS = load_iris(return_X_y=True)


def test_rows_of_weight_0_are_in_no_fit_but_in_what_is_held_out():
    rows = Rows(np.arange(6.0)[:, None], np.arange(6.0), np.array([0.0, 1, 1, 2, 1, 1]))
    (first, held), (second, _) = folds(KFold(2), rows, classes=False)
    assert first.y.tolist() == [3, 4, 5] and held.weights.tolist() == [0, 1, 1]
    assert second.y.tolist() == [1, 2]


@pytest.mark.parametrize("estimator", [L0Classifier, lambda cv: L0Selector(loss="logistic", cv=cv)])
def test_a_fold_without_a_class_is_named_with_what_to_pass(estimator):
    x, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    said = "rows that fold 0 of `cv` holds out: `y` has no row of 'setosa'; .*StratifiedKFold"
    with pytest.raises(InputError, match=said):
        estimator(cv=KFold(3)).fit(x, names)
    assert estimator(cv=StratifiedKFold(3)).fit(x, names)


def test_a_class_of_which_a_fold_has_rows_of_weight_0_alone_is_missing_too():
    x, y, _ = classes(0)
    weights = np.where((y == "yes") & (np.arange(150) >= 75), 0.0, 1.0)
    halves = [(np.arange(75), np.arange(75, 150)), (np.arange(75, 150), np.arange(75))]
    with pytest.raises(InputError, match="fold 1 of `cv` holds out: `y` has no row of 'yes'"):
        L0Classifier(cv=halves).fit(x, y, weights)


def test_a_fold_whose_rows_have_weight_0_is_named():
    x, y, _ = planted(0, noise=1.0)
    with pytest.raises(InputError, match="`sample_weight` is 0 for all 30 rows that fold 0 of"):
        L0Regressor(cv=KFold(2)).fit(x, y, np.repeat([0.0, 1.0], 30)[::-1])
    with pytest.raises(InputError, match="`cv` holds out no row of positive weight"):
        L0Regressor(cv=[(np.arange(30), np.arange(30, 60))]).fit(x, y, np.repeat([1.0, 0.0], 30))


def test_an_iterator_that_is_used_up_is_named():
    x, y, _ = planted(0, noise=1.0)
    model = L0Regressor(cv=KFold(3).split(x), max_features=3).fit(x, y)
    with pytest.raises(InputError, match=r"an earlier fit has used them up; .*`cv=list"):
        model.fit(x, y)
    with pytest.raises(InputError, match="holds out no row"):
        L0Regressor(cv=[]).fit(x, y)


@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e8])
@pytest.mark.parametrize("seed", range(3))
def test_without_noise_the_smallest_exact_size_is_chosen(seed, scale):
    x, y, support = planted(seed, n=100, p=40, k=10)
    for options in ({}, {"l2": 0.0}, {"must_keep": support[:2]}):
        model = L0Regressor(cv=5, **options).fit(x, scale * y)
        assert model.support_.tolist() == support.tolist()
    kept = L0Regressor(cv=5, must_keep=support).fit(x, y)
    assert kept.support_.tolist() == support.tolist()
    assert L0Regressor(cv=5).fit(x.astype(np.float32), y).support_.tolist() == support.tolist()


def test_a_constant_outcome_takes_no_column():
    x, _, _ = planted(0)
    assert not len(L0Regressor(cv=5).fit(x, np.full(60, 0.1)).support_)


@pytest.mark.parametrize("kind", ["squared", "classes", "survival", "selector"])
def test_groups_of_rows_reach_the_splitter(kind):
    x, y, _ = planted(1, n=60, noise=1.0)
    groups = np.repeat([f"patient {i}" for i in range(15)], 4)
    splits = list(GroupKFold(3).split(x, y, groups))
    outcome = {"classes": y > 0, "survival": np.column_stack([np.exp(y), y < 2])}.get(kind, y)
    make = {"classes": L0Classifier, "survival": L0Cox, "selector": L0Selector}.get(
        kind, L0Regressor
    )
    passed = make(cv=GroupKFold(3), max_features=4).fit(x, outcome, groups=groups)
    listed = make(cv=splits, max_features=4).fit(x, outcome)
    if kind == "selector":
        passed, listed = passed.estimator_, listed.estimator_
    np.testing.assert_array_equal(passed.fold_losses_path_, listed.fold_losses_path_)


def test_a_grid_search_routes_groups_of_rows():
    x, y, _ = planted(1, n=60, noise=1.0)
    groups = np.repeat(np.arange(15), 4)
    with config_context(enable_metadata_routing=True):
        model = L0Regressor(cv=GroupKFold(3), max_features=3).set_fit_request(groups=True)
        search = GridSearchCV(model, {"l2": [0.0, 0.1]}, cv=GroupKFold(2))
        search.fit(x, y, groups=groups)
    assert search.best_estimator_.fold_losses_path_.shape == (4, 3)


def test_groups_of_rows_that_no_splitter_takes_are_named():
    x, y, _ = planted(0, n=60, noise=1.0)
    groups = np.arange(60) // 6
    with pytest.raises(InputError, match=r"groups of rows for a splitter, but `cv` is None"):
        L0Regressor().fit(x, y, groups=groups)
    with pytest.raises(InputError, match=r"but `cv` is 5; pass `cv=GroupKFold\(5\)`"):
        L0Regressor(cv=5).fit(x, y, groups=groups)
    with pytest.raises(InputError, match="`groups` has 59 entries for 60 rows of `X`"):
        L0Regressor(cv=GroupKFold(3)).fit(x, y, groups=groups[1:])
    with pytest.raises(InputError, match=r"pass them to `fit`, `groups=`"):
        L0Regressor(cv=GroupKFold(3)).fit(x, y)

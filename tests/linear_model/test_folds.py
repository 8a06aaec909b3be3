import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import KFold, StratifiedKFold

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Regressor, L0Selector
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

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from l0.linear_model import L0Classifier, L0Selector
from tests.linear_model.problems import classes, planted


def objective(x, y, columns, l2):
    """What the classifier lowers, at scikit-learn's own fit on some columns."""
    size = x[:, columns].std(axis=0)
    z = (x[:, columns] - x[:, columns].mean(axis=0)) / size
    fit = LogisticRegression(C=1 / (l2 * len(y)), tol=1e-10, max_iter=2000).fit(z, y)
    p = fit.predict_proba(z)[np.arange(len(y)), np.searchsorted(fit.classes_, y)]
    return -np.mean(np.log(p)) + l2 / 2 * np.sum(fit.coef_**2), fit.coef_ / size


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_fit_is_that_of_logistic_regression(n_classes):
    x, y, _ = classes(0, n_classes=n_classes)
    model = L0Classifier(n_features=3, l2=0.01).fit(x, y)
    _, slopes = objective(x, y, model.support_, 0.01)
    np.testing.assert_allclose(model.coef_[:, model.support_], slopes, rtol=1e-4, atol=1e-5)
    assert model.coef_.shape == (1 if n_classes == 2 else 3, 12)
    proba = model.predict_proba(x)
    np.testing.assert_allclose(proba.sum(1), 1)
    np.testing.assert_array_equal(model.classes_[proba.argmax(1)], model.predict(x))
    np.testing.assert_allclose(model.predict_log_proba(x), np.log(proba))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_best_subset_is_found(n_classes):
    exact = 0
    for seed in range(5):
        x, y, _ = classes(seed, n=60, p=7, k=3, n_classes=n_classes, noise=2.0)
        found = L0Classifier(n_features=2, l2=0.01).fit(x, y)
        assert found.swap_gap_ <= 1e-9
        own = objective(x, y, found.support_, 0.01)[0]
        least = min(objective(x, y, list(c), 0.01)[0] for c in combinations(range(7), 2))
        exact += own <= least + 1e-6
    assert exact == 5


@pytest.mark.parametrize("n_classes", [2, 3])
def test_planted_columns_are_found_among_many(n_classes):
    x, y, support = classes(1, n=300, p=600, k=3, n_classes=n_classes)
    assert L0Classifier(n_features=3).fit(x, y).support_.tolist() == support.tolist()
    sparse = L0Classifier(n_features=3).fit(sp.csr_array(x.astype(np.float32)), y)
    assert sparse.support_.tolist() == support.tolist()
    assert sparse.coef_.dtype == np.float32
    selector = L0Selector(n_features=3, loss="logistic").fit(x, y)
    assert np.flatnonzero(selector.get_support()).tolist() == support.tolist()


def test_criterion_and_folds_find_the_size():
    x, y, support = classes(2, n=300, p=20, noise=1.0)
    for arguments in ({}, {"criterion": "ebic"}, {"cv": 3}):
        model = L0Classifier(max_features=6, **arguments).fit(x, y)
        assert set(model.support_) >= set(support)
        assert model.coefs_path_.shape == (7, 1, 20)
        np.testing.assert_array_equal(model.coefs_path_[len(model.support_)], model.coef_)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_criterion_is_one_number_for_each_size_of_any_number_of_classes(n_classes):
    x, y, _ = classes(0, n_classes=n_classes)
    model = L0Classifier(criterion="bic", max_features=3).fit(x, y)
    assert model.criterion_path_.shape == (4,)
    for size in (1, 2, 3):
        value, _ = objective(x, y, model.path_[size], 1e-3)
        slopes = (n_classes - 1) * size
        expected = 2 * len(y) * value + slopes * np.log(len(y))
        assert model.criterion_path_[size] == pytest.approx(expected, rel=1e-4)
    two = L0Classifier(2).fit(x, y)
    value, _ = objective(x, y, two.support_, 1e-3)
    assert two.criterion_path_ == pytest.approx([2 * value], rel=1e-4)


def test_groups_and_columns_that_must_be_kept():
    x, y, support = classes(3)
    groups = np.arange(12) // 2
    model = L0Classifier(n_features=4, groups=groups, must_keep=[0]).fit(x, y)
    assert set(model.support_ // 2) >= {0, *(support // 2)}
    assert len(model.support_) == 8


def test_classes_that_columns_separate_have_finite_coefficients():
    x, _, _ = planted(4)
    y = x[:, 3] > 0
    model = L0Classifier(n_features=2).fit(x, y)
    assert 3 in model.support_
    assert np.isfinite(model.coef_).all()
    np.testing.assert_array_equal(model.predict(x), y)


def test_one_class_is_an_error_that_says_so():
    x, _, _ = planted(5)
    with pytest.raises(ValueError, match="one class"):
        L0Classifier().fit(x, np.zeros(60))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_log_probabilities_stay_finite_where_probabilities_round_to_0(n_classes):
    x, y, _ = classes(6, n_classes=n_classes)
    model = L0Classifier(n_features=2).fit(x, y)
    far = 1e6 * x
    logs = model.predict_log_proba(far)
    assert np.isfinite(logs).all() and logs.min() < -1e4
    np.testing.assert_allclose(model.predict_proba(far).sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[logs.argmax(axis=1)], model.predict(far))


def test_classes_that_count_the_same_do_not_take_columns_of_noise():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2000, 30))
    y = x[:, 3] + x[:, 7] + 0.5 * generator.normal(size=2000) > 3.2
    assert 0.005 < y.mean() < 0.03
    model = L0Classifier(class_weight="balanced").fit(x, y)
    assert {3, 7} <= set(model.support_) and len(model.support_) <= 4
    assert model.predict(x).mean() > 2 * y.mean()
    counts = {True: 1 / (2 * y.mean()), False: 1 / (2 * (1 - y.mean()))}
    by_label = L0Classifier(class_weight=counts).fit(x, y)
    np.testing.assert_allclose(by_label.coef_, model.coef_)
    same = L0Classifier(3, class_weight={True: 2, False: 2}).fit(x, y)
    np.testing.assert_allclose(same.coef_, L0Classifier(3).fit(x, y).coef_)


@pytest.mark.parametrize("asked", ["even", {"maybe": 2.0}, {"yes": -1}, {"yes": "two"}, 3])
def test_class_weights_that_mean_nothing_are_refused(asked):
    x, y, _ = classes(0)
    with pytest.raises(ValueError, match="`class_weight` is .*pass"):
        L0Classifier(2, class_weight=asked).fit(x, y)


def test_coefficients_that_grow_without_limit_are_a_warning():
    x = np.random.default_rng(0).normal(size=(40, 4))
    y = (x[:, 0] > 0).astype(int)
    with pytest.warns(UserWarning, match="grow without limit, .* pass `l2` above 0"):
        L0Classifier(1, l2=0).fit(x, y)
    L0Classifier(1).fit(x, y)
    L0Classifier(1, l2=0).fit(x, np.roll(y, 1))

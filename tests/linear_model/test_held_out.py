import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit, ShuffleSplit

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Cox, L0Regressor
from l0.linear_model.choice import Question
from l0.linear_model.held_out import held_out
from l0.linear_model.rows import Rows
from tests.linear_model.problems import LOSSES, classes, outcomes, planted


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


@pytest.mark.parametrize("one_standard_error", [False, True])
def test_a_fold_without_weight_is_no_part_of_any_mean(one_standard_error):
    x, y, _ = planted(3, n=150, k=4, noise=2.0)
    fold = np.arange(150) % 5
    rule = {"max_features": 8, "one_standard_error": one_standard_error}
    weighted = L0Regressor(cv=PredefinedSplit(fold), **rule).fit(x, y, fold < 4)
    alone = L0Regressor(cv=PredefinedSplit(fold[fold < 4]), **rule).fit(x[fold < 4], y[fold < 4])
    assert weighted.support_.tolist() == alone.support_.tolist()
    np.testing.assert_allclose(weighted.criterion_path_, alone.criterion_path_)
    assert np.isnan(weighted.fold_losses_path_[:, 4]).all()
    np.testing.assert_allclose(weighted.fold_losses_path_[:, :4], alone.fold_losses_path_)


def test_a_standard_error_needs_two_folds():
    x, y, _ = planted(3, n=150)
    once = ShuffleSplit(1, random_state=0)
    with pytest.raises(InputError, match="`one_standard_error` needs two folds"):
        L0Regressor(cv=once, max_features=4, one_standard_error=True).fit(x, y)
    assert len(L0Regressor(cv=once, max_features=4).fit(x, y).path_) == 5


def test_splits_may_be_an_array():
    x, y, _ = planted(2, n=90)
    halves = np.array([[np.arange(45), np.arange(45, 90)], [np.arange(45, 90), np.arange(45)]])
    found = L0Regressor(cv=halves, max_features=4).fit(x, y)
    assert (
        found.support_.tolist()
        == L0Regressor(cv=list(halves), max_features=4).fit(x, y).support_.tolist()
    )


@pytest.mark.parametrize("kind", LOSSES)
def test_true_columns_lower_the_loss_of_each_fold(kind):
    x, y, loss_of = outcomes(0, kind, n=300)
    none = np.empty(0, np.int64)
    question = Question(loss_of, [0, 1, 2, 3], None, none, "gicc", False, True, 1e-3)
    found = held_out(3, Rows(x, y, np.ones(300)), question, "classes" in kind, False)
    assert found.losses.shape == (4, 3)
    assert (found.losses[3] < found.losses[0]).all()
    assert found.weights.tolist() == [100, 100, 100]


def test_one_standard_error_never_takes_more_columns():
    x, y, _ = planted(3, n=120, k=4, noise=2.0)
    time = np.exp(-y / 4) * np.random.default_rng(0).exponential(size=120)
    labels = classes(3, n=120, p=30)[1]
    for kind, outcome in (
        (L0Regressor, y),
        (L0Classifier, labels),
        (L0Cox, np.column_stack([time, np.ones(120)])),
    ):
        least = kind(cv=5, max_features=8).fit(x, outcome)
        ruled = kind(cv=5, max_features=8, one_standard_error=True).fit(x, outcome)
        assert ruled.n_features_selected_ <= least.n_features_selected_
        np.testing.assert_array_equal(ruled.fold_losses_path_, least.fold_losses_path_)
        place = least.n_features_selected_
        spread = least.fold_losses_path_[place].std(ddof=1) / 5**0.5
        within = least.criterion_path_ <= least.criterion_path_[place] + spread
        assert ruled.n_features_selected_ == np.flatnonzero(within)[0]

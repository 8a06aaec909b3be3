"""L0Cox: what it finds, and what scikit-learn asks for, with times made of a single column."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from l0.common.errors import InputError
from l0.linear_model import L0Cox
from l0.linear_model.choice import Question, state
from l0.linear_model.cox_loss import CoxLoss
from l0.linear_model.rows import Rows
from tests.linear_model.problems import outcomes


class OfOneColumn(L0Cox):
    """L0Cox with an event at a time that a single column states."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, two_columns(y), sample_weight)

    def score(self, X, y, sample_weight=None):
        return super().score(X, two_columns(y), sample_weight)


def two_columns(y):
    """Times from a single column, each with an event."""
    if y is None or np.asarray(y).dtype.kind == "c":
        return y
    times = np.asarray(y, np.float64)
    if times.size != len(times):
        return y
    return np.column_stack([times.ravel() - times.min(), np.ones(len(times))])


def reasons(error):
    """An error and what it came from, as text."""
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.slow
@parametrize_with_checks([OfOneColumn()])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_what_scikit_learn_asks_of_an_estimator(estimator, check):
    check(estimator)


def test_all_checks_pass_whose_y_is_not_a_single_column():
    with pytest.warns(SkipTestWarning):
        found = check_estimator(L0Cox(), on_fail=None)
    for check in found:
        if check["status"] == "failed":
            said = " ".join(reasons(check["exception"]))
            assert "`y` has shape" in said, check["check_name"]


def planted(seed, n=300, p=200):
    x, y, _ = outcomes(seed, "survival", n=n, p=p)
    return x, y


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_the_best_subset_is_found(form):
    for seed in range(3):
        x, y, _ = outcomes(seed, "survival", n=80, p=7)
        x = np.where(np.abs(x) > 0.3, x, 0)
        none = np.empty(0, np.int64)
        question = Question(CoxLoss, [2], None, none, None, patient=False, centre=True, l2=1e-3)
        problem = state(Rows(x, y, np.ones(80)), question).problem
        every = {c: problem.fit(np.array(c)).value for c in combinations(range(7), 2)}
        model = L0Cox(2).fit(form(x), y)
        assert every[tuple(model.support_.tolist())] == pytest.approx(min(every.values()))
        assert model.swap_gap_ <= 1e-9
        assert model.score(form(x), y) > 0.5


def test_groups_weights_kept_columns_and_folds():
    x, y, _ = outcomes(0, "survival", n=200, p=12)
    counts = np.random.default_rng(0).integers(0, 3, 200)
    weighted = L0Cox().fit(x, y, counts)
    repeated = L0Cox().fit(np.repeat(x, counts, axis=0), np.repeat(y, counts, axis=0))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-7)
    np.testing.assert_allclose(weighted.baseline_hazard_, repeated.baseline_hazard_, atol=1e-7)
    assert {10, 11} <= set(L0Cox(2, groups=np.arange(12) // 2, must_keep=[10]).fit(x, y).support_)
    folded = L0Cox(cv=4, max_features=5).fit(x, y)
    assert folded.n_features_selected_ >= 2
    assert folded.coefs_path_.shape == (6, 12)


def test_survival_falls_with_time_and_hazard():
    x, y = planted(0, p=20)
    model = L0Cox(3).fit(x + 7, y)
    asked = np.quantile(y[:, 0], [0.1, 0.5, 0.9])
    survived = model.predict_survival(x + 7, [-1.0, *asked])
    assert (survived[:, 0] == 1).all()
    assert (np.diff(survived, axis=1) <= 0).all()
    order = np.argsort(model.predict(x + 7))
    assert (np.diff(survived[order, 2]) <= 1e-12).all()
    # On average over rows, it is about the share without an event (Kaplan-Meier, no censoring).
    every = np.column_stack([y[:, 0], np.ones(len(y))])
    model = L0Cox(3).fit(x, every)
    share = np.mean(y[:, 0] > asked[1])
    assert model.predict_survival(x, asked[1]).mean() == pytest.approx(share, abs=0.03)
    with pytest.raises(InputError, match="`times` goes up to"):
        model.predict_survival(x, 1e9)
    with pytest.raises(InputError, match=r"`times` has the shape \(2, 2\)"):
        model.predict_survival(x, np.ones((2, 2)))


def test_a_score_checks_its_rows_and_weights():
    x, y = planted(0, n=50, p=5)
    model = L0Cox(2).fit(x, y)
    with pytest.raises(InputError, match="`y` has 40 rows, but `X` has 50"):
        model.score(x, y[:40])
    with pytest.raises(InputError, match="`sample_weight` must be at least 0"):
        model.score(x, y, np.full(50, -1.0))
    some = np.arange(50) < 30
    assert model.score(x, y, some) == pytest.approx(model.score(x[some], y[some]))


def test_wrong_lengths_and_no_events_are_named():
    x, y = planted(0, n=50, p=5)
    with pytest.raises(InputError, match="`y` has 49 rows, but `X` has 50"):
        L0Cox(2).fit(x, y[:-1])
    with pytest.raises(InputError, match="`y` has no event"):
        L0Cox(2).fit(x, y * [1, 0])
    late = np.column_stack([np.arange(50.0), np.arange(50) < 25])
    with pytest.raises(InputError, match="fold 0 of `cv` holds out: `y` has no event"):
        L0Cox(cv=2, max_features=2).fit(x, late)


@pytest.mark.parametrize("seed", range(8))
def test_without_a_ridge_a_likelihood_without_a_maximum_is_an_error(seed):
    """Or the likelihood has a maximum; numbers of a stopped search are never returned."""
    generator = np.random.default_rng(seed)
    x, event = generator.normal(size=(8, 5)), np.arange(8) % 3 == 0
    x[:, 0] = -np.arange(8) if seed % 2 else x[:, 0]
    y = np.column_stack([np.arange(1.0, 9), event])
    for settings in ({"n_features": 3}, {"cv": 2}, {"groups": [0, 0, 1, 1, 2]}):
        try:
            model = L0Cox(l2=0, **settings).fit(x, y)
        except InputError as error:
            assert "pass `l2` above 0" in str(error)
        else:
            assert np.abs(model.coef_).max() < 100
    with pytest.raises(InputError, match="grow without limit, .* pass `l2` above 0"):
        L0Cox(5, l2=0).fit(x, y)
    assert np.isfinite(L0Cox(5).fit(x, y).coef_).all()

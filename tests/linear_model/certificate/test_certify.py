from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.linear_model import L0Regressor, L0Selector
from l0.linear_model.certificate.certify import certify
from tests.linear_model.problems import best, planted, residual, stated


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 9), st.sampled_from([0.0, 0.2]), st.booleans())
def test_the_certificate_is_that_of_the_best_choice(seed, k, l2, keep):
    kept = [7] if keep and k else []
    problem, _, _ = stated(seed, l2=l2, kept=kept)
    start = np.array([*kept, *(j for j in range(9) if j not in kept)][:k], np.int64)
    found = certify(problem, start, 60)
    every = [
        problem.swap_from(np.array([*kept, *new], np.int64)).value
        for new in combinations([j for j in range(9) if j not in kept], k - len(kept))
    ]
    assert found.bound == found.explained == pytest.approx(max(every))
    assert problem.swap_from(found.chosen).value == pytest.approx(max(every))


@pytest.mark.parametrize("l2", [None, 0.0, 0.05])
@pytest.mark.parametrize("k", [1, 4, 14])
def test_a_completed_certificate_has_the_gap_0_and_the_best_subset(k, l2):
    x, y, _ = planted(k, n=40, p=15, k=6, rho=0.9, noise=2.0)
    model = L0Regressor(k, l2=l2, certify=True).fit(x, y)
    assert model.optimality_gap_ == 0
    assert residual(x, y, model.support_, model.l2_) == pytest.approx(best(x, y, k, model.l2_))


def test_the_gap_is_at_least_what_is_missing_when_there_is_no_time():
    for seed in range(4):
        x, y, _ = planted(seed, n=60, p=25, k=8, rho=0.9, noise=2.0)
        short = L0Regressor(6, l2=0.01, certify=True, certify_seconds=0).fit(x, y)
        long = L0Regressor(6, l2=0.01, certify=True, certify_seconds=0.3).fit(x, y)
        total = np.sum((y - y.mean()) ** 2)
        lost = residual(x, y, short.support_, 0.01) - residual(x, y, long.support_, 0.01)
        assert 0 <= long.optimality_gap_ <= short.optimality_gap_ <= 1
        assert lost / total <= short.optimality_gap_ + 1e-9


def test_more_columns_than_rows_without_a_ridge_have_an_honest_gap():
    x, y, _ = planted(0, n=20, p=60, k=3, noise=1.0)
    model = L0Regressor(4, l2=0, certify=True, certify_seconds=0.1).fit(x, y)
    left = residual(x, y, model.support_) / np.sum((y - y.mean()) ** 2)
    assert model.optimality_gap_ == pytest.approx(left)


@pytest.mark.parametrize("l2", [0.0, None])
def test_copies_and_constant_columns_are_no_better_choice(l2):
    x, y, _ = planted(1, n=50, p=8, k=4, noise=1.0)
    x = np.column_stack([x, x[:, :4], np.ones(50)])
    model = L0Regressor(4, l2=l2, certify=True, certify_seconds=20).fit(x, y)
    assert model.optimality_gap_ == 0
    assert len(set(model.support_ % 8)) == 4
    assert residual(x, y, model.support_, model.l2_) == pytest.approx(
        best(x[:, :8], y, 4, model.l2_)
    )


def test_weights_criteria_and_kept_columns_go_with_it():
    x, y, _ = planted(2, n=80, p=12, k=3, noise=1.0)
    weights = np.random.default_rng(0).integers(0, 3, 80).astype(float)
    model = L0Regressor(must_keep=[11], certify=True).fit(x, y, weights)
    assert 11 in model.support_ and model.optimality_gap_ == 0
    assert model.path_[model.n_features_selected_ - 1].tolist() == model.support_.tolist()


def test_an_earlier_gap_does_not_stay():
    x, y, _ = planted(0)
    model = L0Regressor(3, certify=True).fit(x, y)
    assert not hasattr(model.set_params(certify=False).fit(x, y), "optimality_gap_")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "huber"}, 'loss="huber"'),
        ({"loss": "poisson"}, 'loss="poisson"'),
        ({"groups": list("aabbccddee" * 3)}, "groups"),
        ({"nonnegative": True}, "nonnegative"),
    ],
)
def test_what_it_is_not_for_is_refused(settings, words):
    x, y, _ = planted(0)
    with pytest.raises(InputError, match=rf"`certify` has no bound for `{words}"):
        L0Regressor(3, certify=True, **settings).fit(x, np.abs(y))


def test_several_outcomes_classes_and_many_columns_are_refused():
    x, y, _ = planted(0)
    with pytest.raises(InputError, match="several outcomes"):
        L0Regressor(3, certify=True).fit(x, np.column_stack([y, y]))
    with pytest.raises(InputError, match="`certify` needs"):
        L0Selector(3, certify=True).fit(x, y > 0)
    wide = np.random.default_rng(0).normal(size=(20, 1001))
    with pytest.raises(InputError, match="at most 1,000 columns"):
        L0Regressor(1, certify=True).fit(wide, wide[:, 0])


@pytest.mark.parametrize("settings", [{"certify": 1}, {"certify_seconds": -1}])
def test_values_out_of_range_are_refused(settings):
    x, y, _ = planted(0)
    with pytest.raises(InputError, match=next(iter(settings))):
        L0Regressor(3, **settings).fit(x, y)


def test_a_selector_has_a_certificate_too():
    x, y, _ = planted(0)
    assert L0Selector(3, loss="squared", certify=True).fit(x, y).estimator_.optimality_gap_ == 0

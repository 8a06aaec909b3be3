"""What the next best subsets cost, and which rows are taken for those of the fit."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Cox, L0Regressor, L0Selector, alternatives
from tests.linear_model.problems import classes, outcomes, planted, residual


def estimators():
    """Estimators of every kind, with rows."""
    x, y, _ = planted(0, n=80, p=12, noise=2.0)
    weights = np.random.default_rng(0).integers(0, 3, 80)
    yield L0Regressor(3), x, y, weights
    yield L0Regressor(3, fit_intercept=False, l2=0.0), sp.csr_array(x), y, None
    yield L0Regressor(3, nonnegative=True), x, y, None
    yield L0Regressor(2, groups=np.arange(12) // 2, must_keep=[3]), x, y, None
    yield L0Regressor(3), x, np.column_stack([y, 100 * y + x[:, 0]]), weights
    yield L0Regressor(3), x.astype(np.float32), y, None
    yield L0Regressor(), x, y, None
    yield L0Regressor(cv=3), x, y, None
    yield L0Regressor(3, loss="huber"), x, 100 * outcomes(0, "outliers", n=80)[1], None
    yield L0Regressor(3, loss="poisson", criterion=None), x, np.exp(y / 4), weights
    yield L0Classifier(3, class_weight="balanced"), *classes(0, n=80)[:2], weights
    yield L0Classifier(3, fit_intercept=False), *classes(0, n=80, n_classes=3)[:2], None
    yield L0Classifier(groups=np.arange(12) // 3), *classes(0, n=80, noise=3.0)[:2], None
    yield L0Cox(3), *outcomes(0, "survival", n=80)[:2], weights


@pytest.mark.parametrize("case", range(14))
def test_every_estimator_has_alternatives(case):
    estimator, x, y, weights = list(estimators())[case]
    model = estimator.fit(x, y, weights)
    before = {name: value for name, value in vars(model).items() if name != "cv"}
    found = alternatives(model, x, y, 4, sample_weight=weights)
    assert vars(model).keys() - {"cv"} == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert len(found.subsets) == 4 == len(found.to_frame("pyarrow"))
    assert (np.diff(found.costs) >= 0).all() and (found.costs > -1e-6).all()
    assert (found.criteria is None) == (model.n_features is not None or model.cv is not None)
    for subset, left, came in zip(found.subsets, found.left, found.came, strict=True):
        assert set(subset) == (set(model.support_) - set(left)) | set(came)
        assert set(left) <= set(model.support_) and not set(came) & set(model.support_)
    if model.must_keep:
        assert all({2, 3} <= set(subset) for subset in found.subsets)


def test_costs_are_those_of_least_squares():
    x, y, _ = planted(2, noise=3.0)
    model = L0Regressor(3, l2=0.1).fit(x, y)
    found = alternatives(model, x, y, 5)
    own = residual(x, y, model.support_, 0.1)
    others = np.array([residual(x, y, subset, 0.1) for subset in found.subsets])
    np.testing.assert_allclose(found.costs, (others - own) / 60)
    np.testing.assert_allclose(found.deviances, 60 * np.log(others / own))
    # The best single exchange is what `swap_gap_` states.
    assert found.costs[0] == pytest.approx(-model.swap_gap_ * y.var())


def test_criteria_are_those_of_the_choice():
    """A fit that must keep the columns of an alternative has its criterion."""
    for x, y, make in (
        (*planted(0, noise=3.0)[:2], L0Regressor),
        (*planted(0, noise=3.0)[:2], lambda **more: L0Regressor(loss="huber", **more)),
        (*classes(0, noise=3.0)[:2], L0Classifier),
        (*outcomes(1, "survival", n=100)[:2], L0Cox),
    ):
        groups = np.arange(x.shape[1]) // 2 + (np.arange(x.shape[1]) % 3 == 0)
        model = make(groups=groups).fit(x, y)
        size = model._size
        found = alternatives(model, x, y, 3)
        own = model.criterion_path_[size]
        for subset, more in zip(found.subsets, found.criteria, strict=True):
            other = make(groups=groups, must_keep=subset, max_features=size).fit(x, y)
            assert other.support_.tolist() == subset.tolist()
            if model.get_params().get("loss") != "huber":  # which starts from another size
                assert other.criterion_path_[0] - own == pytest.approx(more, abs=1e-4)


def test_names_and_kinds_of_frames():
    x, y, _ = planted(0, noise=1.0)
    names = [f"x{j}" for j in range(30)]
    for frame in (pd.DataFrame(x, columns=names),):
        model = L0Regressor().fit(frame, y)
        table = alternatives(model, frame, y, 2).to_frame()
        assert list(table.columns) == ["cost", "deviance", "criterion", "left", "came"]
        assert table["came"].str.startswith("x").all()
    assert alternatives(model, frame, y, 2).to_frame("polars").height == 2
    with pytest.raises(InputError, match="`X` has other columns"):
        alternatives(model, frame[names[::-1]], y)


def test_a_better_subset_has_a_negative_cost():
    x, y, support = planted(0, noise=0.1)
    model = L0Regressor(3, l2=0.0).fit(x, y)
    worse = [*support[:2], next(j for j in range(30) if j not in support)]
    model.support_ = np.sort(worse)
    model.coef_ = np.zeros(30)
    inside = np.column_stack([np.ones(60), x[:, model.support_]])
    model.coef_[model.support_] = np.linalg.lstsq(inside, y, rcond=None)[0][1:]
    found = alternatives(model, x, y, 1)
    assert found.costs[0] < 0 and found.subsets[0].tolist() == support.tolist()


def test_what_is_no_fit_to_these_rows_is_refused():
    x, y, _ = planted(0, noise=1.0)
    model = L0Regressor(3).fit(x, y)
    with pytest.raises(InputError, match="`estimator` is not fitted; call its `fit` first"):
        alternatives(L0Regressor(3), x, y)
    with pytest.raises(InputError, match="a L0Selector; .* such as `selector.estimator_`"):
        alternatives(L0Selector(3).fit(x, y), x, y)
    with pytest.raises(InputError, match="are not those that `estimator`"):
        alternatives(model, x[:40], y[:40])
    with pytest.raises(InputError, match="are not those that `estimator`"):
        alternatives(model, x, y, sample_weight=np.arange(60) + 1)
    for times in (2, 3):  # which gives the same coefficients, but not the same deviances
        with pytest.raises(InputError, match="are not those that `estimator`"):
            alternatives(model, x, y, sample_weight=np.full(60, times))
        with pytest.raises(InputError, match="are not those that `estimator`"):
            alternatives(model, np.tile(x, (times, 1)), np.tile(y, times))
    huber = L0Regressor(3, loss="huber").fit(x, y)
    with pytest.raises(InputError, match="are not those that `estimator`"):
        alternatives(huber, x, 2 * y)
    with pytest.raises(InputError, match="`X` has other columns"):
        alternatives(model, x[:, :-1], y)
    with pytest.raises(InputError, match="`m` must be an integer of at least 1"):
        alternatives(model, x, y, m=0)


def test_alternatives_keep_to_at_most_one_and_to_bounds():
    x, y, _ = planted(0, n=80, p=12, noise=3.0)
    model = L0Regressor(3, at_most_one=[[0, 1, 2], [5, 6, 7]]).fit(x, y)
    found = alternatives(model, x, y, 20)
    for subset in found.subsets:
        assert len({0, 1, 2} & set(subset)) <= 1 and len({5, 6, 7} & set(subset)) <= 1
    bounds = np.tile([-0.2, 0.3], (12, 1))
    model = L0Regressor(3, coef_bounds=bounds).fit(x, y)
    found = alternatives(model, x, y, 3)
    assert (np.diff(found.costs) >= 0).all() and (found.costs > -1e-6).all()


def test_the_same_rows_in_another_form_are_known():
    x, y, _ = planted(0, noise=1.0)
    x = np.column_stack([np.ones(60), x * (x > 0)])
    model = L0Regressor(3).fit(sp.csr_array(x), y)
    known = alternatives(model, sp.csc_array(x), y, 3).costs
    np.testing.assert_allclose(alternatives(model, x, y.tolist(), 3).costs, known)
    single = alternatives(model, x.astype(np.float32), y, 3).costs
    np.testing.assert_allclose(single, known, rtol=1e-3)


def test_rows_that_a_loss_fits_nearly_exactly_are_still_known():
    generator = np.random.default_rng(9)
    generator.integers(2)  # of these draws, a second fit had other coefficients
    x, y = generator.normal(size=(14, 13)), generator.normal(size=14)
    with pytest.warns(UserWarning, match="can pass through most rows"):
        model = L0Regressor(12, loss="huber").fit(x, y)
    assert len(alternatives(model, x, y, 2).subsets) == 2


def test_arguments_that_change_after_the_fit_do_not_count():
    x, y, _ = planted(0, noise=1.0)
    model = L0Regressor(3, must_keep=[4]).fit(x, y)
    table, costs = model.summary("pyarrow"), alternatives(model, x, y, 3).costs
    model.set_params(n_features=5, groups=np.arange(30) // 3, must_keep=[7, 8], nonnegative=True)
    assert model.summary("pyarrow").equals(table)
    np.testing.assert_array_equal(alternatives(model, x, y, 3).costs, costs)

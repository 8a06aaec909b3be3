"""Random parts of rows: none in two, and each with its share of every class."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.model_selection import KFold

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Cox, L0Regressor
from l0.linear_model.parts import Parts
from tests.linear_model.problems import classes, outcomes, planted


def parts(estimator, x, y, weights=None):
    return Parts(estimator, x, y, weights, clone(estimator)._asked(x, y, weights)[0])


def test_halves_have_no_row_in_common_and_equal_numbers_of_each_kind():
    x, y, _ = classes(0, n=101, n_classes=3)
    weights = (np.arange(101) % 10 > 0).astype(float)
    times = outcomes(0, "survival", n=101)[1]
    for made, kinds in (
        (parts(L0Classifier(3), x, y, weights), y),
        (parts(L0Cox(3), x, times, weights), times[:, 1]),
        (parts(L0Regressor(3), x, times[:, 0], weights), np.zeros(101)),
    ):
        generator = np.random.default_rng(0)
        first, second = made.halves(generator)
        assert not set(first) & set(second) and weights[first].all() and weights[second].all()
        for kind in np.unique(kinds):
            whole = np.sum(weights[kinds == kind] > 0)
            assert np.sum(kinds[first] == kind) == whole // 2 == np.sum(kinds[second] == kind)
        few, rest = made.split(0.3, generator)
        assert sorted([*few, *rest]) == np.flatnonzero(weights).tolist()
        assert len(few) == pytest.approx(0.3 * 90, abs=2)


def test_a_part_is_fitted_as_its_rows_alone():
    x, y, _ = planted(0, n=60, p=8, noise=1.0)
    rows, weights = np.arange(5, 45), np.arange(60) % 3 + 1.0
    names = [f"x{j}" for j in range(8)]
    expected = L0Regressor(3).fit(x[rows], y[rows], weights[rows]).coef_
    for form in (
        x,
        x.tolist(),
        sp.coo_array(x),
        pd.DataFrame(x, columns=names),
        pl.DataFrame(x, schema=names),
    ):
        model = parts(L0Regressor(3), form, pd.Series(y), weights).fitted(rows)
        np.testing.assert_allclose(model.coef_, expected, atol=1e-9)
    made = parts(L0Regressor(3), x, y, weights)
    passed_on = pickle.loads(pickle.dumps(made))  # as another process gets it
    np.testing.assert_allclose(passed_on.fitted(rows).coef_, expected, atol=1e-9)
    named = parts(L0Regressor(3, must_keep=["x5"]), pd.DataFrame(x, columns=names), y)
    assert 5 in named.fitted(rows).support_


def test_folds_of_all_rows_and_a_single_row_of_a_class_are_refused():
    x, y, _ = planted(0, n=40, noise=1.0)
    with pytest.raises(InputError, match="`cv` of the estimator lists folds of all rows"):
        parts(L0Regressor(cv=list(KFold(3).split(x))), x, y)
    assert parts(L0Regressor(cv=KFold(3)), x, y)
    assert parts(L0Regressor(cv=np.int64(3)), x, y)
    labels = np.array(["a"] * 20 + ["b"] * 19 + ["c"])
    with pytest.raises(InputError, match="`y` has one row only of 'c'"):
        parts(L0Classifier(), x, labels)
    times = np.column_stack([np.arange(40.0), np.arange(40) == 3])
    with pytest.raises(InputError, match="`y` has one event only"):
        parts(L0Cox(), x, times)
    times[:, 1] = 1 - times[:, 1]  # one row is censored, and may be in any part
    few, rest = parts(L0Cox(), x, times).split(0.5, np.random.default_rng(0))
    assert sorted([*few, *rest]) == list(range(40))

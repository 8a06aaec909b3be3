import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from l0.linear_model import L0Classifier, L0Regressor
from l0.linear_model.design import DenseDesign, standardised_design
from l0.linear_model.near_copies import near_copies


def nearly(apart, seed=0, n=200, p=20):
    """Columns of which the second is nearly the first, and their difference makes y."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    own = x[:, 1].copy()
    x[:, 1] = x[:, 0] + apart * own
    return x, own + 0.1 * generator.normal(size=n)


@pytest.mark.parametrize("l2", [None, 0.0])
@pytest.mark.parametrize("apart", [1e-2, 1e-3, 3e-5, 6e-6])
def test_a_small_difference_that_carries_the_signal_is_found(apart, l2):
    x, y = nearly(apart)
    model = L0Regressor(2, l2=l2).fit(x, y)
    assert model.support_.tolist() == [0, 1]
    assert model.score(x, y) > 0.98


@pytest.mark.parametrize("form", [np.asarray, sp.csc_array])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("apart", [2e-6, 1e-8, 1e-11])
def test_a_smaller_one_is_named(apart, sign, form):
    x, y = nearly(apart)
    x[:, 1] *= sign
    with pytest.warns(UserWarning, match=r"differ by less than 3e-06 .*: \(0, 1\); if their"):
        L0Regressor(2).fit(form(x * 10.0 ** np.arange(20)), y)
    with pytest.warns(UserWarning, match=r"\(0, 1\)"):
        L0Classifier(2).fit(form(x), y > 0)


def test_copies_and_other_columns_are_not():
    x, y = nearly(0.0)
    x = np.column_stack([x, 3 * x[:, 2] + 1, np.ones(200), np.ones(200)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        L0Regressor(2).fit(x, y)
        L0Regressor(2).fit(x.astype(np.float32), y)
    standardised = standardised_design(nearly(1e-2)[0], np.ones(200), centre=True)
    assert near_copies(standardised) == []


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_many_copies_are_compared_a_few_times(monkeypatch, dtype):
    x, _ = nearly(2e-6)
    x = np.column_stack([x[:, :2], np.tile(x[:, 2:3], 100)]).astype(dtype)
    standardised = standardised_design(x, np.ones(200), centre=True)
    compared, columns = [], DenseDesign.columns
    monkeypatch.setattr(
        DenseDesign, "columns", lambda self, which: compared.append(which) or columns(self, which)
    )
    assert near_copies(standardised) == [(0, 1)]
    assert len(compared) < 110


@pytest.mark.parametrize("apart", [4e-4, 1e-4, 1e-5])
def test_single_precision_tells_less_and_says_so(apart):
    x, y = nearly(apart)
    with pytest.warns(UserWarning, match=r"1e-03 .*: \(0, 1\); .* or `X` in double"):
        model = L0Regressor(2).fit(x.astype(np.float32), y)
    assert model.score(x, y) < 0.5  # of the two columns, which explain y, it can take one
    with pytest.warns(UserWarning, match=r"\(0, 1\)"):
        L0Classifier(2).fit(x.astype(np.float32), y > 0)


def test_rounding_errors_of_single_precision_are_no_differences():
    x, y = nearly(2e-3)
    celsius = 20 + 10 * x[:, 2]
    years = 2000 + 5 * x[:, 3]
    x = np.column_stack([x, celsius, 273.15 + celsius, 1.8 * celsius, years, years - 1900])
    x = np.column_stack([x, x[:, 4], 0.3 * x[:, 4]]).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        L0Regressor(2).fit(x, y)
        L0Regressor(2).fit(sp.csc_array(x), y)

import numpy as np
import pytest
import scipy.sparse as sp

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Cox, L0Regressor
from l0.linear_model.design import standardised_design
from l0.linear_model.rows import Model, Rows, original
from tests.linear_model.problems import planted


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_rows_are_taken_together(form):
    x = form(np.arange(12.0).reshape(4, 3))
    rows = Rows(x, np.array([1.0, 2, 3, 4]), np.array([1.0, 0, 2, 0]))
    some = rows.take(np.array([2, 0]))
    taken = some.x.toarray() if sp.issparse(some.x) else some.x
    np.testing.assert_array_equal(taken, [[6, 7, 8], [0, 1, 2]])
    assert some.y.tolist() == [3, 1] and some.weights.tolist() == [2, 1]
    assert rows.counting().y.tolist() == [1, 3]
    assert some.counting() is some


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_a_model_reads_only_its_columns(form):
    x = np.arange(12.0).reshape(4, 3)
    model = Model(np.array([0, 2]), np.array([[2.0, 0, -1]]), np.array([5.0]))
    np.testing.assert_allclose(model.scores(form(x)), x @ [[2.0], [0], [-1]] + 5)


@pytest.mark.parametrize("form", [np.asarray, sp.csc_array])
@pytest.mark.parametrize("centre", [True, False])
def test_a_model_of_standardised_columns_predicts_the_same_on_the_original_ones(form, centre):
    generator = np.random.default_rng(0)
    x = generator.normal(3, 2, size=(20, 5))
    standardised = standardised_design(form(x), generator.uniform(1, 3, 20), centre)
    columns, slopes, intercept = np.array([4, 1]), generator.normal(size=(2, 3)), np.arange(3.0)
    model = original(standardised, (slopes, intercept), columns)
    z = (x - standardised.mean)[:, columns] / standardised.scale[columns]
    np.testing.assert_allclose(model.scores(x), z @ slopes + intercept)
    assert model.columns.tolist() == [1, 4]
    assert not model.coefficients[:, [0, 2, 3]].any()


@pytest.mark.parametrize("size", [1e-45, 1e-31, 1e31, 1e60])
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_outcomes_beyond_the_precision_of_the_columns_are_refused(size, loss):
    x, y, _ = planted(0, noise=1.0)
    with pytest.raises(InputError, match=r"no float32 numbers; divide `y` by .*double precision"):
        L0Regressor(3, loss=loss).fit(x.astype(np.float32), size * y)
    assert L0Regressor(3, loss=loss).fit(x, size * y).score(x, size * y) > 0.5


@pytest.mark.parametrize(
    ("dtype", "of_x", "of_y"),
    [(np.float32, 1e-20, 1e25), (np.float32, 1e25, 1e-25), (np.float64, 1e-300, 1e100)],
)
def test_coefficients_beyond_the_precision_of_the_columns_are_refused(dtype, of_x, of_y):
    x, y, support = planted(0, noise=1.0)
    with pytest.raises(InputError, match=rf"columns {support[0]}, .*too large or too small for fl"):
        L0Regressor(3).fit((of_x * x).astype(dtype), of_y * y)


@pytest.mark.parametrize("estimator", [L0Classifier, L0Cox])
def test_slopes_beyond_the_precision_of_the_columns_are_refused(estimator):
    x, y, _ = planted(0, noise=1.0)
    outcome = y > 0 if estimator == L0Classifier else np.column_stack([np.exp(-y), y < 2])
    with pytest.raises(InputError, match="too large or too small for float32"):
        estimator(3).fit((2e-39 * x).astype(np.float32), outcome)

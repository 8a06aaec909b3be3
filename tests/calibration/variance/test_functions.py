import numpy as np
import pytest

from l0.calibration.variance.functions import variance_of
from l0.common.errors import InputError
from tests.calibration.variance import samples

WEIGHTS = np.random.default_rng(0).uniform(1, 9, 40)
X = np.random.default_rng(1).lognormal(0, 1, (3, 40))
OF = samples.delete_groups(WEIGHTS, 10)


def test_totals_have_the_variance_of_the_replicates():
    found = variance_of(lambda w: X @ w, WEIGHTS, OF)
    np.testing.assert_allclose(found.estimate, X @ WEIGHTS)
    np.testing.assert_allclose(found.standard_error**2, np.diag(found.covariance))
    np.testing.assert_allclose(
        found.standard_error**2, OF.variance((X @ OF.weights).T, X @ WEIGHTS)
    )


def test_a_number_comes_back_as_a_number_and_a_shape_as_a_shape():
    found = variance_of(lambda w: w @ X[0], WEIGHTS, OF)
    assert isinstance(found.estimate, float) and isinstance(found.standard_error, float)
    assert found.covariance.shape == (1, 1)
    found = variance_of(lambda w: np.outer(X @ w, [1, 2]), WEIGHTS, OF)
    assert found.standard_error.shape == (3, 2)
    assert found.covariance.shape == (6, 6)


def test_a_function_that_changes_its_weights_changes_nothing():
    before = WEIGHTS.copy(), OF.weights.copy()

    def spoil(w):
        w *= 2
        return w.sum()

    assert variance_of(spoil, WEIGHTS, OF).estimate == pytest.approx(2 * before[0].sum())
    np.testing.assert_array_equal(WEIGHTS, before[0])
    np.testing.assert_array_equal(OF.weights, before[1])


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (3, "`function` is a int; pass a function that takes the weights"),
        (lambda w: "much", "`function` returns a str for the weights; return a number or an array"),
        (lambda w: [w.sum(), np.inf], r"returns NaN or infinity for the weights, at 1 positi.*\(1"),
        (lambda w: w[w > 0], r"returns shape \(40,\) for the weights, and \(36,\) for column rw1"),
        (lambda w: float("nan") if (w == 0).any() else 1, "NaN or infinity for column rw1"),
    ],
)
def test_functions_that_return_something_else_are_named(function, text):
    with pytest.raises(InputError, match=text):
        variance_of(function, WEIGHTS, OF)

"""Estimates without a penalty, beside formulas and numerical derivatives."""

import numpy as np
import pytest
from scipy.optimize import minimize

from l0.common.errors import InputError
from l0.linear_model.losses import PoissonLoss
from l0.linear_model.wald import least_squares, likelihood, prepared
from tests.linear_model.problems import outcomes, planted

NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize("covariance", ["classical", "hc3"])
def test_least_squares_counts_rows_by_their_weights(covariance):
    x, y, _ = planted(0, n=40, p=4, noise=1.0)
    x = x * [0.1, 1, 1, 100] + 1
    both, counts = np.column_stack([y, y**2]), np.random.default_rng(0).integers(1, 4, 40)
    ones = np.ones(counts.sum())
    weighted = least_squares(prepared(x, counts, True, True, NAMES), both, counts, covariance)
    repeated, outcome = np.repeat(x, counts, axis=0), np.repeat(both, counts, axis=0)
    found = least_squares(prepared(repeated, ones, True, True, NAMES), outcome, ones, covariance)
    np.testing.assert_allclose(weighted.errors, found.errors, rtol=1e-8)
    z = np.column_stack([ones, repeated])
    inverse = np.linalg.pinv(z.T @ z)
    hat, slopes = z @ inverse @ z.T, inverse @ z.T @ outcome
    residual = outcome - z @ slopes
    np.testing.assert_allclose(weighted.coefficients, slopes[1:].T, rtol=1e-6)
    for column in range(2):
        if covariance == "classical":
            square = residual[:, column] @ residual[:, column] / (len(z) - 5)
            expected = square * inverse
        else:
            scaled = (residual[:, column] / (1 - np.diag(hat)))[:, None] * z
            expected = inverse @ scaled.T @ scaled @ inverse
        np.testing.assert_allclose(
            weighted.errors[column], np.sqrt(np.diag(expected))[1:], rtol=1e-5
        )
    assert weighted.degrees == counts.sum() - 5


@pytest.mark.parametrize("kind", ["two classes", "three classes", "counts", "survival"])
def test_errors_are_those_of_numerical_second_derivatives(kind):
    x, y, loss_of = outcomes(0, kind, n=120, p=3, k=2)
    weights = np.random.default_rng(0).integers(1, 3, 120).astype(float)
    loss, ones = loss_of(y, weights), kind != "survival"
    found = likelihood(prepared(x * [1, 5, 1] + 2, weights, True, ones, NAMES), loss)
    z = np.column_stack([np.ones((120, int(ones))), x * [1, 5, 1] + 2])
    m, q = z.shape[1], loss.n_slopes

    def negative(theta):
        """Minus the log-likelihood; the first of several classes has the slopes 0."""
        slopes = np.zeros((m, loss.y.shape[1]))
        slopes[:, -q:] = theta.reshape(q, m).T
        return loss.deviance(loss.evaluate(z @ slopes).value) / 2

    best = minimize(negative, np.zeros(q * m), method="BFGS", options={"gtol": 1e-6}).x
    step = 1e-4 / np.tile(np.abs(z).max(axis=0), q)
    units = np.diag(step)
    hessian = np.array(
        [
            [
                negative(best + a + b)
                - negative(best + a - b)
                - negative(best - a + b)
                + negative(best - a - b)
                for a in units
            ]
            for b in units
        ]
    ) / (4 * np.outer(step, step))
    errors = np.sqrt(np.diag(np.linalg.inv(hessian))).reshape(q, m)[:, int(ones) :]
    np.testing.assert_allclose(found.errors, errors, rtol=5e-3)
    slopes = best.reshape(q, m)[:, int(ones) :]
    assert (np.abs(found.coefficients - slopes) < 1e-2 * errors).all()
    assert found.degrees == np.inf


def test_columns_that_the_rows_do_not_determine_are_named():
    x, _, _ = planted(0, n=40, p=4)
    weights = np.ones(40)
    x[:, 1] = 3.0
    x[:, 3] = x[:, 0] - 2 * x[:, 2]
    with pytest.raises(InputError, match="sums of chosen columns before them: 'b', 'd'; pass"):
        prepared(x, weights, True, True, NAMES)
    with pytest.raises(InputError, match="columns before them: 'd'; pass"):
        prepared(x, weights, False, False, NAMES)
    with pytest.raises(InputError, match="there are 4 held-out rows for 4 coefficients"):
        prepared(x[:4, :3], weights[:4], True, True, NAMES)
    assert prepared(x[:, :3], weights, False, False, NAMES).z.shape == (40, 3)


@pytest.mark.parametrize("kind", ["two classes", "three classes", "counts", "survival"])
@pytest.mark.parametrize("wholly", [True, False])
def test_a_likelihood_without_a_maximum_is_refused(kind, wholly):
    _, y, loss_of = outcomes(0, kind, n=120, p=3, k=2)
    if kind == "survival":  # the next event always befalls the row with the largest value
        y = np.column_stack([np.arange(120.0), np.ones(120)])
        x = np.column_stack([-y[:, 0], np.sin(y[:, 0])])
        x[60:, 0] = x[60:, 0] if wholly else -60
    else:
        kept = y == y.max() if kind != "counts" else y > 0
        x = np.column_stack([kept * 1.0, np.sin(np.arange(120))])
        if not wholly:  # some of the others have the value 1 too
            x[np.flatnonzero(~kept)[::2], 0] = 1.0
    columns = prepared(x, np.ones(120), True, kind != "survival", NAMES)
    with pytest.raises(InputError, match="the coefficients grow without limit"):
        likelihood(columns, loss_of(y, np.ones(120)))


def test_a_row_that_determines_a_coefficient_alone_has_no_robust_error():
    x, y, _ = planted(0, n=40, p=2, k=2, noise=1.0)
    columns = prepared(np.column_stack([x, np.arange(40) == 7]), np.ones(40), True, True, NAMES)
    with pytest.raises(InputError, match=r"1 of the held-out rows determine a coefficient alone"):
        least_squares(columns, y[:, None], np.ones(40), "hc3")
    assert least_squares(columns, y[:, None], np.ones(40), "classical").errors.min() > 0


def test_counts_that_vary_more_than_poisson_are_said():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 2))
    columns = prepared(x, np.ones(300), True, True, NAMES)
    rate = np.exp(0.3 * x[:, 0] + 1)
    assert likelihood(columns, PoissonLoss(generator.poisson(rate) * 1.0, np.ones(300)))
    more = generator.poisson(rate * generator.gamma(1, 1, size=300)) * 1.0
    with pytest.warns(UserWarning, match=r"vary 4\.\d+ times as much as a Poisson variable"):
        likelihood(columns, PoissonLoss(more, np.ones(300)))

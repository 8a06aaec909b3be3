"""Values, gradients and second derivatives of all losses."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import mean_poisson_deviance

from l0.common.errors import InputError
from l0.linear_model.design import BLOCK
from l0.linear_model.losses import (
    BEND,
    LEAST_SCALE,
    NORMAL,
    HuberLoss,
    PoissonLoss,
    SquaredLoss,
    weighted_products,
)
from tests.linear_model.problems import LOSSES, outcomes


def made(kind, seed=0, n=60):
    """A loss of one kind, and linear predictors."""
    generator = np.random.default_rng(seed)
    weights = generator.integers(1, 4, n).astype(float)
    if kind == "several":
        loss = SquaredLoss(generator.normal(size=(n, 2)), weights)
    else:
        _, y, loss_of = outcomes(seed, kind, n=n)
        loss = loss_of(y, weights)
    return loss, 0.3 * generator.normal(size=loss.y.shape)


@pytest.mark.parametrize("kind", [*LOSSES, "several"])
def test_the_residual_is_minus_the_gradient(kind):
    loss, scores = made(kind)
    residual, step = loss.evaluate(scores).residual, 1e-5
    for row, place in [(0, 0), (7, 0), (41, scores.shape[1] - 1)]:
        moved = [scores.copy(), scores.copy()]
        moved[0][row, place] -= step
        moved[1][row, place] += step
        low, high = (loss.evaluate(s).value for s in moved)
        assert (high - low) / (2 * step) == pytest.approx(
            -loss.weights[row] * residual[row, place], rel=1e-5, abs=1e-9
        )


@pytest.mark.parametrize("kind", ["two classes", "three classes", "counts", "survival", "several"])
def test_the_hessian_is_the_change_of_the_gradient(kind):
    loss, scores = made(kind)
    columns = np.random.default_rng(1).normal(size=(60, 3))
    hessian = loss.hessian(columns, scores, loss.evaluate(scores))

    def gradient(scores):
        return -(columns.T @ (loss.weights[:, None] * loss.evaluate(scores).residual)).T.ravel()

    q, step = scores.shape[1], 1e-5
    for place in range(q):
        for column in range(3):
            move = np.zeros_like(scores)
            move[:, place] = step * columns[:, column]
            change = (gradient(scores + move) - gradient(scores - move)) / (2 * step)
            np.testing.assert_allclose(hessian[:, 3 * place + column], change, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", [*LOSSES, "several"])
def test_a_weight_of_2_is_two_rows(kind):
    loss, scores = made(kind)
    counts = np.rint(loss.weights * loss.n).astype(int)
    if kind == "survival":
        _, y, loss_of = outcomes(0, kind, n=60)
    elif kind == "several":
        y, loss_of = loss.y, SquaredLoss
    else:
        _, y, loss_of = outcomes(0, kind, n=60)
    repeated = loss_of(np.repeat(y, counts, axis=0), np.ones(counts.sum()))
    twice = np.repeat(scores, counts, axis=0)
    assert repeated.evaluate(twice).value == pytest.approx(loss.evaluate(scores).value)
    assert repeated.total(twice) == pytest.approx(loss.total(scores))
    assert (repeated.n, repeated.rows) == pytest.approx((loss.n, loss.rows))


@pytest.mark.parametrize("kind", [*LOSSES, "several"])
def test_each_row_has_some_curvature(kind):
    loss, scores = made(kind)
    assert (loss.curvature(loss.evaluate(scores)) > 0).all()


def test_counts_have_the_deviance_of_scikit_learn():
    loss, scores = made("counts")
    deviance = mean_poisson_deviance(loss.y, np.exp(scores), sample_weight=loss.weights)
    assert loss.deviance(loss.evaluate(scores).value) == pytest.approx(loss.n * deviance)
    assert loss.total(scores) == pytest.approx(loss.n * deviance / 2)
    np.testing.assert_allclose(
        loss.weights @ loss.evaluate(loss.intercept(True) + 0 * scores).residual, 0, atol=1e-12
    )
    empty = PoissonLoss(np.zeros(3), np.ones(3))
    assert empty.total(np.zeros((3, 1))) == pytest.approx(3)
    with pytest.raises(InputError, match="0 in all rows"):
        empty.check()


def test_the_scale_of_errors_is_the_best_one():
    for seed in range(5):
        loss, scores = made("outliers", seed)
        errors, weights = np.abs(loss.y - scores)[:, 0], loss.weights

        def value(scale, errors=errors, weights=weights):
            z = errors / scale
            h = np.where(z <= BEND, z**2 / 2, BEND * z - BEND**2 / 2)
            return NORMAL * scale / 2 + weights @ (scale * h)

        point = loss.evaluate(scores)
        least = minimize_scalar(value, bounds=(1e-6, 50), options={"xatol": 1e-10}).fun
        assert point.value == pytest.approx(value(point.scale))
        assert point.value == pytest.approx(least, rel=1e-7)


def test_the_scale_of_normal_errors_is_their_standard_deviation():
    errors = np.random.default_rng(0).normal(0, 3, 200_000)
    loss = HuberLoss(errors, np.ones(len(errors)))
    assert loss.evaluate(np.zeros((len(errors), 1))).scale == pytest.approx(3, rel=0.01)


def test_no_error_at_most_rows_leaves_the_least_scale():
    y = np.zeros(20)
    y[:5] = 7.0
    assert HuberLoss(y, np.ones(20)).evaluate(np.zeros((20, 1))).scale == pytest.approx(
        LEAST_SCALE, rel=1e9
    )
    point = HuberLoss(np.zeros(20), np.ones(20)).evaluate(np.zeros((20, 1)))
    assert point.scale == LEAST_SCALE and np.isfinite(point.value)


def test_weighted_products_need_no_copy_of_the_columns():
    generator = np.random.default_rng(0)
    columns = generator.normal(size=(2 * BLOCK + 7, 3))
    weights = generator.random(len(columns))
    expected = np.einsum("ni,n,nj->ij", columns, weights, columns)
    np.testing.assert_allclose(weighted_products(columns, weights), expected)

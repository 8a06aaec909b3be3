import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from l0.linear_model.losses import PoissonLoss, SquaredLoss
from l0.linear_model.newton import fit
from tests.linear_model.problems import LOSSES, outcomes


def with_ones(x):
    return np.column_stack([np.ones(len(x)), x])


@pytest.mark.parametrize("l2", [0.1, 1e-3])
@pytest.mark.parametrize("kind", LOSSES)
def test_a_fit_ends_at_the_same_place_wherever_it_starts(kind, l2):
    x, y, loss_of = outcomes(6, kind, n=200, p=5)
    loss = loss_of(y, np.ones(200))
    free = loss.has_intercept
    columns = with_ones(x) if free else x
    found = fit(loss, columns, l2, free)
    np.testing.assert_allclose(x.T @ found.point.residual / 200, l2 * found.slopes, atol=1e-6)
    generator = np.random.default_rng(0)
    for _ in range(5):
        slopes = generator.normal(size=found.slopes.shape)
        start = generator.normal(size=found.intercept.shape) if free else found.intercept
        again = fit(loss, columns, l2, free, (slopes, start))
        np.testing.assert_allclose(again.slopes, found.slopes, atol=1e-5)
        assert again.value == pytest.approx(found.value, rel=1e-9)


def test_the_fit_is_that_of_scikit_learn():
    x, y, loss_of = outcomes(0, "counts", n=200, p=5)
    loss = loss_of(y, np.ones(200))
    found = fit(loss, with_ones(x), 0.1, True)
    # There, the loss is not over the mean of y.
    other = PoissonRegressor(alpha=0.1 * y.mean(), tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(found.slopes[:, 0], other.coef_, atol=1e-5)
    assert found.intercept[0] == pytest.approx(other.intercept_, abs=1e-5)
    x, y, loss_of = outcomes(0, "three classes", n=200, p=5)
    found = fit(loss_of(y, np.ones(200)), with_ones(x), 0.1, True)
    np.testing.assert_allclose(found.slopes.sum(axis=1), 0, atol=1e-12)
    other = LogisticRegression(C=1 / (0.1 * 200), tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(found.slopes.T, other.coef_, atol=1e-5)


def test_squared_errors_take_one_step():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 3)), generator.normal(size=(50, 2))
    found = fit(SquaredLoss(y, np.ones(50)), with_ones(x), 0.0, True)
    expected = np.linalg.lstsq(with_ones(x), y, rcond=None)[0]
    np.testing.assert_allclose(np.vstack([found.intercept, found.slopes]), expected, atol=1e-8)


@pytest.mark.parametrize("mean", [1e-6, 1e9])
def test_counts_of_any_size_converge(mean):
    x, y, _ = outcomes(0, "counts", n=200, p=3)
    small = fit(PoissonLoss(y, np.ones(200)), with_ones(x), 1e-3, True)
    other = fit(PoissonLoss(mean * y, np.ones(200)), with_ones(x), 1e-3, True)
    np.testing.assert_allclose(other.slopes, small.slopes, atol=1e-6)

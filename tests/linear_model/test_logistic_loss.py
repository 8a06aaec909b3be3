import numpy as np
import pytest
from sklearn.metrics import log_loss

from l0.common.errors import InputError
from l0.linear_model.logistic_loss import LogisticLoss


@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_is_the_log_loss_of_scikit_learn(n_classes):
    generator = np.random.default_rng(0)
    codes = np.arange(40) % n_classes
    loss = LogisticLoss(codes, generator.uniform(1, 3, 40), labels=np.arange(n_classes))
    scores = generator.normal(size=loss.y.shape)
    p = loss.y - loss.evaluate(scores).residual
    p = np.column_stack([1 - p, p]) if n_classes == 2 else p
    expected = log_loss(codes, p, sample_weight=loss.weights)
    assert loss.evaluate(scores).value == pytest.approx(expected)
    assert loss.deviance(expected) == pytest.approx(2 * loss.n * expected)
    assert loss.n_slopes == n_classes - 1


def test_a_row_has_at_most_a_quarter_of_curvature():
    loss = LogisticLoss(np.arange(40) % 2, np.ones(40), labels=np.arange(2))
    for scores in (np.zeros((40, 1)), np.linspace(-900, 900, 40)[:, None]):
        curvature = 40 * loss.curvature(loss.evaluate(scores))
        assert (curvature >= 1e-6 - 1e-12).all() and (curvature <= 0.25 + 1e-12).all()


def test_a_class_without_rows_is_named():
    loss = LogisticLoss(np.array([0, 0, 2]), np.ones(3), labels=np.array(["a", "b", "c"]))
    with pytest.raises(InputError, match="no row of 'b'; pass folds"):
        loss.check()

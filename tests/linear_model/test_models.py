import numpy as np
import pytest

from l0.linear_model.choice import Question, state
from l0.linear_model.losses import SquaredLoss
from l0.linear_model.models import fitted
from l0.linear_model.rows import Rows
from tests.linear_model.problems import LOSSES, outcomes, planted


@pytest.mark.parametrize("kind", [*LOSSES, "squared"])
def test_a_model_of_the_columns_of_x_has_the_loss_of_the_fit(kind):
    if kind == "squared":
        x, y, _ = planted(0, noise=1.0)
        loss_of = SquaredLoss
    else:
        x, y, loss_of = outcomes(0, kind)
    x, none = 3 * x + 5, np.empty(0, np.int64)
    question = Question(loss_of, [2], None, none, None, patient=False, centre=True, l2=0.0)
    stated = state(Rows(x, y, np.ones(len(x))), question)
    chosen = np.array([4, 1])
    model = fitted(stated.problem, stated.standardised, stated.loss, True, chosen)
    assert model.columns.tolist() == [1, 4]
    value = stated.loss.evaluate(model.scores(x)).value
    explained = stated.problem.swap_from(chosen).value
    if kind == "squared":
        assert 2 * value == pytest.approx(stated.problem.statistics.total - explained)
    else:
        assert -2 * value == pytest.approx(explained, rel=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_a_model_within_bounds_explains_what_the_search_says(seed):
    x, y, _ = planted(seed, n=60, p=30, k=12, rho=0.8, noise=1.0)
    generator, none = np.random.default_rng(seed), np.empty(0, np.int64)
    bounds = np.sort(generator.normal(size=(30, 2)), axis=1) * [[0.5, 1]]
    bounds = np.column_stack([np.minimum(bounds[:, 0], 0), np.maximum(bounds[:, 1], 0)])
    question = Question(
        SquaredLoss, [12], None, none, None, patient=False, centre=True, l2=0.0, bounds=bounds
    )
    stated = state(Rows(x, y, np.ones(60)), question)
    chosen = generator.permutation(30)[:12]
    model = fitted(stated.problem, stated.standardised, stated.loss, True, chosen)
    slopes = model.coefficients[0]
    assert (bounds[:, 0] - 1e-12 <= slopes).all() and (slopes <= bounds[:, 1] + 1e-12).all()
    value = stated.loss.evaluate(model.scores(x)).value
    explained = stated.problem.swap_from(chosen).value
    assert 2 * value == pytest.approx(stated.problem.statistics.total - explained)

import numpy as np
import pytest

from l0.common.errors import InputError
from l0.linear_model import L0Cox
from l0.linear_model.cox_loss import CoxLoss
from tests.linear_model.problems import outcomes


def partial_likelihood(y, scores, weights):
    """Minus the logarithm of the partial likelihood, event by event."""
    time, event = y.T
    total = 0.0
    for row in np.flatnonzero(event):
        risk = time >= time[row]
        total += weights[row] * (np.log(weights[risk] @ np.exp(scores[risk])) - scores[row])
    return total


def test_it_is_the_sum_over_events():
    generator = np.random.default_rng(0)
    _, y, _ = outcomes(0, "survival", n=80)
    assert len(np.unique(y[:, 0])) < 80  # some times are equal
    weights = generator.uniform(1, 3, 80)
    loss = CoxLoss(y, weights)
    scores = generator.normal(size=(80, 1))
    expected = partial_likelihood(y, scores[:, 0], weights)
    assert loss.total(scores) == pytest.approx(expected)
    assert loss.rows == pytest.approx(weights @ y[:, 1])
    assert loss.evaluate(scores).value == pytest.approx(expected / loss.rows)
    for far in (scores + 3, scores + 900):
        np.testing.assert_allclose(loss.evaluate(far).residual, loss.evaluate(scores).residual)


def test_the_baseline_is_breslow_s():
    _, y, _ = outcomes(1, "survival", n=50)
    scores = np.random.default_rng(0).normal(size=50)
    times, hazard = CoxLoss(y, np.ones(50)).baseline(scores[:, None])
    np.testing.assert_array_equal(times, np.unique(y[:, 0]))
    for place in (0, len(times) // 2, len(times) - 1):
        events = (y[:, 1] == 1) & (y[:, 0] <= times[place])
        at_risk = [np.exp(scores)[y[:, 0] >= t].sum() for t in y[events, 0]]
        assert hazard[place] == pytest.approx(np.sum(1 / np.array(at_risk)))


def test_no_event_is_an_error():
    with pytest.raises(InputError, match="`y` has no event"):
        CoxLoss(np.column_stack([np.arange(5.0), np.zeros(5)]), np.ones(5)).check()


def test_a_step_beyond_the_range_of_numbers_costs_infinitely_much():
    """The logarithm of a sum of risks that round to 0 made such a step look best of all."""
    time = np.arange(1.0, 6.0)
    loss = CoxLoss(np.column_stack([time, np.ones(5)]), np.ones(5))
    assert loss.evaluate(-1000.0 * time[:, None]).value == np.inf
    assert loss.evaluate(-100.0 * time[:, None]).value == pytest.approx(0, abs=1e-30)
    x = np.column_stack([time, time**2, np.array([0.0, 1, 0, 0, 1])])
    model = L0Cox(2, l2=1e-6).fit(x, np.column_stack([time, np.ones(5)]))
    assert np.isfinite(model.coef_).all() and model.score(x, np.column_stack([time, np.ones(5)]))

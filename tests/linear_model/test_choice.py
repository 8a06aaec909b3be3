import numpy as np
import pytest

from l0.common.errors import InputError
from l0.linear_model import L0Regressor
from l0.linear_model.choice import PATIENCE, HeldOut, Question, choose, problem_parts, state
from l0.linear_model.group_swap import Groups
from l0.linear_model.rows import Rows
from tests.linear_model.problems import GROUPS, LOSSES, outcomes, planted, stated


def test_kept_units_must_each_add_something():
    statistics = stated(0)[0].statistics
    assert problem_parts(statistics, None, np.array([3, 4]))[0] is None
    twice = statistics.restricted(np.array([0, 1, 0]))
    with pytest.raises(InputError, match=r"`must_keep` has columns .*: \[2\]; leave them out"):
        problem_parts(twice, None, np.array([0, 2]))
    groups, kept = problem_parts(statistics, GROUPS, np.array([1]))
    assert isinstance(groups, Groups) and kept.tolist() == [1]


def test_a_criterion_stops_some_sizes_after_its_minimum():
    x, y, _ = planted(1, n=400, p=60, k=3, noise=0.5)
    model = L0Regressor(criterion="bic").fit(x, y)
    sizes = [len(columns) for columns in model.path_]
    assert sizes == list(range(model.criterion_path_.argmin() + PATIENCE + 1))
    asked = L0Regressor(criterion="bic", max_features=25).fit(x, y)
    assert len(asked.path_) == 26


def test_equal_losses_take_the_smallest_size_and_one_standard_error_counts_as_equal():
    losses = np.array([[9.0, 7.0], [3.2, 2.2], [3.1, 2.1], [3.0, 2.0]])
    held_out = HeldOut(4, losses, np.ones(2))
    assert held_out.cost(4) == 8 and held_out.equal(0.1) == 0.1
    ruled = HeldOut(4, losses, np.ones(2), one_standard_error=True)
    assert ruled.equal(0.1) == pytest.approx(0.5)  # an sd of 1 / sqrt(2), over sqrt(2)


@pytest.mark.parametrize("kind", LOSSES)
def test_the_criterion_is_the_deviance_and_the_penalty(kind):
    x, y, loss_of = outcomes(0, kind)
    none = np.empty(0, np.int64)
    question = Question(loss_of, [0, 1, 2], None, none, "bic", patient=False, centre=True, l2=0.0)
    rows = Rows(x, y, np.ones(len(x)))
    choice = choose(rows, question)
    loss = state(rows, question).loss
    points = [loss.evaluate(choice.models[size].scores(x)) for size in (0, 1, 2)]
    for size, deviance in enumerate(loss.deviances(points)):
        asked = size * loss.n_slopes * np.log(loss.rows)
        assert choice.costs[size] == pytest.approx(deviance + asked, rel=1e-5)
    assert choice.size == min(choice.costs, key=choice.costs.get)

import dataclasses

import numpy as np
import pytest
import torch

from l0.calibration import CalibrationProblem
from tests.calibration import problems


@pytest.fixture
def objective():
    return problems.context(problems.problem()).objective


def test_estimates_are_shares_of_the_scales(objective):
    problem = objective.problem
    ratios = np.random.default_rng(0).uniform(0, 2, problem.n_records)
    for records in np.arange(problem.n_records), np.arange(0, problem.n_records, 3):
        operator = objective.operator_of(records)
        estimates = operator(objective.tensor(ratios[records])).numpy() * problem.scales
        weights = ratios[records] * problem.design_weights[records]
        np.testing.assert_allclose(estimates, problem.estimate(weights, records), rtol=1e-5)


def test_the_datafit_is_nought_at_the_targets_and_grows_with_the_errors(objective):
    goal = objective.tensor(objective.problem.values / objective.problem.scales)
    assert objective.datafit(goal) == 0
    assert objective.datafit(goal * 1.1).item() == pytest.approx(0.1, rel=1e-4)
    assert objective.datafit(goal * 1.2) > objective.datafit(goal * 1.1)


def test_another_reach_is_another_objective_and_changes_nothing_in_this_one(objective):
    before = objective.importance.copy()
    reachable = np.arange(objective.problem.n_targets) > 3
    other = dataclasses.replace(objective, reachable=reachable)
    assert other.importance[:4].tolist() == [0, 0, 0, 0]
    assert other.importance.sum() == pytest.approx(1)
    np.testing.assert_array_equal(objective.importance, before)
    with pytest.raises(dataclasses.FrozenInstanceError):
        objective.reachable = reachable


def test_tensors_are_float32_on_the_device(objective):
    assert objective.tensor(np.ones(3)).dtype == torch.float32
    assert objective.device == torch.device("cpu")


def test_errors_of_amounts_that_cancel_count_as_shares_of_what_cancels():
    A = np.array([[300.0, -100, -200], [300, -100, 0], [1, 2, 3]])
    problem = CalibrationProblem.from_matrix(A, [60, 300, 6], np.ones(3))
    objective = problems.context(problem).objective
    # Of gross 600 and net 0, 600 cancel; of gross 400 and net 200, 200 cancel.
    np.testing.assert_allclose(objective.easing, [60 / 600, 1, 1])
    estimates = objective.tensor(np.array([0.0, 1.5, 1]))
    assert float(objective.datafit(estimates)) == pytest.approx((0.1 + 0.5) / 3)

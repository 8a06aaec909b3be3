import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from l0.calibration import CalibrationProblem
from l0.calibration.fitting import objective as objective_module
from l0.calibration.fitting.grouped_operator import GroupedOperator
from l0.calibration.problem.representation import SoftTargets
from l0.sparse_operator import SparseOperator
from tests.calibration import problems
from tests.calibration.fitting.matrices import nested_problem


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


@pytest.fixture
def nested_objective(monkeypatch):
    return problems.context(nested_problem(monkeypatch)).objective


@pytest.mark.parametrize("grouped", [0.0, 10.0])
def test_estimates_of_nested_targets_are_those_of_all_entries(
    grouped, nested_objective, monkeypatch
):
    monkeypatch.setattr(objective_module, "GROUPED", grouped)
    problem = nested_objective.problem
    records = np.flatnonzero(np.random.default_rng(1).random(problem.n_records) < 0.5)
    operator = nested_objective.operator_of(records)
    assert isinstance(operator, GroupedOperator if grouped else SparseOperator)
    estimates = operator(torch.ones(len(records))).numpy() * problem.scales
    expected = problem.estimate(problem.design_weights[records], records)
    np.testing.assert_allclose(estimates, expected, rtol=1e-5)


def test_objectives_of_a_problem_know_one_nesting_and_soft_targets_have_another(nested_objective):
    nesting = nested_objective.nesting
    other = dataclasses.replace(nested_objective, exact=True)
    assert nesting is not None
    assert other.nesting is nesting
    n = nested_objective.problem.n_records
    soft = SoftTargets(sp.csr_array(np.ones((1, n))), np.array([float(n)]), ["count"])
    with_soft = dataclasses.replace(nested_objective, soft=soft)
    assert with_soft.nesting is not nesting
    assert with_soft.nesting.shape == (nesting.shape[0] + 1, n)


def test_few_entries_are_not_nested(objective):
    assert objective.nesting is None


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

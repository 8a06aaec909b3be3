import dataclasses

import numpy as np
import pytest

from l0.calibration.evaluation.evaluate import evaluate
from l0.calibration.evaluation.metrics import Quality
from l0.common.errors import InputError
from tests.calibration import problems


def evaluated(problem, weights, records=None, candidates=None, reasons=None):
    records = np.arange(problem.n_records) if records is None else records
    reasons = np.full(problem.n_targets, "") if reasons is None else reasons
    candidates = np.arange(problem.n_records) if candidates is None else candidates
    return evaluate(problem, records, weights, candidates, None, reasons)


def test_the_design_weights_are_what_they_are():
    problem = problems.problem()
    metrics, tables = evaluated(problem, problem.design_weights)
    assert set(metrics) == set(Quality.__annotations__)
    assert metrics["max_weight_ratio"] == 1
    targets = tables["targets"]
    np.testing.assert_array_equal(targets["estimate"], targets["design_estimate"])
    np.testing.assert_array_equal(targets["relative_error"], targets["design_relative_error"])


def test_a_target_is_met_within_a_percent_or_its_tolerance():
    problem = problems.problem(m=3)
    factor = np.array([1.009, 1.02, 1.02])
    estimate = problem.estimate(problem.design_weights)
    problem = dataclasses.replace(
        problem, values=estimate * factor, tolerance=np.array([0, 0, 0.03])
    )
    _, tables = evaluated(problem, problem.design_weights)
    assert tables["targets"]["status"].to_pylist() == ["met", "missed", "met"]


def test_targets_out_of_reach_are_counted_with_their_reason():
    problem = problems.problem(m=3)
    reasons = np.array(["", "no record behind it", ""])
    metrics, tables = evaluated(problem, problem.design_weights, reasons=reasons)
    assert metrics["n_unreachable"] == 1
    assert tables["targets"]["status"].to_pylist()[1] == "unreachable"
    assert tables["targets"]["reason"].to_pylist()[1] == "no record behind it"


def test_records_that_are_no_candidates_are_counted():
    problem = problems.problem(n=5)
    metrics, _ = evaluated(problem, np.ones(2), records=np.array([1, 3]), candidates=np.arange(4))
    assert (metrics["n_candidates"], metrics["n_forced_out"]) == (5, 1)


def test_weights_stand_in_the_order_in_which_records_came():
    problem = problems.problem(n=5)
    order = np.array([3, 1, 0, 4, 2])
    problem = dataclasses.replace(problem, record_order=order)
    _, tables = evaluated(problem, np.arange(1.0, 6.0))
    assert tables["weights"]["weight"].to_pylist() == [3, 2, 5, 1, 4]


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_no_weight_that_is_none_becomes_a_result(bad):
    problem = problems.problem(n=3)
    with pytest.raises(InputError, match="the fit diverged"):
        evaluated(problem, np.array([1.0, bad, 1.0]))

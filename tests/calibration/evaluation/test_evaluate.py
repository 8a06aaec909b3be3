import dataclasses

import numpy as np
import pytest

from l0.calibration.evaluation.evaluate import evaluate
from l0.calibration.evaluation.metrics import Quality
from l0.calibration.fitting.refit import Fit
from l0.calibration.fitting.solver import Solution
from l0.common.errors import InputError
from tests.calibration import problems


def fit_of(problem, n_records, status="exact", signed=False, **changes):
    """Make a fit of so many records that found nothing out."""
    solution = Solution(np.ones(n_records), np.zeros(0), status, 0.0, 0.0, 1, 2, "")
    given = {
        "ratios": np.ones(n_records),
        "multipliers": np.zeros(problem.n_targets),
        "at_limit": np.zeros(problem.n_targets, dtype=bool),
        **changes,
    }
    return Fit(**given, signed=signed, solution=solution)


def evaluated(problem, weights, records=None, candidates=None, reasons=None, **fit):
    records = np.arange(problem.n_records) if records is None else records
    reasons = np.full(problem.n_targets, "") if reasons is None else reasons
    candidates = np.arange(problem.n_records) if candidates is None else candidates
    made = fit_of(problem, len(records), **fit)
    return evaluate(problem, records, weights, made, candidates, None, reasons)


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
    with pytest.raises(InputError, match="the fit diverged: some weights are not positive"):
        evaluated(problem, np.array([1.0, bad, 1.0]))


def test_weights_may_be_negative_where_the_distance_allows_it():
    problem = problems.problem(n=3)
    metrics, tables = evaluated(problem, np.array([1.0, -1.0, 1.0]), signed=True)
    assert tables["weights"]["weight"].to_pylist() == [1, -1, 1]
    assert metrics["effective_sample_size"] == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="the fit diverged: some weights are not numbers other"):
        evaluated(problem, np.array([1.0, 0.0, 1.0]), signed=True)


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("status", ["exact", "optimal", "stopped"])
def test_a_fit_is_exact_only_if_no_target_is_out_of_reach(status, lost):
    problem = problems.problem(m=3)
    reasons = np.array(["", "no record behind it" if lost else "", ""])
    metrics, _ = evaluated(problem, problem.design_weights, reasons=reasons, status=status)
    assert metrics["fit_status"] == ("optimal" if lost and status == "exact" else status)
    assert metrics["gap"] == 0


def test_a_shadow_price_is_for_a_value_one_percent_larger():
    problem = problems.problem(m=3)
    problem = dataclasses.replace(problem, values=problem.values * np.array([1, -1, 1]))
    _, tables = evaluated(
        problem, problem.design_weights,
        multipliers=np.array([2.0, 2.0, 0.0]), at_limit=np.array([True, False, False]),
    )  # fmt: skip
    assert tables["targets"]["shadow_price"].to_pylist() == pytest.approx([0.02, -0.02, 0])
    assert tables["targets"]["at_limit"].to_pylist() == [True, False, False]

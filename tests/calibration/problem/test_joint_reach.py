import dataclasses
import logging
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from l0.calibration import CalibrationProblem
from l0.calibration.problem.bounds import Bounds
from l0.calibration.problem.joint_reach import joint_reach, joint_reach_of_sums
from l0.calibration.problem.limits import read_bounds
from tests.calibration import problems


def two_areas(values=(20_000, 20_000), n=400, **more):
    """Count the records of two areas; S8 of the cases that users report."""
    w0 = np.random.default_rng(0).uniform(50, 150, n)
    area = np.arange(n) % 2
    A = np.array([area == 0, area == 1]).astype(float)
    return CalibrationProblem.from_matrix(A, values, w0, names=["A", "B"], **more)


def largest(problem, high, k):
    return high * np.sort(problem.design_weights)[-k:].sum()


def test_two_counts_that_are_too_much_together():
    problem = two_areas()
    bounds = read_bounds(problem, (None, 4))
    most = largest(problem, 4, 50)
    text = (
        f"50 records within these bounds reach together at most about {most:,.0f} of 40,000 "
        "(sum of A and B)"
    )
    reachable = np.ones(2, dtype=bool)
    assert joint_reach_of_sums(problem, bounds, 50, reachable).tolist() == [text] * 2
    assert joint_reach(problem, bounds, 50, np.array([0.5, 0.3])).tolist() == [text] * 2
    assert joint_reach_of_sums(problem, bounds, 100, reachable).tolist() == [""] * 2
    assert joint_reach_of_sums(problem, Bounds(), 50, reachable).tolist() == [""] * 2


def test_two_counts_that_are_too_little_together():
    problem = two_areas((2_000, 2_500))
    text = "50 records within these bounds give together at least about 5,"
    for found in (
        joint_reach_of_sums(problem, Bounds(2), 50, np.ones(2, dtype=bool)),
        joint_reach(problem, Bounds(2), 50, np.array([-1.0, -0.1])),
    ):
        assert found[0] == found[1]
        assert found[0].startswith(text)
        assert found[0].endswith(", more than 4,500 (sum of A and B)")


def test_a_run_goes_on_and_says_so(caplog):
    problem = two_areas()
    with caplog.at_level(logging.WARNING):
        result = problem.solve(50, bounds=(None, 4), epochs=50)
    targets = result.tables["targets"]
    assert set(targets["status"].to_pylist()) == {"missed"}
    (reason,) = set(targets["reason"].to_pylist())
    assert reason.startswith("50 records within these bounds reach together at most about 29,")
    assert caplog.messages == [reason]
    assert reason in result.summary()
    assert result.metrics["n_unreachable"] == 0


def test_nothing_is_said_of_targets_that_can_be_met(caplog):
    result = two_areas().solve(200, bounds=(None, 4), epochs=200)
    assert result.tables["targets"]["status"].to_pylist() == ["met"] * 2
    assert result.tables["targets"]["reason"].to_pylist() == [""] * 2
    assert not caplog.messages


def test_a_target_that_is_met_gets_no_reason():
    problem = two_areas((20_000, 12_000))
    result = problem.solve(50, bounds=(None, 4), epochs=50)
    targets = result.tables["targets"].to_pylist()
    for row in targets:
        assert bool(row["reason"]) == (row["status"] == "missed")
    assert any(row["reason"] for row in targets)


def test_the_frontier_warns_of_each_budget(caplog):
    two_areas().frontier([50, 40, 200], bounds=(None, 4), epochs=20)
    assert [text.split(" records")[0] for text in caplog.messages] == ["50", "40"]


def test_sums_are_of_one_variable_and_of_targets_without_common_records():
    n = 300
    sex, age = np.arange(n) % 2, np.arange(n) % 3
    A = np.vstack([np.ones(n), sex == 0, sex == 1, *(age == each for each in range(3))])
    values = [90_000, 45_000, 45_000, 30_000, 30_000, 30_000]
    names = ["all", "sex 0", "sex 1", "age 0", "age 1", "age 2"]
    problem = CalibrationProblem.from_matrix(A.astype(float), values, np.full(n, 100.0), names)
    one_by_one = np.array([name != "all" for name in problem.names])
    found = joint_reach_of_sums(problem, Bounds(high=8), 100, one_by_one)
    told = dict(zip(problem.names, found.tolist(), strict=True))
    start = "100 records within these bounds reach together at most about 80,000 of 90,000 "
    assert told == {
        "all": "",
        **{name: f"{start}(sum of age 0, age 1 and age 2)" for name in names if "age" in name},
        **{name: f"{start}(sum of sex 0 and sex 1)" for name in names if "sex" in name},
    }
    apart = dataclasses.replace(problem, variables=problem.names)  # each of its own
    assert (joint_reach_of_sums(apart, Bounds(high=8), 100, one_by_one) == "").all()


def test_many_names_are_counted():
    A = np.eye(9)
    problem = CalibrationProblem.from_matrix(A, np.full(9, 10.0), np.ones(9))
    (text,) = set(joint_reach_of_sums(problem, Bounds(high=10), 8, np.ones(9, dtype=bool)))
    assert text.endswith("at most about 80 of 90 (sum of target 0, target 1, target 2, target 3, "
                         "target 4 and 4 more)")  # fmt: skip


def test_a_small_difference_is_written_in_full():
    problem = CalibrationProblem.from_matrix(np.eye(2), [20_000.1, 20_000.1], [1, 1])
    (text,) = set(joint_reach_of_sums(problem, Bounds(high=20_000.0), 2, np.ones(2, dtype=bool)))
    assert "at most about 40,000 of 40,000.2 (sum" in text


def test_tolerances_are_granted():
    problem = two_areas((15_000, 15_000))
    bounds, both = Bounds(high=4), np.ones(2, dtype=bool)
    assert (joint_reach_of_sums(problem, bounds, 50, both) != "").all()
    patient = dataclasses.replace(problem, tolerance=np.full(2, 0.1))
    assert (joint_reach_of_sums(patient, bounds, 50, both) == "").all()


def test_a_direction_speaks_where_no_sum_does():
    """Few records can give the income or the count, and none give both."""
    n = 100
    income = np.r_[np.full(50, 1.0), np.full(50, 10.0)]
    count = np.r_[np.full(50, 1.0), np.full(50, 0.0)]
    A = np.vstack([count, income])
    problem = CalibrationProblem.from_matrix(A, [18, 110], np.ones(n), names=["count", "income"])
    bounds, k = Bounds(high=1), 20
    assert (joint_reach_of_sums(problem, bounds, k, np.ones(2, dtype=bool)) == "").all()
    # A record gives 1 and 1, or 0 and 10: 9 count + income is at most 10 k.
    found = joint_reach(problem, bounds, k, np.array([9.0, 1.0]) * problem.scales)
    assert set(found) == {
        "20 records within these bounds cannot meet count and income together: "
        "one of them stays at least 26.5% off"
    }
    assert (joint_reach(problem, bounds, k, np.array([1.0, -1.0])) == "").all()
    assert (joint_reach(problem, Bounds(), k, np.array([9.0, 1.0])) == "").all()
    assert (joint_reach(problem, bounds, k, np.zeros(2)) == "").all()


@pytest.mark.parametrize("k", [20, 100])
def test_the_multipliers_of_a_fit_find_more(caplog, k):
    """A record gives the count or the income. 20 records within the bounds do not give both."""
    income = np.r_[np.full(50, 1.0), np.full(50, 10.0)]
    count = np.r_[np.full(50, 1.0), np.full(50, 0.0)]
    A = np.vstack([count, income])
    problem = CalibrationProblem.from_matrix(A, [18, 110], np.ones(100), names=["count", "income"])
    result = problem.solve(k, bounds=(None, 1), check_scale=False)
    told = [
        row["reason"]
        for row in result.tables["targets"].to_pylist()
        if row["status"] == "missed" and row["reason"]
    ]
    assert bool(told) == (k == 20)
    assert caplog.messages == sorted(set(told))
    for text in told:
        assert text.startswith("20 records within these bounds cannot meet ")


@given(
    seed=st.integers(0, 9999),
    k=st.integers(1, 6),
    each=st.booleans(),
    low=st.sampled_from([0.0, 0.5]),
)
@settings(deadline=None, max_examples=30)
def test_what_it_says_is_so(seed, k, each, low):
    """No choice of k records meets the targets, where it says that none does."""

    rng = np.random.default_rng(seed)
    n, m = 6, 3
    A = rng.choice([0.0, 0.0, 1.0, 2.0, -1.0], (m, n))
    w0 = rng.uniform(1, 2, n)
    truth = rng.uniform(0, 3, n)
    problem = CalibrationProblem.from_matrix(A, (A * w0) @ truth, w0)
    high = rng.uniform(1, 3, n) if each else 2.0
    bounds = Bounds(low, high)
    found = [joint_reach_of_sums(problem, bounds, k, np.ones(m, dtype=bool))]
    found += [joint_reach(problem, bounds, k, rng.normal(size=m)) for _ in range(20)]
    said = [texts for texts in found if (texts != "").any()]
    for texts in said:
        concerned = texts != ""
        for chosen in combinations(range(n), k):
            of = list(chosen)
            limits = [(low, high[i] if each else high) for i in of]
            system = (A * w0)[concerned][:, of], problem.values[concerned]
            assert linprog(np.zeros(k), A_eq=system[0], b_eq=system[1], bounds=limits).status == 2


def test_it_reads_the_matrix_of_a_real_problem():
    problem = problems.problem()
    found = joint_reach(problem, Bounds(0.1, 3), 30, np.random.default_rng(0).normal(size=20))
    assert found.shape == (20,)
    assert found.dtype.kind == "U"


def limited(**limits):
    """Give limits to the counts of two areas, and to their mean weight."""
    w0 = np.random.default_rng(0).uniform(50, 150, 400)
    homes = pd.DataFrame({"w": w0, "area": list("AB") * 200})
    targets = pd.DataFrame(
        [{"variable": "count", "area": area, "name": area, **limits} for area in "AB"]
        + [{"variable": "w", "statistic": "mean", "at_most": 100.0, "name": "m"}]
    )
    return CalibrationProblem.from_frames(homes, targets, weight="w")


def test_two_limits_that_are_too_much_together():
    problem = limited(at_least=20_000)
    bounds = read_bounds(problem, (None, 4))
    found = joint_reach_of_sums(problem, bounds, 50, np.ones(3, dtype=bool))
    assert found[0] == found[1] != ""
    assert "reach together at most about" in found[0] and "of 40,000 (sum of A and B)" in found[0]
    assert found[2] == ""


def test_limits_on_the_other_side_prove_nothing():
    problem = limited(at_most=20_000)
    bounds = read_bounds(problem, (None, 4))
    assert not (joint_reach_of_sums(problem, bounds, 50, np.ones(3, dtype=bool)) != "").any()
    led = joint_reach(problem, bounds, 50, np.array([0.5, 0.5, -0.1]))
    assert not (led != "").any()

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem, Solver
from l0.common.errors import InputError


def people(seed, too_many=1.0, n=300):
    """Make totals of people and of an income. They can all be met if `too_many` is 1."""
    generator = np.random.default_rng(seed)
    kid = generator.random(n) < generator.uniform(0.2, 0.8)
    weights = generator.uniform(50, 150, n)
    A = np.vstack([np.ones(n), kid, ~kid, generator.lognormal(10, 1, n)]).astype(float)
    values = A @ (weights * generator.uniform(0.9, 1.1, n))
    values[0] *= too_many
    return CalibrationProblem.from_matrix(
        A, values, weights, names=["all", "kids", "adults", "income"]
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), too_many=st.sampled_from([0.9, 1.05, 1.3, 3.0]))
def test_an_exact_fit_names_the_targets_that_contradict_each_other(seed, too_many):
    """Whatever the seed, income is innocent."""
    with pytest.raises(InputError, match="the targets cannot all be met") as raised:
        people(seed, too_many).solve(exact=True)
    assert "all" in str(raised.value)
    assert "contradict each other by" in str(raised.value)
    assert "income" not in str(raised.value)
    assert people(seed).solve(exact=True).metrics["fit_status"] == "exact"


def test_an_exact_fit_names_a_target_out_of_reach():
    A = np.array([[1.0, 1.0], [0.0, 0.0]])
    problem = CalibrationProblem.from_matrix(A, [30, 5], [10, 10], names=["all", "none"])
    with pytest.raises(InputError, match="'none' cannot be reached \\(no record behind it\\)"):
        problem.solve(exact=True)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"bounds": (0.99, 1.01)}, "widen the bounds"), ({"n_records": 50}, "keep more records")],
)
def test_an_exact_fit_says_what_to_do(options, remedy):
    with pytest.raises(InputError, match=remedy):
        people(0, 1.02).solve(exact=True, **options)


def test_an_exact_fit_that_ran_out_of_time_blames_no_target():
    with pytest.raises(InputError, match="was stopped by max_seconds .*; raise `max_seconds`"):
        people(0).solve(exact=True, solver=Solver(max_seconds=1e-9))


def test_totals_near_the_largest_numbers_are_no_overflow():
    A = np.array([[1.0, 1.0], [0.0, 1.0]]) * 1e200
    result = CalibrationProblem.from_matrix(A, [30e200, 16e200], [10, 10]).solve()
    assert result.metrics["fit_status"] == "exact"


def test_the_kept_total_is_part_of_a_conflict():
    with pytest.raises(InputError, match="the total of the weights"):
        people(0).solve(exact=True, keep_total=True)


def test_a_frontier_checks_each_exact_fit():
    assert people(0).frontier([50, 100], exact=True).table.column("fit_status").to_pylist() == [
        "exact",
        "exact",
    ]
    with pytest.raises(InputError, match="contradict each other by"):
        people(0, 1.3).frontier([50, 100], exact=True)


def test_an_exact_fit_and_whole_weights_exclude_each_other():
    text = "`exact=True` and `integer_weights=True` exclude each other, .*; drop one of them"
    with pytest.raises(InputError, match=text):
        people(0).solve(exact=True, integer_weights=True)

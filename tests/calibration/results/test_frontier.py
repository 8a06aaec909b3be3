import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem, Frontier, Solver, frontier
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.results.search import CLOSE
from l0.common.errors import InputError
from tests.calibration import problems


@pytest.fixture(scope="module")
def traced():
    problem = problems.problem()
    return problem, problem.frontier([40, 150, 300, 40], "path", epochs=60)


def test_a_row_a_budget_the_largest_first(traced):
    problem, front = traced
    assert front.table.column("n_records").to_pylist() == [300, 150, 40]
    columns = problem.solve(5, "random", epochs=1).metrics
    assert front.table.column_names == list(columns)
    assert (front.table.column("seconds").to_numpy() > 0).all()


def test_each_budget_has_its_own_targets_out_of_reach():
    problem = problems.problem()
    # At 3 times their weight or less, 300 records can give every total; 12 can give some.
    counts = {k: (unreachable(problem, Bounds(high=3), k) != "").sum() for k in (300, 12)}
    assert counts[300] == 0 < counts[12] < problem.n_targets
    front = problem.frontier([300, 12], bounds=(None, 3), epochs=20).table.to_pylist()
    assert [row["n_unreachable"] for row in front] == list(counts.values())


def test_a_budget_that_reaches_nothing_is_named_before_the_walk():
    A = np.vstack([np.ones(100), -np.ones(100)])
    problem = CalibrationProblem.from_matrix(A, [1e4, -1e4], np.full(100, 100.0))

    def never(state):
        raise AssertionError(state)

    with pytest.raises(InputError, match="no target with an importance above 0 can be reached"):
        problem.frontier([100, 60, 2], bounds=(None, 5), epochs=20, progress=never)


def test_each_row_is_what_the_path_gives_for_that_budget_alone(traced):
    problem, front = traced
    for row in front.table.to_pylist():
        alone = problem.solve(row["n_records"], "path", epochs=60).metrics
        for name in ("loss", "effective_sample_size", "max_weight_ratio"):
            assert row[name] == pytest.approx(alone[name], rel=1e-6)


@pytest.mark.parametrize("empty", [[], (), np.array([], dtype=int)])
def test_an_empty_list_is_an_error(empty):
    with pytest.raises(InputError, match="`n_records` is empty; name at least one budget"):
        problems.problem().frontier(empty)


@pytest.mark.parametrize(
    ("budgets", "text"),
    [
        ([10, 0], "`n_records` must be an integer from 1 to the number of records, 300, got 0"),
        ([10, 301], "`n_records` must be an integer from 1 to the number of records, 300, got 301"),
        ([10, 2.5], "`n_records` must be an integer from 1 to the number of records, 300, got 2.5"),
        (100, "`n_records` is 100; pass a list of budgets"),
    ],
)
def test_bad_budgets_are_named(budgets, text):
    with pytest.raises(InputError, match=text):
        problems.problem().frontier(budgets)


def test_the_frame_is_of_the_kind_that_came_in(survey, convert):
    options = survey.options()
    front = frontier(**options, n_records=[200, 50], epochs=16)
    assert isinstance(front, Frontier)
    frame = front.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["n_records"].tolist() == [200, 50]
    assert frame["untargeted_capped_error"].notna().all()


def test_the_plot_has_a_panel_for_what_is_known(traced, tmp_path):
    pytest.importorskip("matplotlib")
    _, front = traced
    path = tmp_path / "frontier.png"
    figure = front.plot(path)
    # Nothing is known about statistics that are no target: a bare matrix.
    assert [axes.get_title()[:4] for axes in figure.axes] == ["Loss", "Effe"]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_printing_shows_a_row_a_budget(traced):
    _, front = traced
    assert repr(front) == "<Frontier of 300, 150, 40 records>"
    text = str(front)
    assert text == front.summary()
    assert max(map(len, text.splitlines())) <= 100
    assert [line.split()[0] for line in text.splitlines() if line.strip()[:1].isdigit()] == [
        "300", "150", "40",
    ]  # fmt: skip
    assert front._repr_html_().count("<tr>") == 4


def test_a_stopped_fit_is_told_below_the_table(caplog):
    problem = problems.contradicting()
    front = problem.frontier([150, 40], "random", solver=Solver(max_seconds=1e-9))
    assert front.table["fit_status"].to_pylist() == ["stopped", "stopped"]
    assert front.notes.keys() == {150, 40}
    for (note,) in front.notes.values():
        assert "The fit of the weights was stopped by max_seconds" in note
        assert note in caplog.messages
        assert note in " ".join(str(front).split())
        assert note in front._repr_html_()
    assert max(map(len, str(front).splitlines())) <= 80


# The smallest budget


def with_others(seed=0, n=300, p=12):
    """Give a problem with statistics that are no target."""
    given = problems.parts(n=n, m=8, seed=seed)
    others = np.random.default_rng(seed).lognormal(size=(p, n))
    return CalibrationProblem.from_matrix(**given, untargeted=others)


@pytest.fixture(scope="module")
def searched():
    problem = with_others()
    return problem, problem.frontier([60, 30], epochs=16)


@settings(max_examples=15, deadline=None)
@given(limit=st.floats(0.03, 0.5), seed=st.integers(0, 3))
def test_the_budget_is_within_the_limit_and_one_5_percent_smaller_is_not(limit, seed):
    found = with_others(seed).frontier([60], "pps", seed=seed).smallest(max_untargeted=limit)
    rows = {row["n_records"]: row for row in found.frontier.table.to_pylist()}
    within = {k: row["untargeted_capped_error"] <= limit for k, row in rows.items()}
    k = found.n_records
    assert k == min(budget for budget, met in within.items() if met)
    below = max((budget for budget in rows if budget < k), default=0)
    assert below == k - 1 or CLOSE * below >= k
    assert found.metrics == rows[k]


@pytest.mark.parametrize("method", ["hybrid", "path", "random"])
def test_a_further_budget_is_what_it_gives_alone(method):
    problem = with_others()
    front = problem.frontier([100], method, epochs=16, seed=4)
    found = front.smallest(max_untargeted=0.2)
    assert list(found.frontier.table["n_records"].to_pylist()) == sorted(
        found.frontier.table["n_records"].to_pylist(), reverse=True
    )
    assert found.frontier.table.num_rows > 2
    for row in found.frontier.table.to_pylist():
        alone = problem.solve(row["n_records"], method, epochs=16, seed=4).metrics
        assert {**row, "seconds": None} == {**alone, "seconds": None}
    assert front.table.num_rows == 1  # the frontier that was asked does not change


def test_the_rows_of_one_run_of_the_path_only_tell_where_to_start():
    problem = with_others()
    options = {"represent": [0, 1, 2, 3], "epochs": 16}
    front = problem.frontier([200, 40], "path", **options)
    found = front.smallest(max_untargeted=0.4)
    for row in found.frontier.table.to_pylist():
        alone = problem.solve(row["n_records"], "path", **options).metrics
        assert {**row, "seconds": None} == {**alone, "seconds": None}
    again = found.frontier.smallest(max_untargeted=0.4)
    assert again.frontier.table.equals(found.frontier.table)


def test_the_search_goes_up_where_no_budget_is_within_the_limit(searched):
    _, front = searched
    assert min(front.table["untargeted_capped_error"].to_pylist()) > 0.05
    found = front.smallest(max_untargeted=0.05)
    assert found.n_records > 60
    assert set(front.table["n_records"].to_pylist()) < set(
        found.frontier.table["n_records"].to_pylist()
    )


def test_what_is_known_is_not_solved_again(searched):
    _, front = searched
    found = front.smallest(max_untargeted=0.2)
    again = found.frontier.smallest(max_untargeted=0.2)
    assert again.n_records == found.n_records
    assert again.frontier.table.equals(found.frontier.table)


def test_both_limits_hold(searched):
    _, front = searched
    one = front.smallest(max_untargeted=0.2)
    other = front.smallest(max_loss=1e-6)
    both = front.smallest(max_untargeted=0.2, max_loss=1e-6)
    assert both.n_records >= min(one.n_records, other.n_records)
    assert both.metrics["untargeted_capped_error"] <= 0.2
    assert both.metrics["loss"] <= 1e-6


def test_the_reason_is_printed(searched):
    _, front = searched
    found = front.smallest(max_untargeted=0.2)
    text = " ".join(str(found).split())
    assert text == found.reason
    assert re.fullmatch(
        rf"{found.n_records} records are within `max_untargeted=0.2`: they have an untargeted "
        r"error of 0\.\d+. \d+ are not: they have an untargeted error of 0\.\d+.",
        text,
    )
    assert max(map(len, str(found).splitlines())) <= 80
    assert repr(found) == f"<SmallestBudget: {found.n_records} records>"


def test_one_record_can_be_enough():
    problem = CalibrationProblem.from_matrix(np.ones((1, 50)), [60], np.ones(50))
    found = problem.frontier([20], epochs=8).smallest(max_loss=0.01)
    assert found.n_records == 1
    assert found.reason.endswith(" No budget is smaller.")


def test_a_budget_that_cannot_be_chosen_ends_the_search_with_its_reason():
    problem = CalibrationProblem.from_matrix(np.ones((1, 50)), [60], np.ones(50))
    found = problem.frontier([20], must_keep=list(range(7)), epochs=8).smallest(max_loss=0.01)
    assert found.n_records == 7
    assert "6 cannot be chosen: `n_records` is 6, and `must_keep` has 7 records" in found.reason
    assert found.frontier.table["n_records"].to_pylist() == [20, 10, 7]


def test_a_limit_that_no_budget_keeps_is_an_error_with_the_best_one(searched):
    problem, front = searched
    best = problem.solve(300, epochs=16).metrics["untargeted_capped_error"]
    text = (
        r"no budget up to 300 records is within `max_untargeted=0.0001`; the best of those that "
        rf"were solved have an untargeted error of {best:.4g} with 300 records; raise the limit"
    )
    with pytest.raises(InputError, match=text):
        front.smallest(max_untargeted=1e-4)


def test_records_that_a_total_of_zero_forces_out_are_no_part_of_the_largest_budget():
    A = np.vstack([np.arange(40) < 15, np.ones(40), np.ones(40)]).astype(float)
    problem = CalibrationProblem.from_matrix(A, [0, 40, 60], np.ones(40))
    with pytest.raises(InputError, match="no budget up to 25 records is within"):
        problem.frontier([10], epochs=8).smallest(max_loss=1e-3)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({}, "`smallest` needs a limit; pass `max_untargeted`, `max_loss` or both"),
        ({"max_untargeted": 25}, "`max_untargeted` must be a number above 0 and up to 1, got 25"),
        ({"max_loss": 0}, "`max_loss` must be a number above 0 and up to 1, got 0"),
        ({"max_loss": "low"}, "`max_loss` must be a number above 0 and up to 1, got 'low'"),
    ],
)
def test_wrong_limits_are_named(searched, limits, text):
    with pytest.raises(InputError, match=text):
        searched[1].smallest(**limits)


def test_a_problem_without_untargeted_statistics_has_no_untargeted_limit(traced):
    with pytest.raises(InputError, match="there are none for 300 records; pass `max_loss`, or"):
        traced[1].smallest(max_untargeted=0.2)


@pytest.mark.parametrize(
    "lose",
    [
        copy.copy,
        lambda front: pickle.loads(pickle.dumps(front)),  # noqa: S301
        lambda front: Frontier(front.table),
    ],
    ids=["copied", "unpickled", "made from a table"],
)
def test_a_frontier_without_its_problem_says_so(searched, lose):
    front = lose(searched[1])
    assert front.table.equals(searched[1].table)
    text = "does not contain the problem .*; compute the frontier again, and call `smallest` then"
    with pytest.raises(InputError, match=text):
        front.smallest(max_loss=0.1)


def test_notes_of_further_budgets_are_kept():
    problem = problems.contradicting()
    front = problem.frontier([60], "random", solver=Solver(max_seconds=1e-9))
    found = front.smallest(max_loss=0.9)
    assert found.frontier.notes.keys() == set(found.frontier.table["n_records"].to_pylist())
    assert front.notes.keys() == {60}

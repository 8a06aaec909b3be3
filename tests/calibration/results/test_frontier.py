import numpy as np
import pandas as pd
import pytest

from l0.calibration import CalibrationProblem, Frontier, frontier
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.common.errors import InputError
from tests.calibration import problems


@pytest.fixture(scope="module")
def traced():
    problem = problems.problem()
    return problem, problem.frontier([40, 150, 300, 40], epochs=60)


def test_a_row_a_budget_the_largest_first(traced):
    problem, front = traced
    assert front.table.column("n_records").to_pylist() == [300, 150, 40]
    columns = problem.solve(5, "random", epochs=1).metrics
    assert front.table.column_names == list(columns)
    assert (np.diff(front.table.column("seconds")) > 0).all()


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

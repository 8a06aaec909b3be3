import numpy as np
import pytest

from l0.calibration.fitting.history import History, due
from tests.calibration import problems

COLUMNS = [
    "target_name", "estimate", "target", "epoch", "error", "rel_error", "abs_error",
    "rel_abs_error", "loss",
]  # fmt: skip


@pytest.fixture
def problem():
    given = problems.parts(n=20, m=3, density=0.8)
    given["values"][1] *= -1
    return problems.CalibrationProblem.from_matrix(**given)


def test_snapshots_accumulate_iterations_and_go_to_the_listener(problem):
    seen = []
    history = History(problem, seen.append)
    for stage, iterations, kept in [("select", 5, 20), ("select", 5, 12), ("refit", 3, 10)]:
        history.snapshot(stage, iterations, kept, np.zeros(3, dtype=np.float32))
    assert [state.iteration for state in seen] == [5, 10, 13]
    assert [state.stage for state in seen] == ["select", "select", "refit"]
    assert [state.n_records for state in seen] == [20, 12, 10]
    assert [state.loss for state in seen] == [1, 1, 1]
    assert 0 <= seen[0].seconds <= seen[1].seconds <= seen[2].seconds <= history.seconds
    assert history.table().to_pylist() == [vars(state) for state in seen]


def test_a_gap_is_known_or_none(problem):
    history = History(problem)
    for gap in (None, np.inf, 0.25):
        history.snapshot("refit", 1, 20, np.zeros(3), gap)
    assert history.table().column("gap").to_pylist() == [None, None, 0.25]


def test_the_log_has_a_row_a_target_and_snapshot(problem):
    history = History(problem)
    shares = np.array([[1.5, -1, 0.5], [1, -0.75, 4]], dtype=np.float32)
    history.snapshot("refit", 10, 20, shares[0])
    history.snapshot("refit", 10, 20, shares[1])
    log = history.log()
    assert log.column_names == COLUMNS
    rows = log.to_pydict()
    assert rows["target_name"] == ["t000", "t001", "t002"] * 2
    assert rows["epoch"] == [10] * 3 + [20] * 3
    np.testing.assert_allclose(rows["estimate"], (shares * problem.scales).ravel())
    np.testing.assert_array_equal(rows["target"], np.tile(problem.values, 2))
    error = np.subtract(rows["estimate"], rows["target"])
    np.testing.assert_allclose(rows["error"], error)
    np.testing.assert_allclose(rows["abs_error"], np.abs(error))
    np.testing.assert_allclose(rows["rel_error"], [0.5, 0, -0.5, 0, 0.25, 3], atol=1e-12)
    np.testing.assert_allclose(rows["rel_abs_error"], np.abs(rows["rel_error"]))
    np.testing.assert_allclose(rows["loss"], [1 / 3] * 3 + [1.25 / 3] * 3)


@pytest.mark.parametrize("epochs", [1, 7, 8, 100])
@pytest.mark.parametrize("times", [1, 8, 16])
def test_snapshots_fall_due_evenly_and_cover_the_whole_fit(epochs, times):
    since = [due(epoch, epochs, times) for epoch in range(epochs)]
    assert sum(since) == epochs
    assert since[-1] > 0
    assert 1 <= np.count_nonzero(since) <= times
    assert len({gap for gap in since[:-1] if gap}) <= 1


def test_another_history_goes_on_from_a_part(problem):
    history, seen = History(problem), []
    for number in range(4):
        history.snapshot("select", 5, 20 - number, np.full(3, number / 4))
    part = history.since(2)
    assert part.estimates.shape == (2, 3)
    other = History(problem, seen.append)
    for number in (0, 1, 7):  # the last one was made in vain
        other.snapshot("select", 5, 20 - number, np.full(3, number / 4))
    other.continue_from(2, part)
    assert len(other) == 4
    assert other.log().equals(history.log())
    first, second = (each.table().slice(2).to_pylist() for each in (history, other))
    assert first == second
    assert vars(seen[-1]) == second[-1]
    assert other.seconds >= part.seconds
    assert len(history.since(4).states) == 0

import numpy as np
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.fitting.own_records import OwnRecords
from l0.calibration.fitting.selected import Selection
from l0.calibration.selection.path import Path
from l0.common.ranks import ONE
from tests.calibration import problems
from tests.calibration.fitting.matrices import problem_to_share
from tests.thread_ranks import on_ranks


def test_it_finds_a_support_that_reproduces_planted_totals():
    problem = problems.problem(n=1000, m=20, kept=60)
    result = problem.solve(60, "path", epochs=200)
    assert result.metrics["loss"] < 1e-3
    assert result.metrics["within_1pct"] == 1


def test_it_selects_better_than_chance():
    problem = problems.problem(n=1000, m=60)
    loss = {
        method: problem.solve(60, method, epochs=200).metrics["loss"]
        for method in ("path", "random")
    }
    assert loss["path"] < 0.2 * loss["random"]


def test_the_frontier_comes_down_through_all_budgets_in_one_pass():
    context = problems.context(problems.problem(), epochs=60)
    budgets = [300, 180, 179, 40, 1]
    selections = list(Path().frontier(context, budgets))
    assert [len(selection.records) for selection in selections] == budgets
    for wide, narrow in zip(selections, selections[1:], strict=False):
        assert set(narrow.records) <= set(wide.records)
    for selection in selections:
        assert (np.diff(selection.records) > 0).all()
        assert selection.base.min() >= Path().threshold
        alone = Path().select(problems.context(context.problem, epochs=60), len(selection.records))
        np.testing.assert_array_equal(alone.records, selection.records)
        np.testing.assert_array_equal(alone.base, selection.base)


def test_ratios_stay_under_the_upper_bound():
    context = problems.context(problems.problem(), bounds=(None, 3), epochs=60)
    assert Path().select(context, 110).base.max() <= 3 * (1 + 1e-6)


def test_records_that_no_target_asks_for_leave():
    given = problems.parts(n=200, m=10)
    given["A"] = given["A"].multiply(np.arange(200) % 4 == 0).tocsr()
    given["values"] = 1.3 * given["A"] @ given["weights"]
    problem = problems.CalibrationProblem.from_matrix(**given)
    useful = np.flatnonzero(np.diff(problem.matrix.tocsc().indptr))
    context = problems.context(problem, epochs=400)
    records, ratios = next(Path().walk(context, np.arange(200), np.ones(200), [len(useful)]))
    assert set(records[ratios >= Path().threshold]) <= set(useful)


def test_companions_take_part_in_the_fit_and_are_not_chosen():
    problem = problems.problem()
    context = problems.context(problem, epochs=60)
    others = np.arange(100, 300)
    companions = Selection(np.arange(100), np.full(100, 2.9), 0.1)
    with_them = next(Path().walk(context, others, np.full(200, 0.3), [20], companions))
    alone = next(Path().walk(context, others, np.full(200, 0.3), [20]))
    assert set(with_them[0]) <= set(others)
    # The companions carry nearly all totals, so that little is left for the others.
    assert with_them[1].sum() < 0.2 * alone[1].sum()


@pytest.mark.parametrize("epochs", [1, 5])
def test_a_handful_of_epochs_ends_too(epochs):
    result = problems.problem(n=100, m=10).solve(7, "path", epochs=epochs)
    assert len(result.indices) == 7


def test_records_that_are_alike_are_thinned_out_and_do_not_leave_together():
    state = np.arange(600) % 6
    A = (state == np.arange(6)[:, None]).astype(float)
    problem = CalibrationProblem.from_matrix(A, A.sum(axis=1) * 100, np.full(600, 100.0))
    result = problem.solve(120, "path", epochs=100)
    assert result.metrics["loss"] < 1e-3
    assert np.bincount(state[result.indices], minlength=6).min() >= 10


@pytest.mark.parametrize("k", [60, 80, 200])
def test_no_record_is_kept_for_next_to_nothing(k):
    """Four counts need few records: the path leaves the others with ratios close to 0."""
    rng = np.random.default_rng(0)
    A = (rng.integers(0, 4, 400) == np.arange(4)[:, None]).astype(float)
    problem = CalibrationProblem.from_matrix(A, np.full(4, 10e3), rng.uniform(50, 150, 400))
    result = problem.solve(k, "path")
    assert result.metrics["max_error"] < 1e-6
    ratios = result.values / result.tables["weights"]["design_weight"].to_numpy()
    assert ratios.min() > 0.2 * 400 / k


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(("n_companions", "depth"), [(0, 6), (40, 6), (0, 9)])
def test_ranks_that_fit_their_own_records_find_those_of_one_process(
    size, n_companions, depth, monkeypatch
):
    shared = []

    def watched(self, records):
        take(self, records)
        shared.append(len(self.places) < len(self.records))

    take = OwnRecords._take
    monkeypatch.setattr(OwnRecords, "_take", watched)
    problem = problem_to_share(monkeypatch)
    known = problems.context(problem).objective.nesting
    others = np.arange(n_companions, 3_000)
    companions = Selection(np.arange(n_companions), np.ones(n_companions), 0.1)

    def walked(ranks):
        context = problems.context(problem, bounds=(None, 4), epochs=40, ranks=ranks, known=[known])
        given = companions if n_companions else None
        path = Path(depth=depth)
        return list(path.walk(context, others, np.ones(len(others)), [1_500, 100], given))

    alone = walked(ONE)
    assert not any(shared)
    for found in on_ranks(size, walked):
        for (records, ratios), expected in zip(found, alone, strict=True):
            np.testing.assert_array_equal(records, expected[0])
            assert ratios.tobytes() == expected[1].tobytes()
    assert any(shared)
    assert not all(shared)

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration import SELECTORS, CalibrationProblem, Hybrid, Path, Solver
from l0.calibration import trace as tracing
from l0.common.errors import InputError
from tests.calibration import problems


def with_others(seed=0, n=200):
    """Give a problem with statistics that are no target."""
    given = problems.parts(n=n, m=10, seed=seed)
    others = np.random.default_rng(seed).lognormal(size=(30, n))
    return CalibrationProblem.from_matrix(**given, untargeted=others)


def untimed(metrics):
    return {**metrics, "seconds": None}


def assert_rows_are_solves(problem, budgets, method, **options):
    """Each row of a frontier has, to the last bit, the metrics of its budget alone."""
    rows = problem.frontier(budgets, method, **options).table.to_pylist()
    assert [row["n_records"] for row in rows] == sorted(set(budgets), reverse=True)
    for row in rows:
        alone = problem.solve(row["n_records"], method, **options).metrics
        assert untimed(row) == untimed(alone)


@settings(max_examples=25, deadline=None)
@given(
    budgets=st.lists(st.integers(1, 200), min_size=1, max_size=3),
    method=st.sampled_from([name for name in SELECTORS if name != "path"]),
    seed=st.integers(0, 1_000),
    represent=st.sampled_from([None, list(range(12))]),
    bounds=st.sampled_from([None, (None, 40.0)]),
)
def test_each_row_is_what_its_budget_gives_alone(budgets, method, seed, represent, bounds):
    options = {"represent": represent, "bounds": bounds, "epochs": 8, "seed": seed}
    assert_rows_are_solves(with_others(), budgets, method, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"must_keep": np.arange(1000, 1012)},
        {"integer_weights": True},
        {"loss": "relative", "distance": "linear", "keep_total": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_so_it_is_with_other_options(options):
    assert_rows_are_solves(with_others(), [60, 30], "hybrid", epochs=8, **options)


def test_so_it_is_for_tables_with_the_soft_targets_of_each_budget(survey):
    problem = CalibrationProblem.from_frames(**survey.options())
    assert_rows_are_solves(problem, [200, 60], "hybrid", epochs=8)


def test_a_selector_with_settings_and_one_of_the_user_are_taken():
    assert_rows_are_solves(with_others(), [60, 30], Hybrid(share=0.5), epochs=8)

    class Least(Path):
        """The records of the least numbers."""

        def select(self, context, n_records):
            selection = super().select(context, n_records)
            records = np.arange(n_records)
            return type(selection)(records, np.ones(n_records), selection.mu)

    assert_rows_are_solves(with_others(), [60, 30], Least(), epochs=8)


def test_the_path_passes_all_budgets_in_one_run(monkeypatch):
    passes = []
    walk = Path.frontier

    def counted(self, context, budgets):
        passes.append(list(budgets))
        return walk(self, context, budgets)

    monkeypatch.setattr(Path, "frontier", counted)
    with_others().frontier([30, 120, 60], "path", epochs=8, represent=[0, 1, 2])
    assert passes == [[120, 60, 30]]


def test_a_budget_with_other_candidates_has_a_path_of_its_own():
    # 80 of these records have at least half of their weights, and 30 of those add to the total of
    # 0, which is then out of reach. 40 records can meet it, and the other 50 are forced out.
    A = np.vstack([np.arange(100) < 50, np.ones(100)]).astype(float)
    problem = CalibrationProblem.from_matrix(A, [0, 110], np.ones(100))
    options = {"bounds": (0.5, None), "epochs": 16}
    assert_rows_are_solves(problem, [80, 40], "path", **options)
    forced_out = problem.frontier([80, 40], "path", **options).table["n_forced_out"]
    assert forced_out.to_pylist() == [0, 50]


@pytest.mark.parametrize("bounds", [None, (None, 50.0)])
@pytest.mark.parametrize("method", ["hybrid", "path", "random"])
def test_the_full_file_is_calibrated_once(monkeypatch, method, bounds):
    fits = []
    calibrate = tracing.calibrate_full_file

    def counted(context):
        fits.append(context)
        return calibrate(context)

    monkeypatch.setattr(tracing, "calibrate_full_file", counted)
    front = with_others().frontier([90, 60, 30], method, bounds=bounds, epochs=8)
    front.smallest(max_loss=0.5)
    assert len(fits) == 1


def test_seconds_are_those_that_a_budget_added():
    problem = with_others()
    start = time.perf_counter()
    seconds = problem.frontier([90, 60, 30], epochs=8).table["seconds"].to_numpy()
    assert (seconds > 0).all()
    assert seconds.sum() <= time.perf_counter() - start


def test_the_progress_goes_on_over_all_budgets():
    states = []
    with_others().frontier([90, 30], epochs=8, progress=states.append)
    assert {state.stage for state in states} == {"full", "select", "refit"}
    for name in ("iteration", "seconds"):
        assert (np.diff([getattr(state, name) for state in states]) >= 0).all()


def test_a_stopped_fit_of_the_full_file_is_a_note_of_each_budget():
    front = with_others().frontier([90, 30], epochs=8, solver=Solver(max_seconds=1e-9))
    for notes in front.notes.values():
        assert any("The fit of the full file" in note for note in notes)
    text = " ".join(str(front).split())
    assert text.count("The fit of the full file, the reference of this one, was stopped") == 1


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="`method` is 'magic'; it must be one of 'hybrid'"):
        with_others().frontier([30], "magic")

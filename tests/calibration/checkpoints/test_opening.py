import json
import shutil

import numpy as np
import pandas as pd
import pytest

import l0
from l0.calibration.checkpoints.opening import (
    check_checkpoint,
    check_checkpoint_apart,
    opened,
)
from l0.calibration.fitting.history import History
from l0.common.errors import InputError
from tests.calibration import problems
from tests.thread_ranks import on_ranks


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The checkpoint of a run that ended, and what it gave."""
    folder = tmp_path_factory.mktemp("finished") / "kept"
    result = problems.problem().solve(30, epochs=8, checkpoint=folder)
    return folder, result


@pytest.fixture
def kept(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "kept")


def solve(kept, **options):
    return problems.problem().solve(
        30, **{"epochs": 8, "resume": True, "checkpoint": kept, **options}
    )


def test_resume_starts_anew_where_there_is_no_checkpoint(finished, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new", tmp_path / "empty"):
        result = solve(folder)
        np.testing.assert_array_equal(result.values, finished[1].values)
        assert result.run == finished[1].run


def test_neither_option_is_an_argument_of_the_result(finished):
    assert not {"checkpoint", "resume"} & finished[1].run["arguments"].keys()
    assert "checkpoint" not in finished[1].run["call"]


def test_a_finished_run_is_not_computed_again(kept, finished, monkeypatch):
    monkeypatch.setattr("l0.calibration.solve.refit", None)
    result = solve(kept)
    np.testing.assert_array_equal(result.values, finished[1].values)
    assert result.tables["calibration_log"].equals(finished[1].tables["calibration_log"])


def test_an_earlier_checkpoint_is_not_replaced(kept):
    with pytest.raises(InputError, match="of an earlier run; pass `resume=True` to go on with it"):
        solve(kept, resume=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": 4}, "`seed` is 4, and was 0. Calibrate as before"),
        ({"method": "pps"}, "`method` is 'pps', and was 'hybrid'"),
        ({"bounds": (0.5, 9)}, r"`bounds` is \(0.5, 9.0\), and was None"),
        ({"bounds": (None, np.full(300, 90))}, r"`bounds` is \(None, {'shape': \[300\], 'sha256"),
        ({"solver": l0.calibration.Solver(gap=1e-2)}, "`solver` is {'gap': 0.01"),
        ({"represent": [1]}, r"`represent` is \[1\], and was None"),
    ],
)
def test_other_arguments_are_refused(kept, options, said):
    with pytest.raises(InputError, match=f"the folder '.*kept' is of another run: {said}"):
        solve(kept, **options)
    solve(kept)  # it is still there


def test_other_quotas_are_refused(survey, tmp_path):
    problem = l0.CalibrationProblem.from_frames(**survey.options())

    def solve(least):
        quotas = pd.DataFrame({"state": ["01"], "min_records": [least]})
        kept = {"checkpoint": tmp_path / "kept", "resume": True}
        return problem.solve(60, epochs=8, quotas=quotas, **kept)

    first = solve(5)
    with pytest.raises(InputError, match="of another run: `quotas` is {'frame': 'pandas'"):
        solve(20)
    np.testing.assert_array_equal(solve(5).values, first.values)


def test_another_number_of_records_is_refused(kept):
    with pytest.raises(InputError, match="`n_records` is 31, and was 30"):
        problems.problem().solve(31, epochs=8, checkpoint=kept, resume=True)


def test_another_problem_is_refused(kept):
    said = "the matrix of targets by records differs; the values of the targets differ; the design"
    with pytest.raises(InputError, match=said):
        problems.problem(seed=1).solve(30, epochs=8, checkpoint=kept, resume=True)
    with pytest.raises(InputError, match="; and 6 more differences. Calibrate"):
        problems.problem(n=299, m=9).solve(30, epochs=8, checkpoint=kept, resume=True)


def changed(kept, change):
    run = json.loads((kept / "run.json").read_text())
    change(run)
    (kept / "run.json").write_text(json.dumps(run))


def test_another_version_is_refused(kept):
    changed(kept, lambda run: run["versions"].update({"l0-python": "0.9"}))
    with pytest.raises(InputError, match="l0-python is .*, and was 0.9"):
        solve(kept)
    changed(kept, lambda run: run.update(format=0))
    with pytest.raises(InputError, match="another version of l0 wrote the folder"):
        solve(kept)


def test_other_threads_and_packages_are_said(kept):
    changed(kept, lambda run: run["surroundings"].update(threads="96", numpy="1"))
    (note,) = [note for note in solve(kept).run["notes"] if "elsewhere" in note]
    assert "numpy: 1 -> " in note
    assert "threads: 96 -> " in note


def test_a_lost_or_damaged_description_is_said(kept):
    (kept / "run.json").write_text("{")
    with pytest.raises(InputError, match="'run.json' in the folder '.*' is damaged"):
        solve(kept)
    (kept / "run.json").write_text('{"format": 1, "argumenus": {}, "versions": [], "problem": {}}')
    with pytest.raises(InputError, match="is damaged .it lacks 'arguments', 'versions', 'surround"):
        solve(kept)
    (kept / "run.json").unlink()
    with pytest.raises(InputError, match="has lost its 'run.json'"):
        solve(kept)


def test_a_damaged_stage_is_computed_again(kept, finished):
    for file in kept.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:200])
    result = solve(kept)
    np.testing.assert_array_equal(result.values, finished[1].values)
    assert sum("is damaged" in note for note in result.run["notes"]) == 3


def test_the_form_of_both_options_is_checked(tmp_path):
    assert check_checkpoint(None, False) is None
    assert check_checkpoint(str(tmp_path), True) == tmp_path
    for given, text in (
        ((None, True), "`resume=True` needs a folder; pass `checkpoint` too"),
        ((3, False), "`checkpoint` is a int; pass the path of a folder"),
        (("x", "yes"), "`resume` must be True or False, got 'yes'"),
    ):
        with pytest.raises(InputError, match=text):
            check_checkpoint(*given)


def test_options_are_checked_before_a_folder_is_made(tmp_path):
    with pytest.raises(InputError, match="`seed`"):
        solve(tmp_path / "kept", seed=-1)
    assert list(tmp_path.iterdir()) == []


def test_the_folders_of_checkpoint_and_result_are_apart(tmp_path):
    out = tmp_path / "out"
    check_checkpoint_apart(tmp_path / "kept", out)
    for inside in (out, out / "kept", tmp_path):
        with pytest.raises(InputError, match="must be apart"):
            check_checkpoint_apart(inside, out)


def test_several_fits_keep_none(tmp_path):
    problem = problems.problem()
    with pytest.raises(InputError, match="`checkpoint`: a frontier keeps none"):
        problem.frontier([20, 30], checkpoint=tmp_path)
    with pytest.raises(InputError, match="`checkpoint`: a cross-validation keeps none"):
        problem.cross_validate(["t0*"], checkpoint=tmp_path)
    for call in (problem.frontier, problem.cross_validate):
        with pytest.raises(InputError, match="`resume`: a .* keeps no checkpoint; leave it out"):
            call([20], resume=True)
        with pytest.raises(InputError, match="`resume` must be True or False, got 'no'"):
            call([20], resume="no")
    assert len(problem.frontier([20], epochs=1, resume=np.False_).table) == 1


def test_ranks_must_have_as_many_threads():
    """Their number decides which products are shared, and so what a rank waits for."""

    def begin(ranks):
        described = {"arguments": {}, "versions": {"l0-python": "1"}, "threads": 2 + ranks.rank}
        problem = problems.problem()
        random, history = np.random.default_rng(0), History(problem)
        with opened(None, False, problem, described, random, history, ranks):
            raise AssertionError

    for found in on_ranks(2, begin):
        assert isinstance(found, InputError)
        assert "rank 1 has not what rank 0 has (the number of threads is 3, and was 2)" in str(
            found
        )

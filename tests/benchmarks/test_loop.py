"""The production loop of `SparseCalibrationWeights`, in its shape, on a small problem."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.holdout import hold_out
from tests.calibration import problems

ROOT = Path(__file__).resolve().parents[2]
LAMBDA = 0.003


@pytest.fixture(scope="module")
def job():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("loop_job")
        sys.modules.pop("loop_job")


@pytest.fixture(scope="module")
def problem():
    return CalibrationProblem.from_matrix(
        **problems.parts(n=400), groups=["family/a", "family/b", "rest", "rest"] * 5
    )


def test_chunks_with_log_checkpoint_and_resume_are_one_long_fit(job, problem, tmp_path):
    for name in ("stopped", "long"):
        (tmp_path / name).mkdir()
    long = job.Loop(problem, LAMBDA, tmp_path / "long", epochs=400)
    long.run(1)
    stopped = job.Loop(problem, LAMBDA, tmp_path / "stopped")
    stopped.run(2)
    stopped.resume()
    stopped.run(2)
    np.testing.assert_array_equal(stopped.weights, long.weights)
    columns = ["epoch", "name", "estimate", "target", "error"]
    log = pd.read_csv(tmp_path / "stopped" / "calibration_log.csv", names=columns)
    assert list(log["epoch"].unique()) == [100, 200, 300, 400]
    assert list(log["name"][:20]) == list(problem.names)
    error = job.error_of(problem, stopped.weights)
    last = log["error"][log["epoch"] == 400].abs()
    assert problem.importance @ last == pytest.approx(error, rel=1e-3)
    before = problem.relative_errors(problem.errors(problem.design_estimates))
    assert error < np.abs(before).mean() / 2
    found = job.next_chunk(stopped)
    assert found["resumed"] == found["not stopped"]


def test_calibrate_hits_the_targets_of_the_loop_with_as_many_records(job, problem, tmp_path):
    for patterns in ([], ["group:family/*"]):
        fitted = hold_out(problem, patterns)
        folder = tmp_path / str(len(patterns))
        folder.mkdir()
        loop = job.Loop(fitted, LAMBDA, folder)
        loop.run(4)
        by_loop = job.account(fitted, loop.weights, 0.0)
        assert 20 < by_loop["records"] < 400
        ours = job.by_calibrate(problem, patterns, by_loop["records"])
        assert ours["records"] == by_loop["records"]
        assert ours["error"] < by_loop["error"]
        assert (ours["held_out"] is None) == (not patterns)

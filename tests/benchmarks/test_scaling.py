"""One run of `benchmarks/scaling.py`, on a small problem."""

import importlib
import sys
from pathlib import Path

import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.fitting.program import Program
from l0.common import csr_tensors
from tests.calibration import problems

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def job():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        # The job puts its own there, for the rest of its process.
        for owner, name in ((csr_tensors, "times"), (Program, "times"), (Program, "back")):
            patch.setattr(owner, name, getattr(owner, name))
        yield importlib.import_module("scaling_job")
        sys.modules.pop("scaling_job")


def test_a_run_counts_the_reads_of_its_search_and_of_its_fits(job, tmp_path):
    problem = CalibrationProblem.from_matrix(**problems.parts(n=400))
    problem.save(tmp_path / "problem.l0")
    path, pps = (job.solved(str(tmp_path / "problem.l0"), 100, name) for name in ("path", "pps"))
    assert path["entries"] == problem.matrix.nnz
    # A search reads the matrix twice in each epoch; `pps` has none, and both have a refit.
    assert path["passes"] > 50
    assert 0 < pps["passes"] < path["passes"]
    assert set(path["stages"]) == {"select", "refit"}

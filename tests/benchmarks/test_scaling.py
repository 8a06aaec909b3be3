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
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    loaded = []

    def load(name):
        loaded.append(name)
        return importlib.import_module(name)

    yield load
    for name in loaded:
        sys.modules.pop(name)


@pytest.fixture
def job(script, monkeypatch):
    # The job puts its own there, for the rest of its process.
    for owner, name in ((csr_tensors, "times"), (Program, "times"), (Program, "back")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    return script("scaling_job")


def test_a_run_counts_the_reads_of_its_search_and_of_its_fits(job, tmp_path):
    problem = CalibrationProblem.from_matrix(**problems.parts(n=400))
    problem.save(tmp_path / "problem.l0")
    path, pps = (job.solved(str(tmp_path / "problem.l0"), 100, name) for name in ("path", "pps"))
    assert path["entries"] == problem.matrix.nnz
    # A search reads the matrix twice in each epoch; `pps` has none, and both have a refit.
    assert path["passes"] > 50
    assert 0 < pps["passes"] < path["passes"]
    assert set(path["stages"]) == {"select", "refit"}


def test_a_surface_has_a_share_of_the_targets_and_of_the_entries(script):
    make = script("surface_data").make
    whole, fewer, thinner = make(3000, 0), make(3000, 0, targets=0.1), make(3000, 0, density=0.5)
    m, n = whole.matrix.shape
    assert thinner.matrix.shape == (m, n)
    assert fewer.matrix.shape == (40 + 51 * 14 + 436 * 6, n)
    for part, share in ((fewer, 0.1), (thinner, 0.5)):
        assert part.matrix.nnz == pytest.approx(share * whole.matrix.nnz, rel=0.2)


@pytest.mark.parametrize(
    ("words", "size"),
    [([], "records"), (["--keep", "10%", "20%"], "keep"), (["--ranks", "2"], "records")],
)
def test_one_size_varies(script, monkeypatch, words, size):
    scaling, sizes = script("scaling"), []

    def measured(given, methods, threads):
        sizes.append(given)
        return iter([])

    monkeypatch.setattr(scaling, "measured", measured)
    monkeypatch.setattr(scaling, "exponent", lambda *_: 1.0)
    monkeypatch.setattr(sys, "argv", ["scaling.py", *words])
    scaling.main()
    assert len({given[size] for given in sizes}) == len(sizes) > 1
    for name in scaling.SIZES:
        assert name == size or len({given[name] for given in sizes}) == 1


def test_two_sizes_do_not_vary_at_once(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scaling.py", "--ranks", "1", "2", "--density", ".5", "1"])
    with pytest.raises(SystemExit):
        script("scaling").main()
    assert "density and ranks have several values" in capsys.readouterr().err

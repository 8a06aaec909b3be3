"""Runs that are killed, and resumed: they end with the bits of an undisturbed run."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from l0.calibration import HardConcreteGates, Hybrid, Jackknife
from l0.calibration.checkpoints import stages
from l0.calibration.checkpoints.folder import Folder
from l0.calibration.fitting import objective
from l0.calibration.selection import path
from tests.calibration import problems
from tests.calibration.fitting.matrices import nested_problem

RUNS = {
    "path": {"n_records": 40, "method": "path", "bounds": (None, 60)},
    "hard_concrete": {"n_records": 40, "method": HardConcreteGates(effort=0.5)},
    "cube": {"n_records": 40, "method": "cube"},
    "all records": {"n_records": None, "loss": "relative"},
    "replicates": {
        "n_records": 40, "must_keep": [1, 4], "method": Hybrid(share=0.5),
        "replicates": Jackknife(9), "integer_weights": True,
    },
}  # fmt: skip


class Died(BaseException):
    """No code catches it, as no code survives a lost machine."""


@pytest.fixture
def keeps_everything(monkeypatch):
    """Keep the state of a loop after each of its steps."""
    monkeypatch.setattr(stages, "EVERY", 0.0)
    monkeypatch.setattr(stages, "PATIENCE", 0.0)


def lives(monkeypatch, folder, run):
    """Run, and die after each thing that is written; give the result and the number of lives."""
    write, n_lives = Folder.write, 0

    def write_and_die(self, *content):
        write(self, *content)
        raise Died

    monkeypatch.setattr(Folder, "write", write_and_die)
    while True:
        n_lives += 1
        try:
            return run(checkpoint=folder, resume=True), n_lives
        except Died:
            pass


def assert_same(one, other):
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_array_equal(one.values, other.values)
    assert {**one.metrics, "seconds": 0} == {**other.metrics, "seconds": 0}
    assert one.run == other.run
    assert one.tables.keys() == other.tables.keys()
    for name, table in one.tables.items():
        if name == "history":
            table, same = (each.tables[name].drop_columns("seconds") for each in (one, other))
            assert table.equals(same)
        else:
            assert table.equals(other.tables[name]), name


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_dies_after_each_thing_it_keeps_ends_the_same(
    name, keeps_everything, monkeypatch, tmp_path
):
    problem = problems.contradicting(m=12)  # the interior point method has no short way here
    options = {"epochs": 16, **RUNS[name]}
    undisturbed = problem.solve(**options)
    result, n_lives = lives(
        monkeypatch, tmp_path / "kept", lambda **more: problem.solve(**options, **more)
    )
    assert_same(undisturbed, result)
    assert n_lives > 4


@pytest.mark.parametrize("method", ["path", "hybrid"])
def test_a_search_of_nested_targets_ends_the_same(method, keeps_everything, monkeypatch, tmp_path):
    # With so few records left, products with the different columns would not pay any more.
    monkeypatch.setattr(objective, "GROUPED", 1.05)
    problem = nested_problem(monkeypatch)
    options = {"n_records": 300, "method": method, "epochs": 16}
    undisturbed = problem.solve(**options)
    keep = stages.KeptStages.keep

    def keep_and_die(self, state):
        keep(self, state)
        if isinstance(state, path.State) and len(state.records) < 800:
            raise Died

    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(stages.KeptStages, "keep", keep_and_die)
        problem.solve(**options, checkpoint=tmp_path / "kept")
    result = problem.solve(**options, checkpoint=tmp_path / "kept", resume=True)
    assert_same(undisturbed, result)


def test_the_first_order_method_ends_the_same(keeps_everything, monkeypatch, tmp_path):
    monkeypatch.setattr("l0.calibration.fitting.solver.normal_matrix", lambda matrix, ranks: None)
    problem = problems.contradicting(m=12)
    undisturbed = problem.solve()
    assert undisturbed.metrics["gap"] > 0
    result, n_lives = lives(monkeypatch, tmp_path / "kept", lambda **more: problem.solve(**more))
    assert_same(undisturbed, result)
    assert n_lives > 2


def test_a_survey_ends_the_same(survey, keeps_everything, monkeypatch, tmp_path):
    import l0

    options = {**survey.options(), "n_records": 60, "method": "cube", "holdout": ["*65+*"]}
    undisturbed = l0.calibrate(**options)
    result, _ = lives(
        monkeypatch, tmp_path / "kept", lambda **more: l0.calibrate(**options, **more)
    )
    assert_same(undisturbed, result)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_at_random_moments_ends_the_same(kills):
    command = [sys.executable, "-m", "tests.calibration.checkpoints.killing", str(kills), "1"]
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["kills"] >= kills
    assert found["different"] == []

"""Whoever takes a path of a file or folder names the argument where it is none."""

from itertools import product

import numpy as np
import pytest
import torch

import l0
from l0.calibration import CalibrationProblem, CalibrationResult, compare
from l0.linear_model import L0Regressor
from l0.networks import load, save


@pytest.fixture(scope="module")
def functions():
    """Each public function of a path by its name."""
    amounts = np.random.default_rng(0).uniform(size=(3, 40))
    problem = CalibrationProblem.from_matrix(amounts, amounts.sum(axis=1), np.ones(40))
    result = problem.solve(n_records=10, epochs=10)
    network = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 2))
    sparsifier = l0.sparsify(network, torch.ones(2, 4), l0.Units(3))
    tracker = l0.PenaltyTracker()
    tracker.log("loss", 1.0)
    x = np.random.default_rng(0).normal(size=(40, 3))
    return {
        "problem.save": problem.save,
        "problem.load": CalibrationProblem.load,
        "problem.solve": lambda path: problem.solve(n_records=10, checkpoint=path),
        "result.save": result.save,
        "result.load": CalibrationResult.load,
        "result.to_html": result.to_html,
        "result.write": lambda path: result.write("homes.csv", path),
        "comparison.to_html": compare(result, result).to_html,
        "frontier.plot": problem.frontier([10, 20], epochs=10).plot,
        "networks.save": lambda path: save(sparsifier.compact(), path),
        "networks.load": lambda path: load(network, path),
        "report.plot": sparsifier.report().plot,
        "tracker.save_to_csv": tracker.save_to_csv,
        "tracker.plot_history": lambda path: tracker.plot_history(save_path=path),
        "regressor.plot_path": L0Regressor(1).fit(x, x[:, 0]).plot_path,
    }


#: What each says; None is the default of the last ones, and means that there is no file.
SAID = {
    "problem.save": "`path` is a {}; pass the path of the file to write",
    "problem.load": "`path` is a {}; pass the path of a file that `save` wrote",
    "result.save": "`folder` is a {}; pass the path of the folder to write",
    "result.load": "`folder` is a {}; pass the path of a folder that `save` wrote",
    "result.to_html": "`path` is a {}; pass the path of the file to write",
    "result.write": "`path` is a {}; pass the path of the file to write",
    "comparison.to_html": "`path` is a {}; pass the path of the file to write",
    "networks.save": "`path` is a {}; pass the path of the file to write",
    "networks.load": "`path` is a {}; pass the path of a file that `save` wrote",
    "tracker.save_to_csv": "`filepath` is a {}; pass the path of the file to write",
}
SAID_BUT_OF_NONE = {
    "problem.solve": "`checkpoint` is a {}; pass the path of a folder",
    "frontier.plot": "`path` is a {}; pass the path of the file to write",
    "report.plot": "`path` is a {}; pass the path of the file to write",
    "tracker.plot_history": "`save_path` is a {}; pass the path of the file to write",
    "regressor.plot_path": "`path` is a {}; pass the path of the file to write",
}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *product(SAID | SAID_BUT_OF_NONE, [3, b"name", ["name"]]),
        *((name, None) for name in SAID),
    ],
)
def test_what_is_no_path_is_refused(functions, name, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(l0.InputError) as raised:
        functions[name](wrong)
    said = (SAID | SAID_BUT_OF_NONE)[name]
    assert str(raised.value) == said.format(type(wrong).__name__)
    assert not list(tmp_path.iterdir())

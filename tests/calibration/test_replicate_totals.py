from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.fitting.columns import ColumnFits
from l0.calibration.fitting.refit import all_candidates, calibrate_full_file, program_of
from l0.calibration.problem.representation import SoftTargets
from l0.calibration.replicate_totals import moved_totals
from tests.calibration import problems


@pytest.mark.parametrize("loss", ["capped", "relative"])
@pytest.mark.parametrize("make", [problems.problem, problems.contradicting])
def test_totals_move_as_those_of_a_full_file_that_is_calibrated_again(make, loss, monkeypatch):
    problem = make(n=600)
    context = problems.context(problem, loss=loss, gap=1e-10)
    full_file = calibrate_full_file(context)
    n, rng = problem.n_records, np.random.default_rng(0)
    matrix = rng.uniform(0, 2, (3, n))
    soft = SoftTargets(sp.csr_array(matrix), np.ones(3), list("abc"))
    changes = 1e-3 * rng.normal(size=(n, 4))
    program, _, _ = program_of(context.objective, all_candidates(context))
    factors = np.hstack([1 + changes, np.ones((n, 1))])
    again = ColumnFits(program, full_file.solution).fit(factors).weights
    moved = (matrix * problem.design_weights) @ (again[:, :4] - again[:, 4:])
    monkeypatch.setattr("l0.calibration.replicate_totals.MOST_LEVERAGE", 0.0)
    monkeypatch.setattr("l0.calibration.fitting.linearised.BLOCK", 3 * n)
    context = replace(context, objective=replace(context.objective, soft=soft))
    found = moved_totals(context, full_file, soft, lambda rows: rows @ changes)
    np.testing.assert_allclose(found, moved, atol=0.02 * np.abs(moved).max())

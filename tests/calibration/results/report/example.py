"""A small problem with all that is hard for a page: names like markup, and odd targets."""

import numpy as np

from l0.calibration import CalibrationProblem
from l0.calibration.results.report.report import render
from tests.calibration.results.report.browser import NASTY


def problem(untargeted=True, n=120):
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 3, (8, n)).astype(float)
    matrix[7] = 0  # no record behind it
    weights = rng.uniform(50, 150, n)
    values = matrix @ (weights * rng.uniform(0.5, 1.5, n))
    values[5], values[6], values[7] = 0.0, -values[6], 10.0
    matrix[4] *= rng.choice([-1, 1], n)
    values[4] = 0.0  # of amounts of both signs, which nearly cancel
    return CalibrationProblem.from_matrix(
        matrix,
        values,
        weights,
        names=[f"target {i} {NASTY}" for i in range(8)],
        groups=[NASTY, *["plain"] * 7],
        keys=[f"{i} {NASTY}" for i in range(n)],
        untargeted=rng.uniform(0, 1, (5, n)) if untargeted else None,
    )


def rendered(result):
    return render(result.metrics, result.run, result.tables)

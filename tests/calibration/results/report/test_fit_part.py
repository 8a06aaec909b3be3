import numpy as np
import pyarrow as pa

from l0.calibration import CalibrationProblem
from l0.calibration.evaluation.metrics import score
from l0.calibration.results.report.report import render
from l0.common.formatting import percent
from tests.calibration.results.report.browser import words
from tests.calibration.results.report.example import problem, rendered


def test_shadow_prices_are_listed_with_those_that_give_way(result):
    targets = result.tables["targets"]
    n = targets.num_rows
    prices = pa.array(np.where(np.arange(n) == 3, -0.025, 0.0))
    limits = pa.array(np.arange(n) == 3)
    for name, column in (("shadow_price", prices), ("at_limit", limits)):
        targets = targets.set_column(targets.column_names.index(name), name, column)
    text = words(render(result.metrics, result.run, {**result.tables, "targets": targets}))
    assert "The 1 dearest targets" not in text and "The dearest target" in text
    assert "−0.025 yes" in text
    assert "1 target gives way: meeting it would cost more than its importance allows" in text
    free = targets.set_column(
        targets.column_names.index("shadow_price"), "shadow_price", pa.array(np.zeros(n))
    )
    text = words(render(result.metrics, result.run, {**result.tables, "targets": free}))
    assert "No target has a price here" in text


def test_before_is_the_design_weights_on_the_scales_of_the_result(page):
    p = problem()
    errors = (p.estimate(p.design_weights) - p.values) / p.scales
    assert f"{percent(score(errors, p.importance))} under the design weights" in words(page)


def test_a_target_that_is_0_but_for_rounding_is_one_of_0_before_and_after():
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    matrix = np.array([np.ones(4), [1, -1, 1, -1]])
    result = CalibrationProblem.from_matrix(matrix, [10, 1e-13], weights).solve(epochs=2)
    # The total of 0 is off by -2, where the scale is 0.01, and the other target is hit.
    assert "50% under the design weights" in words(rendered(result))

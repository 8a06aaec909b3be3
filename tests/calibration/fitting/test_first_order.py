from dataclasses import replace

import numpy as np
import pytest
import torch

from l0.calibration.fitting.certificate import Certificate
from l0.calibration.fitting.choice import normal_matrix
from l0.calibration.fitting.first_order import MAX_ITERATIONS, solve_first_order
from l0.calibration.fitting.interior_point import solve_interior_point
from tests.calibration.fitting.matrices import with_row
from tests.calibration.fitting.programs import program


def first_order(of, gap=0.05):
    return solve_first_order(of, torch.device("cpu"), Certificate(of, gap))


def contradicting(of):
    """Ask for twice the amount of a target a second time."""
    low, high = (np.append(side, 2 * side[0]) for side in (of.low, of.high))
    matrix = with_row(of.matrix, of.matrix.row(0))
    return replace(of, matrix=matrix, share=np.append(of.share, of.share[0]), low=low, high=high)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("tolerance", [0.0, 0.05])
@pytest.mark.parametrize(
    ("distance", "bounds"),
    [("raking", None), ("raking", (0.5, 2.0)), ("linear", None), ("logit", (0.5, 2.0))],
)
def test_it_comes_near_the_optimum_and_its_gap_is_true(distance, bounds, tolerance, squared):
    of = contradicting(
        program(k=300, m=12, distance=distance, bounds=bounds, tolerance=tolerance,
                squared=squared, pull=0.1)
    )  # fmt: skip
    best = solve_interior_point(of, normal_matrix(of.matrix), Certificate(of, 1e-9)).primal
    found = first_order(of)
    assert best <= found.primal * (1 + 1e-9)
    assert found.primal <= 1.1 * best
    assert found.dual <= best * (1 + 1e-9)
    # Primal and dual are those of the ratios and multipliers that it returns.
    assert found.primal == pytest.approx(of.primal(found.q, of.times(found.q)))
    lam = found.multipliers
    assert found.dual == pytest.approx(of.dual(lam, of.back(lam))[0])
    if not squared:
        assert (np.abs(lam) <= of.share * (1 + 1e-12)).all()
    assert found.certified or found.stopped == "iterations"


def test_it_ends_when_the_gap_is_reached():
    of = contradicting(program(k=300, m=12, pull=0.1))
    assert first_order(of, gap=0.5).iterations < first_order(of, gap=1e-9).iterations
    assert first_order(of, gap=1e-9).stopped == "iterations"
    assert of.passes > 2 * MAX_ITERATIONS


def test_the_total_of_the_weights_is_met():
    of = contradicting(program(k=300, m=12, pull=0.1))
    parts = np.random.default_rng(0).dirichlet(np.ones(300))
    low = np.append(of.low, 1.0)
    of = replace(
        of, matrix=with_row(of.matrix, parts), low=low,
        high=np.append(of.high, 1.0), share=np.append(of.share, np.inf), total=True,
    )  # fmt: skip
    found = first_order(of)
    assert parts @ found.q == pytest.approx(1, rel=1e-12)
    assert found.gap <= 0.05

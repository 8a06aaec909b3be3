import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration.fitting.selected import SelectedRatios, Selection, clamp_log_, log_limits
from l0.calibration.problem.bounds import Bounds
from tests.calibration import problems

lows = st.just(0.0) | st.floats(1e-3, 1)
highs = st.just(math.inf) | st.floats(1.001, 1e3)


@pytest.fixture
def selection():
    records = np.arange(0, 300, 3)
    return Selection(records, np.linspace(0.5, 2, len(records)), mu=0.1)


def test_it_starts_at_the_base_where_it_costs_nothing(selection):
    objective = problems.context(problems.problem()).objective
    ratios = SelectedRatios(objective, selection)
    assert ratios.penalty().item() == pytest.approx(0, abs=1e-6)
    everyone = np.zeros(300)
    everyone[selection.records] = selection.base
    expected = objective.problem.estimate(everyone * objective.problem.design_weights)
    estimates = ratios.estimates().detach().numpy() * objective.problem.scales
    np.testing.assert_allclose(estimates, expected, rtol=1e-5)


def test_the_penalty_grows_with_mu(selection):
    objective = problems.context(problems.problem()).objective
    costs = []
    for mu in (0.1, 0.2):
        ratios = SelectedRatios(objective, Selection(selection.records, selection.base, mu))
        ratios.log_ratios.data += 0.5
        costs.append(ratios.penalty().item())
    assert costs[1] == pytest.approx(2 * costs[0])


def test_ratios_are_clamped_to_the_bounds_of_their_records():
    problem = problems.problem(n=20)
    high = np.linspace(1, 3, 20)
    objective = problems.context(problem, bounds=(0.5, high)).objective
    records = np.array([2, 7, 19])
    chosen = SelectedRatios(objective, Selection(records, np.array([0.1, 9.0, 2.0]), 0.1))
    chosen.clamp_()
    clamped = chosen.log_ratios.detach().exp()
    np.testing.assert_allclose(clamped, [0.5, high[7], 2.0], rtol=1e-6)
    assert chosen.log_ratios.requires_grad


@given(
    low=lows,
    high=highs,
    ratios=hnp.arrays(np.float32, 6, elements=st.floats(2**-20, 2**20, width=32)),
)
def test_logarithms_are_clamped(low, high, ratios):
    logs = torch.tensor(ratios).log().requires_grad_()
    clamp_log_(logs, log_limits(Bounds(low, high), logs))
    np.testing.assert_allclose(logs.detach().exp(), np.clip(ratios, low, high), rtol=1e-5)
    assert logs.requires_grad


@given(low=hnp.arrays(float, 6, elements=lows), high=hnp.arrays(float, 6, elements=highs),
       ratios=hnp.arrays(np.float32, 6, elements=st.floats(2**-20, 2**20, width=32)))  # fmt: skip
def test_logarithms_are_clamped_to_the_limits_of_their_record(low, high, ratios):
    logs = torch.tensor(ratios).log().requires_grad_()
    clamp_log_(logs, log_limits(Bounds(low, high), logs))
    np.testing.assert_allclose(logs.detach().exp(), np.clip(ratios, low, high), rtol=1e-5)

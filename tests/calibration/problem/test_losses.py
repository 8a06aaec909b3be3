from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.problem.losses import LOSSES, get_loss
from l0.common.errors import InputError
from tests.calibration import problems

errors = st.floats(-30, 30)


@given(e=errors)
def test_capped_is_the_absolute_error(e):
    assert LOSSES["capped"](torch.tensor(e)).item() == pytest.approx(abs(e), rel=1e-6)


@given(e=errors)
def test_relative_is_the_square(e):
    assert LOSSES["relative"](torch.tensor(e)).item() == pytest.approx(e**2, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@given(e=errors, further=st.floats(1, 3))
def test_losses_are_zero_at_a_hit_symmetric_and_grow(name, e, further):
    loss = get_loss(name)
    assert loss(torch.tensor(0.0)) == 0
    assert loss(torch.tensor(e)) == loss(torch.tensor(-e))
    assert loss(torch.tensor(e * further)) >= loss(torch.tensor(e))


def test_capped_pulls_all_missed_targets_alike():
    error = torch.tensor([-5.0, 0.01, 1000.0], requires_grad=True)
    get_loss("capped")(error).sum().backward()
    assert error.grad.tolist() == [-1, 1, 1]


@pytest.mark.parametrize("name", ["huber", "", None, ["capped"]])
def test_an_unknown_loss_lists_the_known_ones(name):
    with pytest.raises(InputError, match=r"`loss` is .*one of 'capped', 'relative'"):
        get_loss(name)


@pytest.mark.parametrize("loss", LOSSES)
@given(share=st.floats(-1, 1), beyond=st.floats(0, 0.5))
@settings(max_examples=20, deadline=None)
def test_errors_within_the_tolerance_cost_nothing_and_beyond_count_from_its_edge(
    loss, share, beyond
):
    problem = problems.problem(n=20, m=2, density=0.8)
    problem = replace(problem, tolerance=np.array([0.1, 0.0]), importance=np.array([0.75, 0.25]))
    context = problems.context(problem, loss=loss)
    goal = context.objective.tensor(np.sign(problem.values))
    inside = torch.tensor([0.1 * share * (1 - 1e-5), 0.0])
    assert context.objective.datafit(goal + inside).item() == pytest.approx(0, abs=1e-6)
    outside = context.objective.datafit(goal + torch.tensor([0.1 + beyond, 0.0])).item()
    assert outside == pytest.approx(
        0.75 * get_loss(loss)(torch.tensor(beyond)).item(), rel=1e-4, abs=1e-6
    )


def test_targets_out_of_reach_do_not_count_in_the_fit():
    problem = problems.problem(n=20, m=4, density=0.8)
    reachable = np.array([True, False, True, True])
    context = problems.context(problem, reachable=reachable)
    goal = context.objective.tensor(np.sign(problem.values))
    assert context.objective.datafit(goal + torch.tensor([0.0, 9.0, 0.0, 0.0])) == 0
    assert context.objective.datafit(
        goal + torch.tensor([0.3, 9.0, 0.3, 0.3])
    ).item() == pytest.approx(0.3)

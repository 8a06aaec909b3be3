"""Steps of Adam: those of `torch.optim`, without what it loads."""

from __future__ import annotations

import subprocess
import sys

import torch

from l0.calibration.selection.adam import Adam


def test_the_steps_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    starts = [torch.randn(size, generator=generator) for size in (5, 3)]
    rates = (0.1, 0.02)

    def loss(parameters: list[torch.Tensor]) -> torch.Tensor:
        one, other = parameters
        return (one**2).sum() + (one.sum() * other.exp()).sum()

    ours = [start.clone().requires_grad_() for start in starts]
    adam = Adam(ours, rates)
    theirs = [start.clone().requires_grad_() for start in starts]
    groups = [{"params": [one], "lr": rate} for one, rate in zip(theirs, rates, strict=True)]
    reference = torch.optim.Adam(groups, fused=True)
    for _ in range(20):
        adam.minimize(loss(ours))
        reference.zero_grad()
        loss(theirs).backward()
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_it_goes_on_from_a_state() -> None:
    def begun() -> tuple[list[torch.Tensor], Adam]:
        parameters = [torch.ones(3).requires_grad_(), torch.zeros(2).requires_grad_()]
        return parameters, Adam(parameters, [0.1, 0.2])

    def steps(parameters: list[torch.Tensor], adam: Adam) -> None:
        for _ in range(5):
            adam.minimize(sum(((part - 3) ** 2).sum() for part in parameters))

    ours, adam = begun()
    steps(ours, adam)
    theirs, other = begun()
    other.continue_from(adam.state)
    assert adam.state.steps == 5
    for pair in ((ours, adam), (theirs, other)):
        steps(*pair)
    for one, same in zip(ours, theirs, strict=True):
        assert torch.equal(one, same)


def test_a_selection_does_not_load_the_compiler() -> None:
    code = """
import sys
import numpy as np
from l0.calibration import CalibrationProblem
rows = np.random.default_rng(0).random((3, 40))
CalibrationProblem.from_matrix(rows, rows.sum(axis=1), np.ones(40)).solve(10, epochs=5)
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)

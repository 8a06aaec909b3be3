"""Deterministic gates on units."""

import torch

from l0.networks.gates.hadamard import CLOSED_BELOW, HadamardUnits


def gates_at(*values):
    gate = HadamardUnits(len(values), True)
    with torch.no_grad():
        gate.gate.v.copy_(torch.tensor(values) ** (1 / gate.gate.depth))
    return gate


def test_gates_under_the_threshold_count_as_closed_and_a_little_above_it_as_undecided():
    gate = gates_at(0.0, 0.9 * CLOSED_BELOW, 2 * CLOSED_BELOW, 20 * CLOSED_BELOW, 1.0)
    assert gate.openness().tolist() == [0, 0, 1, 1, 1]
    assert gate.undecided().tolist() == [False, False, True, False, False]
    assert (gate.settled() > 0).tolist() == [False, False, True, True, True]
    assert gate()[1] > 0  # training goes on with the value that it has


def test_there_is_no_noise():
    gate = gates_at(0.3, 0.7)
    before, state = gate(), torch.get_rng_state()
    gate.draw(torch.Generator().manual_seed(1))
    assert torch.equal(before, gate())
    assert torch.equal(state, torch.get_rng_state())


def test_the_square_of_the_parameter_is_penalised():
    gate = gates_at(0.0, 0.25, 1.0)
    assert torch.allclose(gate.penalised(), torch.tensor([0.0, 0.5, 1.0]))
    assert torch.isclose(gate.penalised().sum(), gate.gate.get_penalty())


def test_closed_gates_settle():
    assert HadamardUnits.spares
    assert torch.allclose(HadamardUnits(2, False)(), torch.full((2,), 0.5))

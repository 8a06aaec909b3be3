"""The gates of all groups as vectors."""

import pytest
import torch

from l0.networks.gates.families import FAMILIES
from l0.networks.gates.gate_vector import GateVector

SIZES = [3, 1, 4]


def vector(name="hadamard", seed=0):
    return GateVector([FAMILIES[name](n, False) for n in SIZES], seed)


@pytest.mark.parametrize("name", FAMILIES)
def test_vectors_have_one_group_after_the_other_in_double_precision(name):
    gates = vector(name)
    assert len(gates) == 3
    assert [gates[i] for i in range(3)] == list(gates)
    gates[1].alive[:] = False
    for found in (gates.settled(), gates.openness()):
        assert found.shape == (8,)
        assert found.dtype == torch.float64
        assert [bool(part.any()) for part in gates.split(found)] == [True, False, True]
    assert gates.alive().tolist() == [True] * 3 + [False] + [True] * 4
    assert len(gates.parameters()) == 3


def test_keeping_some_closes_all_others():
    gates, alive = vector(), torch.tensor([1, 0, 1, 1, 0, 0, 1, 0]).bool()
    gates.keep(alive)
    assert torch.equal(gates.alive(), alive)
    assert torch.equal(gates.settled() > 0, alive)
    assert [gate.alive.tolist() for gate in gates] == [part.tolist() for part in gates.split(alive)]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_penalty_is_the_sum_over_groups(name):
    gates, prices = vector(name), torch.arange(8.0, dtype=torch.float64)
    parts = gates.split(prices.float())
    expected = sum((gate.penalised() * part).sum() for gate, part in zip(gates, parts, strict=True))
    assert torch.isclose(gates.penalty(prices), expected)
    assert gates.penalty(prices).requires_grad
    nothing = gates.penalty(None)
    assert nothing == 0
    nothing += 2  # a loss may be added to it, or have no other part
    nothing.backward()
    assert not any(p.grad.any() for p in gates.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_reading_has_what_the_gates_say(name):
    gates = vector(name)
    gates.keep(torch.tensor([1, 0, 1, 1, 0, 0, 1, 0]).bool())
    for learn in (True, False):
        now = gates.read()
        assert torch.equal(now.openness, gates.openness())
        assert torch.equal(now.alive, gates.alive())
        assert now.learn == gates.learn == learn
        for gate in gates:
            gate.constant.copy_(gate.settled())


def samples(step, seed=0):
    gates = vector("hard_concrete", seed)
    gates.draw(step)
    return torch.cat([gate() for gate in gates])


def test_noise_depends_on_the_seed_and_the_step_only():
    assert torch.equal(samples(5), samples(5))
    assert not torch.equal(samples(5), samples(6))
    assert not torch.equal(samples(5), samples(5, seed=1))
    first, _, last = samples(5).split(SIZES)
    assert not torch.equal(first, last[:3])  # groups do not share their noise


@pytest.mark.parametrize("name", FAMILIES)
def test_the_state_is_a_copy_and_restores_all(name):
    gates = vector(name)
    before, state = gates.settled(), gates.state()
    gates.keep(torch.arange(8) % 2 == 0)
    with torch.no_grad():
        for parameter in gates.parameters():
            parameter.mul_(0.5)
    assert not torch.equal(gates.settled(), before)
    gates.restore(state)
    assert torch.equal(gates.settled(), before)
    assert gates.alive().all()

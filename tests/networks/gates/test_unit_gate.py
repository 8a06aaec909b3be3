"""What holds for every family of gates."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l0.networks.gates.families import FAMILIES
from l0.networks.gates.unit_gate import UnitGate

GATES = pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)


def closed(make, alive):
    gate = make(len(alive), True)
    gate.alive.copy_(torch.tensor(alive))
    return gate


@GATES
@given(alive=st.lists(st.booleans(), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_units_that_were_closed_for_good_are_0_in_every_respect(make, alive, seed):
    gate = closed(make, alive)
    gate.draw(torch.Generator().manual_seed(seed))
    for part in (gate(), gate.eval()(), gate.settled(), gate.openness()):
        assert part.shape == (len(alive),)
        assert not part[~gate.alive].any()
    assert 0 <= gate.openness().min() <= gate.openness().max() <= 1
    assert not gate.settled().requires_grad


@GATES
def test_evaluation_gives_the_settled_values_and_no_noise(make):
    gate = make(50, False).eval()
    before = gate()
    gate.draw(torch.Generator().manual_seed(0))
    assert torch.equal(gate(), before)
    assert torch.equal(gate.settled(), before)


@GATES
def test_the_gradient_of_the_penalty_closes_gates(make):
    gate, costs = make(5, False), torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    (parameter,) = gate.parameters()
    (slope,) = torch.autograd.grad((costs * gate.penalised()).sum(), parameter)
    assert slope[0] == 0
    assert (slope[1:] > 0).all()
    before = gate.eval().openness().sum(), gate.settled().sum()
    with torch.no_grad():
        parameter -= 0.1 * slope
    assert gate.openness().sum() <= before[0]
    assert gate.settled().sum() < before[1]


@GATES
def test_gates_that_start_open_pass_weights_unchanged(make):
    gate = make(8, True).eval()
    assert torch.allclose(gate(), torch.ones(8))
    assert not gate.undecided().any()


@GATES
def test_the_state_has_the_closed_units(make):
    gate = closed(make, [True, False, True])
    other = make(3, True)
    other.load_state_dict(gate.state_dict())
    assert torch.equal(other.alive, gate.alive)
    assert torch.equal(other.eval()(), gate.eval()())


def test_a_family_must_say_what_its_gates_are():
    gate = UnitGate(3)
    for method in (gate, gate.settled, gate.openness, gate.undecided, gate.penalised):
        with pytest.raises(NotImplementedError):
            method()

"""Stochastic gates on units."""

import torch

from l0.networks.gates.hard_concrete import HardConcreteUnits


def drawn(gate, seed):
    gate.draw(torch.Generator().manual_seed(seed))
    return gate()


def test_a_draw_depends_on_its_generator_alone():
    gate = HardConcreteUnits(100, False)
    state = torch.get_rng_state()
    assert torch.equal(drawn(gate, 1), drawn(gate, 1))
    assert not torch.equal(drawn(gate, 1), drawn(gate, 2))
    assert torch.equal(state, torch.get_rng_state())


def test_samples_are_as_often_open_as_the_openness_says():
    gate = HardConcreteUnits(20_000, False)
    z = drawn(gate, 3)
    share = (z > 0).double().mean()
    deviation = (share * (1 - share) / len(z)).sqrt()
    assert abs(share - gate.openness().double().mean()) < 4 * deviation
    assert 0 <= z.min() <= z.max() <= 1


def test_gates_far_from_either_end_are_undecided():
    gate = HardConcreteUnits(3, True)
    with torch.no_grad():
        gate.gate.qz_logits.copy_(torch.tensor([-9.0, 0.0, 9.0]))
    assert gate.undecided().tolist() == [False, True, False]
    assert not HardConcreteUnits.spares


def test_the_probabilities_of_open_gates_are_penalised():
    gate = HardConcreteUnits(3, False)
    assert torch.equal(gate.penalised().detach(), gate.openness())


def test_noise_is_no_part_of_the_state():
    gate = HardConcreteUnits(4, True)
    drawn(gate, 0)
    assert not any("noise" in key for key in gate.state_dict())

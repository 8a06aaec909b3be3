"""What the callbacks share."""

import pytest
import torch

from l0.common.errors import InputError
from l0.networks import Params, sparsify
from l0.networks.callback_helpers import add_gradient, holds_gates
from tests.networks.training import make


@pytest.fixture
def pair():
    model, inputs = make("mlp")
    return model, sparsify(model, inputs, Params(0.3), total_steps=10)


def test_an_optimiser_of_the_parameter_groups_holds_gates(pair):
    model, sparsifier = pair
    groups = sparsifier.param_groups(lr=1e-3)
    assert holds_gates(torch.optim.Adam(groups), sparsifier)
    assert holds_gates(torch.optim.Adam(groups[1:]), sparsifier)
    assert not holds_gates(torch.optim.Adam(groups[:1]), sparsifier)


def test_gates_and_weights_in_one_group_are_refused(pair):
    model, sparsifier = pair
    with pytest.raises(
        InputError, match=r"`optimizer` trains .* sparsifier.param_groups\(lr=...\)"
    ):
        holds_gates(torch.optim.Adam(model.parameters()), sparsifier)


def test_the_gradient_of_the_penalty_is_added_with_its_scale(pair):
    model, sparsifier = pair
    for _ in range(3):
        sparsifier.step()
    gates = sparsifier.gates.parameters()
    expected = torch.autograd.grad(sparsifier.penalty(), gates)
    assert any(gradient.abs().sum() > 0 for gradient in expected)
    for gate in gates:
        gate.grad = torch.ones_like(gate)
    add_gradient(sparsifier, 4.0)
    for gate, gradient in zip(gates, expected, strict=True):
        assert torch.allclose(gate.grad, 1 + 4 * gradient)
    own = sparsifier.param_groups(lr=1.0)[0]["params"]
    assert all(parameter.grad is None for parameter in own)


def test_there_is_no_gradient_while_the_target_is_met(pair):
    _, sparsifier = pair
    add_gradient(sparsifier)
    assert not any(
        gate.grad is not None and gate.grad.any() for gate in sparsifier.gates.parameters()
    )

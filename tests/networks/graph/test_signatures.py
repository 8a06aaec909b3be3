"""Parts of a pass that are alike."""

import pytest
import torch
from torch import nn

from l0.networks.graph.passes import recorded
from l0.networks.graph.signatures import signature_of
from tests.networks.nets import NETS


def test_blocks_of_a_transformer_are_alike():
    model, inputs = (make() for make in NETS["transformer"])
    tape = recorded(model, inputs).tapes[0]
    first, second = (signature_of(tape, f"layers.{i}.attention.q") for i in range(2))
    assert first[0] == second[0]
    assert (first[1], second[1]) == (["layers.0.attention.out"], ["layers.1.attention.out"])
    assert signature_of(tape, "layers.0.attention.v")[0] != first[0]
    assert signature_of(tape, "layers.0.up")[0] != signature_of(tape, "layers.0.down")[0]


@pytest.mark.parametrize(("other", "alike"), [([1, 0, 2], True), ([2, 1, 0], False)])
def test_constants_that_place_channels_are_told_apart(other, alike):
    layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))
    a, b = torch.tensor([1, 0, 2]), torch.tensor(other)
    layers.forward = lambda x: layers[2](layers[1](layers[0](x)[:, a])[:, b])
    tape = recorded(layers, torch.randn(2, 3)).tapes[0]
    assert (signature_of(tape, "0")[0] == signature_of(tape, "1")[0]) == alike

"""What a recorded pass holds."""

import torch
from torch import nn

from l0.networks.graph.passes import recorded
from tests.networks.nets import NETS


def names(tape):
    return [event.name for event in tape.events]


def test_operations_between_layers_are_recorded_without_views_and_without_those_inside():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Unflatten(1, (2, 3)), nn.Flatten())
    model.append(nn.Linear(6, 2))
    tape = recorded(model, torch.randn(2, 4)).tapes[0]
    assert names(tape) == ["0", "relu", "4"]
    assert tape.calls == {"0": [0], "4": [2]}
    assert tape.outputs[0].shape == (2, 2)


def test_the_model_is_as_before_and_draws_nothing():
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS["resnet"])
    state = torch.get_rng_state()
    recorded(model, inputs)
    assert torch.equal(state, torch.get_rng_state())
    assert not any("forward" in vars(module) for module in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_sums_of_residual_streams_are_found_with_the_axis_of_their_channels():
    model, inputs = (make() for make in NETS["resnet"])
    tape = recorded(model, inputs).tapes[0]
    sums = [event for event in tape.events if event.cut_axis is not None]
    assert [(event.outputs[0].shape[1], event.cut_axis) for event in sums] == [
        (6, 1),
        (8, 1),
        (8, 1),
    ]

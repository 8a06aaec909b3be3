"""Parameters that belong to no layer: the axis of their channels is found, or named."""

import pytest
import torch
from torch import nn

from l0.common.errors import InputError
from l0.networks import Units, sparsify
from l0.networks.graph.dependencies import find_units
from tests.networks.taught import Stream, Window
from tests.networks.unequal import largest_difference


class Scaled(nn.Module):
    """A scale and a shift along other axes than the last one, and one number for all."""

    def __init__(self, mixed=False):
        super().__init__()
        self.first, self.last = nn.Conv1d(2, 6, 3, padding=1), nn.Conv1d(6, 3, 1)
        self.scale, self.factor = nn.Parameter(torch.randn(6, 1)), nn.Parameter(torch.ones(1))
        self.register_buffer("places", torch.randn(6, 5))
        self.register_buffer("unread", torch.randn(6))
        self.mixed = mixed

    def forward(self, x):
        y = self.first(x) * self.scale * self.factor + self.places
        return self.last(y.relu() * (self.scale.sum() if self.mixed else 1))


def test_the_axis_of_channels_is_found_by_marking():
    torch.manual_seed(0)
    model, x = Scaled(), torch.randn(2, 2, 5)
    types = find_units(model, x).types
    assert {n: types[n].axis for n in ("scale", "places")} == {"scale": 0, "places": 0}
    sparsifier = sparsify(model, x, Units(4))
    small = sparsifier.compact()
    assert small.scale.shape == (4, 1) and small.places.shape == (4, 5)
    assert largest_difference(sparsifier, x) < 1e-6


def test_a_table_of_biases_loses_heads_with_its_attention():
    torch.manual_seed(0)
    model, x = Stream(Window()), torch.randn(2, 6, 5)
    sparsifier = sparsify(model, x, {"attention*": Units(2)})
    small = sparsifier.compact().attention
    assert small.relative_position_bias_table.shape == (11, 2)
    assert small.num_heads == 2


def test_an_axis_that_is_named_is_tried_even_if_marks_say_nothing():
    torch.manual_seed(0)
    x = torch.randn(2, 2, 5)
    with pytest.raises(InputError, match="parameter or buffer that belongs to no layer"):
        sparsify(Scaled(mixed=True), x, Units(4))
    with pytest.raises(InputError, match="no unit that can be removed"):  # its sum changes
        sparsify(Scaled(mixed=True), x, Units(4), loose_parameters={"scale": 0})
    assert sparsify(Scaled(), x, Units(4), loose_parameters={"sc*": -2}).compact()


@pytest.mark.parametrize(
    ("loose", "message"),
    [
        ({"bias": 0}, "`loose_parameters` names 'bias', which matches no parameter or buffer"),
        ({"scale": 2}, r"gives the axis 2 for 'scale', which has the shape \(6, 1\)"),
        ({"scale": True}, "gives the axis True for 'scale'"),
        ({"unread": 0}, "names 'unread', which matches 'unread', and the model does not read it"),
        (["scale"], r"`loose_parameters` is \['scale'\]; give a dict"),
    ],
)
def test_bad_names_and_axes(loose, message):
    with pytest.raises(InputError, match=message):
        sparsify(Scaled(), torch.randn(2, 2, 5), Units(4), loose_parameters=loose)


@pytest.mark.parametrize("kept", ["parameter", "buffer"])
@pytest.mark.parametrize("only_in_training", [False, True])
def test_float8_outside_the_layers_is_refused_and_model_float_helps(kept, only_in_training):
    class Coarse(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)
            scale = torch.ones(6).to(torch.float8_e4m3fn)
            if kept == "buffer":
                self.register_buffer("scale", scale)
            else:
                self.scale = nn.Parameter(scale, requires_grad=False)

        def forward(self, x):
            x = self.a(x).relu()
            read = self.training or not only_in_training
            return self.b(x * self.scale.float() if read else x)

    x = torch.randn(3, 4)
    with pytest.raises(InputError, match=r"`model` has float8 outside .* 'scale'.*model.float\(\)"):
        sparsify(Coarse(), x, Units(3))
    assert sparsify(Coarse().float(), x, Units(3)).compact().scale.shape == (3,)

"""Functions that hold layers of a model are found, and others are left alone."""

import functools

import pytest
from torch import nn
from torch.nn import functional as F

from l0.networks.held_layers import holds_layers


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2))

    def method(self, x):
        return self.inner(x)


MODEL, OTHER = Model(), nn.Linear(2, 2)
inner = nn.ReLU()


def calls(function):
    return lambda x: function(x)


def reads_a_global(x):
    return MODEL.inner(x)


def with_default(x, layer=MODEL.inner[0]):
    return layer(x)


def in_a_list(layers):
    return lambda x: layers[0](x)


@pytest.mark.parametrize(
    "value",
    [
        reads_a_global,
        with_default,
        calls(MODEL.inner),
        calls(MODEL.method),
        calls(calls(reads_a_global)),
        calls(functools.partial(OTHER.forward, MODEL)),
        in_a_list([MODEL.inner]),
        in_a_list({0: MODEL}),
        [F.relu, reads_a_global],
        {"act": (reads_a_global,)},
        functools.partial(reads_a_global),
    ],
)
def test_functions_that_hold_a_layer_are_found(value):
    assert holds_layers(value, MODEL)


@pytest.mark.parametrize(
    "value",
    [
        F.relu,
        calls(F.relu),
        calls(OTHER),
        in_a_list([OTHER]),
        lambda x: x.inner,  # `inner` is a layer of this file, and another thing here
        functools.partial(F.leaky_relu, negative_slope=0.1),
        nn.ReLU,
        # A copy of the model copies these.
        MODEL.inner,
        [MODEL.inner],
        MODEL.method,
        functools.partial(F.linear, weight=MODEL.inner[0].weight),
        functools.partial(OTHER.forward, MODEL),
        "text",
        None,
    ],
)
def test_all_else_is_left_alone(value):
    assert not holds_layers(value, MODEL)

"""Layers, their states and sums make channels, and states are given to layers."""

import pytest
import torch

from l0.networks.graph.passes import recorded
from l0.networks.graph.places import State, given_states, made_at
from tests.networks.nets import NETS
from tests.networks.taught import Handed


def shapes(tape, place):
    return [[tuple(out.shape) for out in outputs] for _, _, outputs in made_at(tape, place)]


def test_a_layer_makes_its_channels_in_each_call_and_a_sum_in_one_event():
    model, inputs = (make() for make in NETS["transformer"])
    tape = recorded(model, inputs).tapes[0]
    assert shapes(tape, "layers.0.up") == [[(3, 7, 16)]]
    cut = next(i for i, event in enumerate(tape.events) if event.cut_axis is not None)
    assert shapes(tape, cut) == [[(3, 7, 12)]]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_states_have_the_channels_of_outputs_or_hidden_ones():
    tape = recorded(Handed(), torch.randn(2, 6, 5)).tapes[0]
    assert shapes(tape, "encoder") == [[(6, 2, 4), (1, 2, 4)]]
    assert shapes(tape, State("encoder", "inner")) == [[(1, 2, 8)]]
    (first,), (second,) = (tape.calls[name] for name in ("encoder", "decoder"))
    assert not list(given_states(tape, tape.events[first]))
    given = list(given_states(tape, tape.events[second]))
    assert [state for state, _ in given] == [State("decoder", "out"), State("decoder", "inner")]
    assert [x.shape[-1] for _, x in given] == [4, 8]

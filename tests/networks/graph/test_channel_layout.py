"""The channels that the positions of an axis belong to."""

import pytest
from torch import nn

from l0.networks.graph.channel_layout import positions_along
from l0.networks.graph.known_types import type_of


@pytest.mark.parametrize(
    ("layer", "name", "axis", "side"),
    [
        (nn.Linear(6, 4), "weight", 1, "in"),
        (nn.Conv2d(6, 4, 3, groups=2), "weight", 1, "in"),
        (nn.GRU(3, 4, bidirectional=True), "weight_hh_l0", 0, "out"),
    ],
)
def test_an_axis_has_the_channels_in_blocks(layer, name, axis, side):
    layout = type_of(layer).layout(layer)
    at = positions_along(layout, side, getattr(layer, name).shape[axis])
    n = layout.count(side) // layout.repeats.get(side, 1)
    assert at.tolist() == [i % n for i in range(len(at))]


def test_sides_that_are_multiplied_are_known():
    layer = nn.LSTM(3, 4)
    layout = type_of(layer).layout(layer)
    assert layout.reads_side("in") and layout.reads_side("out") and not layout.reads_side("inner")
    norm = type_of(nn.LayerNorm(3)).layout(nn.LayerNorm(3))
    assert not norm.reads_side("in") and norm.over_channels

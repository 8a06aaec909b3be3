"""Where a layer has its channels: in its input, its output, and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

Role = Literal["dense", "source", "through", "fixed"]
Side = Literal["in", "out", "inner"]

#: For each parameter and buffer of a layer, what each of its axes counts.
Axes = Mapping[str, tuple[Side | None, ...]]


@dataclass(frozen=True, eq=False)
class ChannelLayout:
    """Where one layer has its channels, and what it does with them.

    Attributes
    ----------
    role : str
        "dense" layers mix all their input channels, "source" layers make channels from indices,
        "through" layers keep channels apart, "fixed" layers cannot lose channels.
    n_in, n_out, n_inner : int
        Numbers of input and output channels, and of channels that the layer makes and reads
        itself. Those of input and output are equal for "through", except for depthwise
        convolutions with a multiplier.
    axis_in, axis_out : int
        Axis of the channels in the input and in the output.
    axes : mapping of str to tuple
        As for :class:`LayerType`.
    reads : mapping of str to int
        For each weight that multiplies channels, the axis of these channels.
    multiplied : tuple of str
        The parameters of which each entry is one multiply-add for each position.
    sizes : mapping of str to str
        As for :class:`LayerType`.
    repeats : mapping of str to int
        In how many equal parts the channels of a side come: the groups of a convolution, or the
        directions of a recurrent layer. All parts keep the same positions.
    over_channels : bool
        Whether the layer computes statistics over its channels.
    states : tuple of str
        For a recurrent layer, the side whose channels each of its states has. States are given
        after the input, and returned after the output or, by cells, as the output.

    Examples
    --------
    >>> from torch import nn
    >>> from l0.networks import LayerType
    >>> linear = LayerType(nn.Linear, "dense", {"weight": ("out", "in"), "bias": ("out",)})
    >>> layout = linear.layout(nn.Linear(8, 3))
    >>> layout.count("in"), layout.count("out"), layout.reads
    (8, 3, {'weight': 1})
    """

    role: Role
    n_in: int
    n_out: int
    axis_in: int = -1
    axis_out: int = -1
    n_inner: int = 0
    axes: Axes = field(default_factory=dict)
    reads: Mapping[str, int] = field(default_factory=dict)
    multiplied: tuple[str, ...] = ()
    sizes: Mapping[str, Side] = field(default_factory=dict)
    repeats: Mapping[str, int] = field(default_factory=dict)
    over_channels: bool = False
    states: tuple[Side, ...] = ()

    def count(self, side: str) -> int:
        """Return the number of channels of a side."""
        return {"in": self.n_in, "out": self.n_out, "inner": self.n_inner}[side]

    @property
    def form(self) -> tuple[object, ...]:
        """What decides how marks pass the layer."""
        axes = self.axis_in, self.axis_out
        return self.role, self.n_in, self.n_out, axes, self.over_channels, self.states

    def reads_side(self, side: str) -> bool:
        """Tell whether the layer multiplies the channels of a side by a weight."""
        return bool(self.reading(side))

    def reading(self, side: str) -> dict[str, int]:
        """Return the weights that multiply the channels of a side, with the axis of these."""
        return {name: axis for name, axis in self.reads.items() if self.axes[name][axis] == side}


def positions_along(layout: ChannelLayout, side: str, length: int) -> Tensor:
    """Return the channel of each position of an array's axis, as a position of its side."""
    base = layout.count(side) // layout.repeats.get(side, 1)
    return torch.arange(length, device="cpu") % base

"""Where marks start and where they end: layers, states of recurrent layers, and sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from l0.networks.graph.channel_layout import Side
from l0.networks.graph.tape import Event, Tape
from l0.networks.graph.tensors import is_inexact


@dataclass(frozen=True)
class State:
    """A state of a recurrent layer, which is given to the layer or returned by it.

    Attributes
    ----------
    layer : str
        Name of the layer.
    side : str
        The side of the layer whose channels the state has.
    """

    layer: str
    side: Side


#: A layer, a state of a layer, or the number of the sum at which marks stop.
Place = str | State | int


def made_at(tape: Tape, place: Place) -> Iterator[tuple[int, int, list[Tensor]]]:
    """Yield the events that make the channels of a place, with their axis and their tensors.

    The channels of a layer are in its outputs and in those states that have the same channels.
    """
    if isinstance(place, int):
        event = tape.events[place]
        assert event.cut_axis is not None
        yield place, event.cut_axis, event.outputs
        return
    name, side = (place.layer, place.side) if isinstance(place, State) else (place, "out")
    layout = tape.layouts[name]
    for i in tape.calls[name]:
        numbers = [out for out in tape.events[i].outputs if is_inexact(out)]
        sides = ("out", *layout.states)
        of_side = [out for j, out in enumerate(numbers) if sides[min(j, len(sides) - 1)] == side]
        yield i, layout.axis_out, of_side


def given_states(tape: Tape, event: Event) -> Iterator[tuple[State, Tensor]]:
    """Yield the states that a call of a recurrent layer is given."""
    layout = tape.layouts[event.name]
    numbers = [x for x in event.inputs if is_inexact(x)]
    for side, x in zip(layout.states, numbers[1:], strict=False):
        yield State(event.name, side), x

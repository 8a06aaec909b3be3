"""Parameters and buffers that belong to no layer, such as positions and tables of biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from l0.common.errors import InputError, closest, first_few
from l0.networks.graph.channel_layout import ChannelLayout, Side
from l0.networks.graph.layer_types import LayerType, arrays
from l0.networks.graph.marks import NO_PLACES, Replay
from l0.networks.graph.name_patterns import matching
from l0.networks.graph.tape import Tape
from l0.networks.graph.tensors import is_inexact, is_sparse


@dataclass(frozen=True, eq=False)
class LooseTensor(LayerType):
    """A parameter or buffer as a layer that makes channels along one of its axes."""

    owned: str = ""
    axis: int = 0

    def owns(self, name: str) -> bool:
        """Tell whether this is the tensor."""
        return name == self.owned

    def layout(self, module: nn.Module) -> ChannelLayout:
        """Describe the tensor as a source of channels."""
        tensor = getattr(module, self.owned)
        sides: list[Side | None] = [None] * tensor.ndim
        sides[self.axis] = "out"
        n = tensor.shape[self.axis]
        return ChannelLayout("source", 0, n, -1, self.axis, axes={self.owned: tuple(sides)})


def loose_tensors(model: nn.Module, types: Mapping[str, LayerType]) -> dict[str, Tensor]:
    """Return the parameters and buffers with real numbers that belong to no layer, by name.

    Sparse ones, such as the matrix of a graph, keep their size.
    """
    known = {
        id(tensor)
        for name, layer_type in types.items()
        for _, tensor in arrays(model.get_submodule(name), layer_type)
    }
    return {
        name: tensor
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if id(tensor) not in known and is_inexact(tensor) and tensor.numel() > 1
        if not is_sparse(tensor)
    }


def axes_of_channels(
    tapes: Sequence[Tape], loose: Mapping[str, Tensor], asked: Mapping[str, int]
) -> dict[str, int]:
    """Find the axis of each loose tensor along which its channels are.

    Parameters
    ----------
    tapes : sequence of Tape
        The recorded passes.
    loose : mapping of str to Tensor
        The loose tensors.
    asked : mapping of str to int
        Axes that the user knows, by patterns of names.

    Returns
    -------
    dict of str to int
        Only for tensors whose channels reach a layer, each a channel of its own. The two first
        positions of an axis are marked one after the other: if it counts channels, they reach
        different channels everywhere; otherwise, as positions of a sequence, they reach the same.

    Raises
    ------
    InputError
        If a pattern matches no loose tensor, or an axis does not exist.
    """
    found: dict[str, int] = {}
    given: dict[str, int] = {}
    read_by = {
        name: next(tape for tape in tapes if tape.reads(tensor))
        for name, tensor in loose.items()
        if any(tape.reads(tensor) for tape in tapes)
    }
    for pattern, axis in asked.items():
        names = matching(pattern, loose)
        if not names:
            raise InputError(
                f"`loose_parameters` names {pattern!r}, which matches no parameter or buffer "
                f"outside the layers; {closest(pattern, loose)}"
            )
        if not names & read_by.keys():
            raise InputError(
                f"`loose_parameters` names {pattern!r}, which matches {first_few(sorted(names))}, "
                "and the model does not read it; leave it out"
            )
        for name in names:
            shape = tuple(loose[name].shape)
            if (
                isinstance(axis, bool)
                or not isinstance(axis, int)
                or not -len(shape) <= axis < len(shape)
            ):
                raise InputError(
                    f"`loose_parameters` gives the axis {axis!r} for {name!r}, which has the shape "
                    f"{shape}; give the number of one of its axes"
                )
            given[name] = axis % len(shape)
    for name, tape in read_by.items():
        replay, tensor = Replay(tape), loose[name]
        axes = [given[name]] if name in given else range(tensor.ndim)
        fit = [axis for axis in axes if name in given or _counts_channels(replay, tensor, axis)]
        if len(fit) == 1:
            found[name] = fit[0]
    return found


def loose_type(name: str, axis: int) -> LooseTensor:
    """Return the type of one loose tensor."""
    last = name.rpartition(".")[2]
    return LooseTensor("", "source", owned=last, axis=axis)


def _counts_channels(replay: Replay, tensor: Tensor, axis: int) -> bool:
    if tensor.shape[axis] < 2:
        return False
    first, second = (replay.from_slice(tensor, axis, i) for i in (0, 1))
    places = [p for p in {**first, **second} if p not in NO_PLACES]
    if not places or not all(p in first and p in second for p in places):
        return False
    return all(
        bool(first[p].any()) and bool(second[p].any()) and not bool((first[p] & second[p]).any())
        for p in places
    )

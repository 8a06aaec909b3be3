"""What must be known of a type of layer: its channels, how to mark and cut them, what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from l0.common.errors import InputError, first_few
from l0.networks.graph.channel_layout import Axes, ChannelLayout, Role, Side


@dataclass(frozen=True, eq=False)
class LayerType:
    """A type of layer whose channels can be removed: how to mark them, cut them, and count them.

    The package knows the usual types. Give others to :func:`l0.sparsify` in `layer_types`; they
    come before the types that it knows. Without a type, the channels that meet a layer stay.

    Parameters
    ----------
    layer : type, str, or tuple of them
        The classes of the layers, or their names, in which ``*`` stands for any characters.
        Subclasses count too.
    role : {"dense", "through", "source"}
        How to mark. A "dense" layer mixes its input channels, as nn.Linear does. A layer "through"
        which channels pass keeps them apart, as a norm does. A "source" makes channels from
        indices, as nn.Embedding does.
    axes : dict of str to tuple, or function of a layer that returns such a dict
        How to cut, and what the layer costs. For each parameter and buffer that has channels, what
        each of its axes counts: "in" and "out" for input and output channels, "inner" for channels
        that the layer makes and reads itself, and None for anything else. A layer of the role
        "through" has only "in". An axis may be several times as long as others of its side: it
        then has all channels several times, one block after the other.
    reads : dict of str to int, optional
        For each weight that multiplies channels, the axis of these channels. Gates act there, and
        each entry of the weight counts as one multiply-add for each position. By default, the axes
        "in" of a dense layer. A layer that has inner channels must name the weight that reads them.
    sizes : dict of str to str, optional
        Attributes that hold numbers of channels, with the side that they count: whole numbers, or
        tuples with one of them.
    axis_in, axis_out : int, default -1
        Axis of the channels in the layer's first input and in its outputs.
    over_channels : bool, default False
        Whether a layer of the role "through" computes statistics over its channels, as
        nn.LayerNorm does. With gates, it then computes them over the channels that are open.

    Raises
    ------
    ValueError
        If a role or a side is unknown, if an array has more than two axes with channels, or if
        `reads` names an axis without channels.

    Notes
    -----
    A subclass may override :meth:`layout`, :meth:`cut` and :meth:`n_positions`, which is what the
    package does for convolutions and recurrent layers. Trials on copies of the model compare the
    cut model with the gated one, so that a wrong description leaves the channels out; only the
    costs that follow from it are not tried.

    Examples
    --------
    >>> import torch
    >>> import l0
    >>> from torch import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, n):
    ...         super().__init__()
    ...         self.n, self.by = n, nn.Parameter(torch.ones(n))
    ...
    ...     def forward(self, x):
    ...         assert x.shape[-1] == self.n
    ...         return x * self.by
    >>> model = nn.Sequential(nn.Linear(4, 8), Scale(8), nn.Linear(8, 2))
    >>> scale = l0.networks.LayerType(Scale, "through", {"by": ("in",)}, sizes={"n": "in"})
    >>> sparsifier = l0.sparsify(model, torch.ones(2, 4), l0.Units(3), layer_types=[scale])
    >>> sparsifier.compact()[1].n
    3
    """

    layer: type | str | tuple[type | str, ...]
    role: Role
    axes: Axes | Callable[[nn.Module], Axes] = field(default_factory=dict)
    reads: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, Side] = field(default_factory=dict)
    axis_in: int = -1
    axis_out: int = -1
    over_channels: bool = False

    def __post_init__(self) -> None:
        if self.role not in ("dense", "through", "source", "fixed"):
            raise InputError(
                f"`role` is {self.role!r}; give 'dense', 'through' or 'source', which say how a "
                "layer treats its channels"
            )
        if not callable(self.axes):
            self._check(self.axes)

    def __deepcopy__(self, memo: object) -> LayerType:
        """Return the type itself, because it does not change."""
        return self

    def matches(self, module: nn.Module) -> bool:
        """Tell whether a module is a layer of this type."""
        kinds = self.layer if isinstance(self.layer, tuple) else (self.layer,)
        classes = type(module).__mro__
        return any(
            any(fnmatchcase(cls.__name__, kind) for cls in classes)
            if isinstance(kind, str)
            else kind in classes
            for kind in kinds
        )

    def layout(self, module: nn.Module) -> ChannelLayout | None:
        """Describe one layer of this type.

        Parameters
        ----------
        module : nn.Module
            A layer of this type.

        Returns
        -------
        ChannelLayout or None
            None if this layer is so unusual that it must keep its channels.

        Raises
        ------
        InputError
            If the layer has no parameter or buffer of a name in `axes`, or one with another number
            of axes.
        """
        axes = self.axes(module) if callable(self.axes) else self.axes
        if callable(self.axes):
            self._check(axes)
        self._check_arrays(module, axes)
        axes = {name: sides for name, sides in axes.items() if _tensor(module, name) is not None}
        n = {side: _fewest(module, axes, side) for side in ("in", "out", "inner")}
        reads = self.reads
        if not reads and self.role == "dense":
            reads = {name: sides.index("in") for name, sides in axes.items() if "in" in sides}
        return ChannelLayout(
            self.role,
            n["in"],
            n["in"] if self.role == "through" else n["out"],
            self.axis_in,
            self.axis_out,
            n["inner"],
            axes,
            reads,
            tuple(reads),
            self.sizes,
            over_channels=self.over_channels,
        )

    def cut(self, module: nn.Module, keep: Mapping[str, Tensor]) -> None:
        """Remove channels of a layer in place.

        Parameters
        ----------
        module : nn.Module
            A layer of this type.
        keep : mapping of str to Tensor of int64
            For each side of the layer, the positions of the channels that stay, in order. Layers
            of the role "through" have only the side "in".
        """
        layout = self.layout(module)
        assert layout is not None
        if layout.role == "through" and layout.n_in:
            each = layout.n_out // layout.n_in
            firsts = keep["in"][:, None] * each
            keep = {**keep, "out": (firsts + torch.arange(each, device=firsts.device)).flatten()}
        for name, sides in layout.axes.items():
            for axis, side in enumerate(sides):
                if side is not None:
                    select(module, name, axis, _at(layout, side, keep[side], module, name, axis))
        for name, side in layout.sizes.items():
            if hasattr(module, name):
                value, n = getattr(module, name), len(keep[side])
                of = layout.count(side)
                new = (n,) if isinstance(value, tuple) else value * n // of
                setattr(module, name, new)

    def n_positions(self, module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> float:
        """Return the number of positions to which one call applies the layer.

        Parameters
        ----------
        module : nn.Module
            A layer of this type.
        inputs, outputs : list of Tensor
            The tensors of the call.

        Returns
        -------
        float
            For all examples of the batch together. Each entry of the weights in `reads` is one
            multiply-add for each position.
        """
        layout = self.layout(module)
        assert layout is not None
        out = outputs[0] if outputs else inputs[0]
        return out.numel() / layout.n_out

    def owns(self, name: str) -> bool:
        """Tell whether a parameter or buffer of the module is a part of the layer."""
        return True

    def _check(self, axes: Axes) -> None:
        for name, sides in axes.items():
            unknown = [side for side in sides if side not in ("in", "out", "inner", None)]
            if unknown:
                raise InputError(
                    f"`axes` says {unknown[0]!r} of {name!r}; each axis is 'in', 'out', 'inner' or "
                    "None"
                )
            if sum(side is not None for side in sides) > 2:
                raise InputError(
                    f"`axes` names three axes of {name!r} with channels; the cost of a layer is "
                    "known for two, so write None for one, which then keeps its length"
                )
            if self.role == "through" and {"out", "inner"} & set(sides):
                raise InputError(
                    f"`axes` says {sides!r} of {name!r}, but channels that pass through a layer "
                    "are only 'in'"
                )
        for name, axis in self.reads.items():
            if name not in axes or not -1 < axis < len(axes[name]) or axes[name][axis] is None:
                raise InputError(
                    f"`reads` names axis {axis} of {name!r}, which has no channels in `axes`"
                )

    def _check_arrays(self, module: nn.Module, axes: Axes) -> None:
        kind = type(module).__name__
        for name, sides in axes.items():
            owner, last = owner_of(module, name)
            if not hasattr(owner, last):
                has = [n for n, _ in (*module.named_parameters(), *module.named_buffers())]
                raise InputError(
                    f"`axes` names {name!r}, but a {kind} has no such parameter or buffer; it has "
                    f"{first_few(has) if has else 'none'}"
                )
            tensor = _tensor(module, name)
            if tensor is not None and tensor.ndim != len(sides):
                raise InputError(
                    f"`axes` names {len(sides)} axes of {name!r}, but in a {kind} it has the shape "
                    f"{tuple(tensor.shape)}; write one entry for each axis"
                )


def owner_of(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the module that holds an array, which may be a part of a layer, and its last name."""
    prefix, _, last = name.rpartition(".")
    return module.get_submodule(prefix), last


def module_at(model: nn.Module, name: str) -> nn.Module:
    """Return a layer by its name; for a loose parameter, the module that holds it."""
    prefix, _, last = name.rpartition(".")
    parent = model.get_submodule(prefix)
    return parent if isinstance(getattr(parent, last, None), Tensor) else model.get_submodule(name)


def arrays(module: nn.Module, layer_type: LayerType) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters of a layer, and its buffers but for counters, such as of batches."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if (tensor.ndim or isinstance(tensor, nn.Parameter)) and layer_type.owns(name):
            yield name, tensor


def _tensor(module: nn.Module, name: str) -> Tensor | None:
    owner, last = owner_of(module, name)
    found: Tensor | None = getattr(owner, last, None)
    return found


def _fewest(module: nn.Module, axes: Axes, side: str) -> int:
    lengths = [
        tensor.shape[axis]
        for name, sides in axes.items()
        if (tensor := _tensor(module, name)) is not None
        for axis, of in enumerate(sides)
        if of == side
    ]
    return min(lengths, default=0)


def _at(
    layout: ChannelLayout, side: str, keep: Tensor, module: nn.Module, name: str, axis: int
) -> Tensor:
    """Return the positions of an axis that stay."""
    tensor, parts = _tensor(module, name), layout.repeats.get(side, 1)
    assert tensor is not None
    base = layout.count(side) // parts
    firsts = keep[: len(keep) // parts]  # all parts keep the same positions
    blocks = torch.arange(tensor.shape[axis] // base, device=keep.device)
    return (blocks[:, None] * base + firsts).flatten()


def select(module: nn.Module, name: str, axis: int, keep: Tensor) -> None:
    """Keep some positions of an axis of a parameter or buffer, in place."""
    owner, last = owner_of(module, name)
    tensor = getattr(owner, last, None)
    if tensor is None or len(keep) == tensor.shape[axis]:
        return
    kept = tensor.detach().index_select(axis, keep.to(tensor.device))
    for ndim, form in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if tensor.ndim == ndim and tensor.is_contiguous(memory_format=form):
            kept = kept.contiguous(memory_format=form)
    if isinstance(tensor, nn.Parameter):
        kept = nn.Parameter(kept, requires_grad=tensor.requires_grad)
    setattr(owner, last, kept)

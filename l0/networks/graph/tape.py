"""The operations between the layers of a model, recorded once.

A pass of the model is recorded as a list of events: calls of layers of a known type, and the
operations of torch between them. :mod:`l0.networks.graph.marks` computes parts of it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from l0.networks.graph.channel_layout import ChannelLayout
from l0.networks.graph.tensors import call, devices_of, is_sparse, tensors_in

#: Operations that keep the channels of their one input where they are.
_KEEPING = {
    "add", "add_", "sub", "mul", "mul_", "div", "div_", "clone", "_to_copy", "native_dropout",
    "relu", "relu_", "gelu", "silu", "silu_", "sigmoid", "tanh",
}  # fmt: skip


@dataclass
class Event:
    """One operation, or one call of a layer.

    Attributes
    ----------
    name : str
        The operation without its overload, or the layer.
    func : callable, optional
        The operation; None for a call of a layer.
    args, kwargs
        What it was called with.
    outputs : list of Tensor
        What it returned. The tensors that an operation changed in place are among them.
    cut_axis : int, optional
        For a sum at which marks stop, the axis of the channels.
    """

    name: str
    func: Any
    args: Any
    kwargs: Any
    outputs: list[Tensor]
    cut_axis: int | None = None
    inputs: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = tensors_of((self.args, self.kwargs))


def tensors_of(tree: Any) -> list[Tensor]:
    """Return the tensors among arguments."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def storage_of(tensor: Tensor) -> int:
    """Return a key of the memory of a tensor, which views share; valid while the tensor lives.

    A sparse tensor has several pieces of memory, and is its own key. Events keep their tensors, so
    no key is used twice.
    """
    return id(tensor) if is_sparse(tensor) else int(tensor.untyped_storage()._cdata)


class Tape(TorchDispatchMode):
    """A pass of a model: its events, in order.

    Parameters
    ----------
    model : nn.Module
        It is changed for the time of the pass only. Its activations stay in memory.
    example_inputs : Tensor, sequence or mapping
        A batch.
    layouts : dict of str to ChannelLayout
        The layers of a known type.
    training : bool
        Whether the pass is one in training mode. Norms with statistics stay in evaluation mode,
        because one example may have no variance.
    loose : dict of str to Tensor
        Parameters and buffers that belong to no layer. Each is an event before all others.

    Attributes
    ----------
    events : list of Event
        Views are no events: they share the memory of the tensor that they look at.
    readers : dict of int to list of int
        For each piece of memory, the events that read or change it.
    outputs : list of Tensor
        All tensors that the model returned.
    devices : set of torch.device
        Those of the model and the inputs.
    transformed : set of str
        Layers that torch.func calls, as `vmap` and `jvp` do. They are no events.
    """

    def __init__(
        self,
        model: nn.Module,
        example_inputs: Any,
        layouts: dict[str, ChannelLayout],
        training: bool,
        loose: dict[str, Tensor],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events = [Event(name, None, (), {}, [tensor]) for name, tensor in loose.items()]
        self._loose = loose
        self.devices = devices_of(model, example_inputs)
        self.readers: dict[int, list[int]] = {}
        self.layouts = layouts
        self.transformed: set[str] = set()
        self._inside = 0
        model.train(training)
        patched = []
        for name in layouts:
            module = model.get_submodule(name)
            if isinstance(module, _BatchNorm | _InstanceNorm):
                module.eval()
            patched.append(module)
            vars(module)["forward"] = partial(self._layer, name, module, module.forward)
        try:
            with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _no_shortcuts(), self:
                out = call(model, example_inputs)
        finally:
            for module in patched:
                del vars(module)["forward"]
        self.outputs = list(tensors_in(out))
        self.kind = type(out).__name__
        for i, event in enumerate(self.events):
            for key in {storage_of(t) for t in (*event.inputs, *event.outputs)}:
                self.readers.setdefault(key, []).append(i)
        self.calls: dict[str, list[int]] = {}
        for i, event in enumerate(self.events):
            if event.func is None and event.name not in loose:
                self.calls.setdefault(event.name, []).append(i)
        self._place_cuts()

    def reads(self, tensor: Tensor) -> bool:
        """Tell whether an operation between the layers reads a loose tensor."""
        return len(self.readers.get(storage_of(tensor), ())) > 1

    def add_source(self, name: str) -> None:
        """Take a loose tensor as a layer, whose layout `layouts` has now."""
        self.calls[name] = [
            i for i, e in enumerate(self.events) if e.func is None and e.name == name
        ]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if self._inside:
            return out
        outputs = tensors_of(out)
        known = {storage_of(t) for t in tensors_of((args, kwargs))}
        changes = func._schema.is_mutable
        if changes or not outputs or any(storage_of(t) not in known for t in outputs):
            name = func.overloadpacket.__name__
            self.events.append(Event(name, func, args, kwargs, outputs))
        return out

    def _layer(
        self,
        name: str,
        module: nn.Module,
        forward: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if any(map(is_functorch_wrapped_tensor, tensors_of((args, kwargs, _held_by(module))))):
            self.transformed.add(name)
            return forward(*args, **kwargs)
        event = Event(name, None, args, kwargs, [])
        self.events.append(event)
        if isinstance(module, nn.GroupNorm):  # its operations mix the channels of a group
            return forward(*args, **kwargs)
        self._inside += 1
        try:
            out = forward(*args, **kwargs)
            taken = {storage_of(t) for t in event.inputs}
            if any(storage_of(t) in taken for t in tensors_of(out)):
                out = tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, out)
        finally:
            self._inside -= 1
        event.outputs = tensors_of(out)
        return out

    def _place_cuts(self) -> None:
        """Find the sums of layers, such as residual streams, and the axis of their channels.

        Marks stop there, as at a layer. Otherwise each layer of a residual net would be followed
        through all later layers.
        """
        found: dict[int, tuple[Tensor, int]] = {}
        dependent: set[int] = set()
        for event in self.events:
            if any(t.is_nested for t in (*event.inputs, *event.outputs)):
                continue  # they may have no shape to compare
            if event.func is None:
                if event.outputs and event.name not in self._loose:
                    layout, out = self.layouts[event.name], event.outputs[0]
                    if abs(layout.axis_out) <= out.ndim and not is_sparse(out):
                        found[storage_of(out)] = out, layout.axis_out % out.ndim
                    dependent |= {storage_of(t) for t in event.outputs}
                continue
            of_layers = [t for t in event.inputs if storage_of(t) in dependent]
            if not of_layers:
                continue
            dependent |= {storage_of(t) for t in event.outputs}
            axis = next((a for t in of_layers if (a := _axis(t, found)) is not None), None)
            if axis is None or not event.outputs or event.name not in _KEEPING:
                continue
            out = event.outputs[0]
            if is_sparse(out) or any(t.shape != out.shape for t in of_layers):
                continue
            found[storage_of(out)] = out, axis
            whole = out.numel() * out.element_size() == out.untyped_storage().nbytes()
            if event.name in ("add", "add_") and len(of_layers) == 2 and whole:
                event.cut_axis = axis


def _held_by(module: nn.Module) -> list[Tensor | None]:
    """Return the tensors of a layer; torch.func may call it with others than its own."""
    return [*module._parameters.values(), *module._buffers.values()]


def _axis(tensor: Tensor, found: dict[int, tuple[Tensor, int]]) -> int | None:
    known = found.get(storage_of(tensor))
    if known is None or known[0].shape != tensor.shape or known[0].stride() != tensor.stride():
        return None
    return known[1]


@contextmanager
def _no_shortcuts() -> Iterator[None]:
    """Turn off the fast path of torch's transformer layers, which does not call their layers."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)

"""Norms over channels that compute their statistics over the open channels."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from l0.networks.gates.unit_gate import UnitGate
from l0.networks.graph.layer_types import LayerType


class OpenChannels:
    """The forward of a norm, on the channels whose units were not closed for good.

    A copy of the norm that has only these channels computes them, with the parameters of the norm
    itself. So the norm of the gated model and that of the compact model compute the same. Closed
    channels are 0, and no layer reads them.

    Parameters
    ----------
    module : nn.Module
        The norm.
    layer_type : LayerType
        Its type.
    gates : list of UnitGate
        The gates of its channels.
    index : Tensor of int64, shape (n_channels,)
        The unit of each channel; the number of all units stands for no unit.
    """

    def __init__(
        self, module: nn.Module, layer_type: LayerType, gates: list[UnitGate], index: Tensor
    ) -> None:
        self._module, self._type, self._gates, self._index = module, layer_type, gates, index
        layout = layer_type.layout(module)
        assert layout is not None
        self._layout = layout
        self._seen: list[tuple[Tensor, int | None]] = []
        self._keep: Tensor | None = None
        self._small = module

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Compute the norm of the open channels."""
        self._look()
        keep, layout = self._keep, self._layout
        if keep is None:
            every: Tensor = type(self._module).forward(self._module, *args, **kwargs)
            return every

        def selected(x: Any) -> Any:
            fits = isinstance(x, Tensor) and x.shape[layout.axis_in :][:1] == (layout.n_in,)
            return x.index_select(layout.axis_in, keep) if fits else x

        own = {}
        for name, tensor in (*self._module.named_parameters(), *self._module.named_buffers()):
            for axis, side in enumerate(layout.axes.get(name, ())):
                tensor = tensor if side is None else tensor.index_select(axis, keep)  # noqa: PLW2901
            own[name] = tensor
        self._small.train(self._module.training)
        args = tuple(selected(x) for x in args)
        kwargs = {name: selected(x) for name, x in kwargs.items()}
        out: Tensor = functional_call(self._small, own, args, kwargs)
        shape = list(out.shape)
        shape[layout.axis_out] = layout.n_out
        return out.new_zeros(shape).index_copy(layout.axis_out, keep, out)

    def _look(self) -> None:
        """Find the open channels again if a gate was closed or opened, or moved to a device."""
        now = [(gate.alive, _version(gate.alive)) for gate in self._gates]
        same = len(now) == len(self._seen) and all(
            a is b and version == before is not None
            for (a, version), (b, before) in zip(now, self._seen, strict=True)
        )
        if same:
            return
        self._seen = now
        alive = torch.cat([gate.alive for gate in self._gates])
        stays = torch.cat([alive, alive.new_ones(1)])[self._index.to(alive.device)]
        if bool(stays.all()):
            self._keep = None
            return
        self._keep = stays.nonzero().flatten()
        small = copy(self._module)
        vars(small).pop("forward")
        self._small = deepcopy(small)
        self._type.cut(self._small, {"in": self._keep})


def _version(tensor: Tensor) -> int | None:
    """Return how often a tensor was changed in place; None if torch does not count it."""
    return None if tensor.is_inference() else tensor._version

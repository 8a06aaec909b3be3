"""The types of layers that the package knows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from l0.layers import L0Conv2d, L0DepthwiseConv2d, L0Linear
from l0.networks.graph.channel_layout import Axes, ChannelLayout, Role, Side
from l0.networks.graph.layer_types import LayerType, select


class _Convolution(LayerType):
    def layout(self, module: Any) -> ChannelLayout:
        axis = -len(module.kernel_size) - 1
        n_in, n_out, groups = module.in_channels, module.out_channels, module.groups
        depthwise = groups == n_in > 1
        rest = (None,) * len(module.kernel_size)
        axes: Axes = {"weight": ("out", "in", *rest)}
        if module.transposed:
            axes = {"weight": ("in", "out", *rest)}
        sizes: dict[str, Side] = {"in_channels": "in", "out_channels": "out"}
        role: Role = "dense"
        if depthwise:
            role = "through"
            axes = {"weight": ("in" if module.transposed else "out", None, *rest)}
            sizes["groups"] = "in"
        if module.bias is not None:
            axes = {**axes, "bias": ("out",)}
        return ChannelLayout(
            role,
            n_in,
            n_out,
            axis,
            axis,
            axes=axes,
            reads={} if depthwise else {"weight": 0 if module.transposed else 1},
            multiplied=("weight",),
            sizes=sizes,
            repeats={} if depthwise else {"in": groups, "out": groups},
        )

    def n_positions(self, module: Any, inputs: list[Tensor], outputs: list[Tensor]) -> float:
        if module.transposed:  # applies its kernel at each position of its input
            return float(inputs[0].numel() / module.in_channels)
        return super().n_positions(module, inputs, outputs)


class _L0Layer(LayerType):
    """L0Linear and L0Conv2d, whose gates count their inputs and outputs too."""

    def layout(self, module: Any) -> ChannelLayout:
        linear = isinstance(module, L0Linear)
        n_in = module.in_features if linear else module.in_channels
        n_out = module.out_features if linear else module.out_channels
        axis = -1 if linear else -3
        gates, logits = self._gates(module)
        axes: dict[str, Any] = {"weight": ("out", "in", *((None, None) if not linear else ()))}
        axes[f"{gates}.qz_logits"] = ("out", "in")[: logits.ndim]
        if module.bias is not None:
            axes["bias"] = ("out",)
        reads = {"weight": 1}
        return ChannelLayout(
            "dense", n_in, n_out, axis, axis, axes=axes, reads=reads, multiplied=("weight",)
        )

    def cut(self, module: Any, keep: Mapping[str, Tensor]) -> None:
        linear = isinstance(module, L0Linear)
        area = 1 if linear else math.prod(module.kernel_size)
        name, logits = self._gates(module)
        select(module, f"{name}.qz_logits", 0, keep["out"])
        if logits.ndim == 2:
            columns = keep["in"][:, None] * area + torch.arange(area, device=keep["in"].device)
            select(module, f"{name}.qz_logits", 1, columns.flatten())
        gates = getattr(module, name)
        gates.gate_size = tuple(gates.qz_logits.shape)
        select(module, "weight", 0, keep["out"])
        select(module, "weight", 1, keep["in"])
        select(module, "bias", 0, keep["out"])
        sizes = ("in_features", "out_features") if linear else ("in_channels", "out_channels")
        for size, side in zip(sizes, ("in", "out"), strict=True):
            setattr(module, size, len(keep[side]))
        if not linear:
            module.weights_per_gate = len(keep["in"]) * area if module.structured else 1

    @staticmethod
    def _gates(module: Any) -> tuple[str, Tensor]:
        name = "channel_gates" if getattr(module, "structured", False) else "weight_gates"
        return name, getattr(module, name).qz_logits


class _GatedDepthwise(LayerType):
    def layout(self, module: Any) -> ChannelLayout:
        n = module.in_channels
        axes: dict[str, Any] = {"channel_gates.qz_logits": ("in",)}
        axes["depthwise_conv.weight"] = ("in", None, None, None)
        if module.depthwise_conv.bias is not None:
            axes["depthwise_conv.bias"] = ("in",)
        multiplied = ("depthwise_conv.weight",)
        return ChannelLayout("through", n, n, -3, -3, axes=axes, multiplied=multiplied)

    def cut(self, module: Any, keep: Mapping[str, Tensor]) -> None:
        super().cut(module, keep)
        n = len(keep["in"])
        module.channel_gates.gate_size = tuple(module.channel_gates.qz_logits.shape)
        conv = module.depthwise_conv
        module.in_channels = conv.in_channels = conv.out_channels = conv.groups = n


class _Recurrent(LayerType):
    """Hidden units of nn.RNN, nn.GRU and nn.LSTM, which the layer reads itself.

    All layers and directions have the same number of hidden units, so that they lose the same.
    """

    def layout(self, module: Any) -> ChannelLayout:
        directions = 1 + module.bidirectional
        # With a projection, which makes the outputs, the hidden units are the layer's own.
        hidden: Side = "inner" if module.proj_size else "out"
        axes: dict[str, Any] = {}
        for name in module._flat_weights_names:
            reads = "in" if name.startswith("weight_ih_l0") else "out"
            axes[name] = (hidden, reads) if name.startswith("weight") else (hidden,)
            if name.startswith("weight_hr"):
                axes[name] = ("out", hidden)
        reads_at = {name: 1 for name in axes if name.startswith("weight")}
        sizes: dict[str, Side] = {"input_size": "in", "hidden_size": hidden}
        if module.proj_size:
            sizes["proj_size"] = "out"
        return ChannelLayout(
            "dense",
            module.input_size,
            directions * (module.proj_size or module.hidden_size),
            n_inner=module.hidden_size if module.proj_size else 0,
            axes=axes,
            reads=reads_at,
            multiplied=tuple(reads_at),
            sizes=sizes,
            repeats={"out": directions},
            states=("out", hidden) if isinstance(module, nn.LSTM) else ("out",),
        )


class _Cell(LayerType):
    """One step of nn.RNN, nn.GRU or nn.LSTM, whose state comes in as another input."""

    def layout(self, module: Any) -> ChannelLayout | None:
        found = super().layout(module)
        assert found is not None
        states: tuple[Side, ...] = ("out",)
        return replace(found, states=states * 2 if isinstance(module, nn.LSTMCell) else states)


class _Experts(LayerType):
    """Experts of `transformers` as weights of three axes, whose hidden units all experts share."""

    def layout(self, module: Any) -> ChannelLayout | None:
        up: Any = getattr(module, "gate_up_proj", None)
        down: Any = getattr(module, "down_proj", None)
        biases = [getattr(module, f"{n}_bias", None) for n in ("gate_up_proj", "down_proj")]
        if any(getattr(w, "ndim", 0) != 3 for w in (up, down)) or biases != [None, None]:
            return None
        # F.linear takes (out, in), a product of batches takes (in, out).
        linear = up.shape[1] == 2 * down.shape[2] and up.shape[2] == down.shape[1]
        product = up.shape[2] == 2 * down.shape[1] and up.shape[1] == down.shape[2]
        if linear == product:
            return None
        n, inner = (down.shape[1], down.shape[2]) if linear else (down.shape[2], down.shape[1])
        axes: Axes = {
            "gate_up_proj": (None, "inner", "in") if linear else (None, "in", "inner"),
            "down_proj": (None, "out", "inner") if linear else (None, "inner", "out"),
        }
        reads = {"gate_up_proj": 2 if linear else 1, "down_proj": 2 if linear else 1}
        sizes: dict[str, Side] = {
            "intermediate_dim": "inner",
            "intermediate_size": "inner",
            "expert_dim": "inner",
        }
        return ChannelLayout(
            "dense", n, n, n_inner=inner, axes=axes, reads=reads, multiplied=tuple(reads),
            sizes=sizes,
        )  # fmt: skip

    def n_positions(self, module: Any, inputs: list[Tensor], outputs: list[Tensor]) -> float:
        """Count for each token only the experts that it visits, whose numbers are an input."""
        chosen = [x for x in inputs[1:] if not x.is_floating_point()]
        if chosen:
            return chosen[0].numel() / len(module.down_proj)
        return super().n_positions(module, inputs, outputs)


class _Norm(LayerType):
    """Norms over channels: LayerNorm, RMSNorm and their kin, with one parameter a channel."""

    def layout(self, module: Any) -> ChannelLayout | None:
        own = dict(module.named_parameters())
        shape = getattr(module, "normalized_shape", None)
        shape = shape or next((tuple(p.shape) for p in own.values()), ())
        shape = (shape,) if isinstance(shape, int) else shape
        if len(shape) != 1 or not own.keys() <= {"weight", "bias"}:
            return None
        if list(module.children()) or list(module.buffers()):
            return None
        if any(tuple(p.shape) != tuple(shape) for p in own.values()):
            return None
        form = getattr(module, "data_format", None)
        as_torch = type(module).forward in (nn.LayerNorm.forward, nn.RMSNorm.forward)
        if isinstance(module, nn.LayerNorm) and not (as_torch or form or self.axis_in == 1):
            return None
        axis = 1 if form == "channels_first" else self.axis_in
        axes: Axes = dict.fromkeys(own, ("in",))
        n = shape[0]
        sizes: dict[str, Side] = {"normalized_shape": "in"}
        return ChannelLayout(
            "through", n, n, axis, axis, axes=axes, sizes=sizes, over_channels=True
        )


class _ResponseNorm(LayerType):
    """Global response norm, which divides by a mean over channels (ConvNeXt V2)."""

    def layout(self, module: Any) -> ChannelLayout | None:
        own = dict(module.named_parameters())
        sizes = {max(p.shape, default=0) for p in own.values()}
        if len(sizes) != 1 or any(p.numel() != p.shape[-1] for p in own.values()):
            return None
        axis = 1 if getattr(module, "channel_dim", -1) == 1 else -1
        axes: Axes = {name: (*(None,) * (p.ndim - 1), "in") for name, p in own.items()}
        (n,) = sizes
        return ChannelLayout("through", n, n, axis, axis, axes=axes, over_channels=True)


class _Prelu(LayerType):
    def layout(self, module: Any) -> ChannelLayout | None:
        return super().layout(module) if module.num_parameters > 1 else None


class _Attention(LayerType):
    def layout(self, module: Any) -> ChannelLayout:
        return ChannelLayout("fixed", module.embed_dim, module.embed_dim)


def _of_channels(module: nn.Module) -> Axes:
    names = ("weight", "bias", "running_mean", "running_var")
    return {name: ("in",) for name in names if getattr(module, name, None) is not None}


class _Counted(LayerType):
    """Norms without parameters too, whose channels an attribute counts."""

    def layout(self, module: Any) -> ChannelLayout:
        size = next(iter(self.sizes))
        n = getattr(module, size)
        axes = _of_channels(module)
        return ChannelLayout("through", n, n, 1, 1, axes=axes, sizes=self.sizes)


#: The types, the more special ones first.
KNOWN: tuple[LayerType, ...] = (
    _L0Layer((L0Linear, L0Conv2d), "dense"),
    _GatedDepthwise(L0DepthwiseConv2d, "through"),
    LayerType(
        nn.Linear,
        "dense",
        {"weight": ("out", "in"), "bias": ("out",)},
        sizes={"in_features": "in", "out_features": "out"},
    ),
    LayerType(  # GPT-2's linear layer in `transformers`
        "Conv1D",
        "dense",
        {"weight": ("in", "out"), "bias": ("out",)},
        sizes={"nx": "in", "nf": "out"},
    ),
    _Convolution(_ConvNd, "dense"),
    LayerType(
        (nn.Embedding, nn.EmbeddingBag),
        "source",
        {"weight": (None, "out")},
        sizes={"embedding_dim": "out"},
    ),
    _Attention(nn.MultiheadAttention, "fixed"),
    _Counted((_BatchNorm, _InstanceNorm), "through", sizes={"num_features": "in"}),
    _Counted(nn.GroupNorm, "through", sizes={"num_channels": "in", "num_groups": "in"}),
    LayerType(
        "*FrozenBatchNorm2d",
        "through",
        _of_channels,
        sizes={"num_features": "in"},
        axis_in=1,
        axis_out=1,
    ),
    _Prelu(
        nn.PReLU,
        "through",
        {"weight": ("in",)},
        sizes={"num_parameters": "in"},
        axis_in=1,
        axis_out=1,
    ),
    _Recurrent((nn.RNN, nn.GRU, nn.LSTM), "dense"),
    _Cell(
        (nn.RNNCell, nn.GRUCell, nn.LSTMCell),
        "dense",
        {
            "weight_ih": ("out", "in"),
            "weight_hh": ("out", "out"),
            "bias_ih": ("out",),
            "bias_hh": ("out",),
        },
        reads={"weight_ih": 1, "weight_hh": 1},
        sizes={"input_size": "in", "hidden_size": "out"},
    ),
    _ResponseNorm(("*GRN", "GlobalResponseNorm"), "through"),
    _Norm("*LayerNorm2d", "through", axis_in=1, axis_out=1),
    _Norm((nn.LayerNorm, nn.RMSNorm, "*RMSNorm", "*LayerNorm"), "through"),
    _Experts("*Experts", "dense"),
)


def type_of(module: nn.Module, others: Iterable[LayerType] = ()) -> LayerType | None:
    """Return the type of a layer that may lose channels; None if no type is known.

    Parameters
    ----------
    module : nn.Module
        A module.
    others : iterable of LayerType
        Types that come before those that the package knows.
    """
    for known in (*others, *KNOWN):
        if known.matches(module):
            return known if known.layout(module) is not None else None
    return None

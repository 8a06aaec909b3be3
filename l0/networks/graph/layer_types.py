"""The known types of layers: where their channels are, and how to remove some of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from l0.hard_concrete import HardConcrete
from l0.layers import L0Conv2d, L0DepthwiseConv2d, L0Linear

Role = Literal["dense", "source", "through", "fixed"]


@dataclass(frozen=True)
class ChannelLayout:
    """Where a layer has its channels, and what it does with them.

    Attributes
    ----------
    role : str
        "dense" layers mix all their input channels, "source" layers make channels from indices,
        "through" layers keep channels apart, "fixed" layers cannot lose channels.
    n_in, n_out : int
        Numbers of input and output channels. They are equal for "through", except for depthwise
        convolutions with a multiplier.
    axis_in, axis_out : int
        Axis of the channels in the input and in the output.
    """

    role: Role
    n_in: int
    n_out: int
    axis_in: int
    axis_out: int


def is_depthwise(module: nn.Module) -> bool:
    """Tell whether a module is a convolution that treats each channel by itself."""
    return isinstance(module, _ConvNd) and module.groups == module.in_channels > 1


def is_transposed_linear(module: nn.Module) -> bool:
    """Tell whether a module is GPT-2's linear layer in `transformers`, with weight (in, out)."""
    return any(cls.__name__ == "Conv1D" and hasattr(module, "nf") for cls in type(module).__mro__)


def layout_of(module: nn.Module) -> ChannelLayout | None:
    """Return the channels of a layer; None if its type is unknown."""
    if isinstance(module, nn.Linear | L0Linear):
        return ChannelLayout("dense", module.in_features, module.out_features, -1, -1)
    if is_transposed_linear(module):
        n_in, n_out = _weight(module).shape
        return ChannelLayout("dense", n_in, n_out, -1, -1)
    if isinstance(module, _ConvNd):
        axis = -len(module.kernel_size) - 1
        role: Role = "through" if is_depthwise(module) else "dense"
        return ChannelLayout(role, module.in_channels, module.out_channels, axis, axis)
    if isinstance(module, L0Conv2d):
        return ChannelLayout("dense", module.in_channels, module.out_channels, -3, -3)
    if isinstance(module, L0DepthwiseConv2d):
        return ChannelLayout("through", module.in_channels, module.in_channels, -3, -3)
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return ChannelLayout("source", 0, module.embedding_dim, -1, -1)
    if isinstance(module, nn.MultiheadAttention):
        return ChannelLayout("fixed", module.embed_dim, module.embed_dim, -1, -1)
    if isinstance(module, _BatchNorm | _InstanceNorm):
        n = module.num_features
    elif isinstance(module, nn.GroupNorm):
        n = module.num_channels
    elif isinstance(module, nn.PReLU) and module.num_parameters > 1:
        n = module.num_parameters
    else:
        return None
    return ChannelLayout("through", n, n, 1, 1)


def multiplied_weight(module: nn.Module) -> Tensor | None:
    """Return the weight that a layer multiplies its input by; None if there is none."""
    if isinstance(module, L0DepthwiseConv2d):
        return module.depthwise_conv.weight
    if isinstance(module, nn.Linear | _ConvNd | L0Linear | L0Conv2d):
        return module.weight
    return _weight(module) if is_transposed_linear(module) else None


def weight_axis_in(module: nn.Module) -> int:
    """Return the axis of a dense layer's weight that counts its input channels."""
    return 0 if isinstance(module, _ConvTransposeNd) or is_transposed_linear(module) else 1


def weight_groups(module: nn.Module) -> int:
    """Return the number of groups of a dense layer; 1 unless it is a grouped convolution."""
    return module.groups if isinstance(module, _ConvNd) else 1


def shrink(module: nn.Module, keep_in: Tensor, keep_out: Tensor) -> None:
    """Remove channels of a layer in place.

    Parameters
    ----------
    module : nn.Module
        A layer of a known type, whose role is not "fixed".
    keep_in, keep_out : Tensor of int
        Positions of the channels that stay, in order. Layers with the role "through" use only
        `keep_in`, those with the role "source" only `keep_out`.

    Raises
    ------
    TypeError
        If the type is unknown.
    """
    if is_transposed_linear(module):
        _select(module, "weight", 0, keep_in)
        _select(module, "weight", 1, keep_out)
        _select(module, "bias", 0, keep_out)
        vars(module).update(nx=len(keep_in), nf=len(keep_out))
        return
    for types, remove in _SHRINK:
        if isinstance(module, types):
            remove(module, keep_in, keep_out)
            return
    raise TypeError(
        f"`module` is a {type(module).__name__}, from which no channels can be removed; give a "
        "layer of a known type"
    )


def _shrink_linear(module: nn.Linear, keep_in: Tensor, keep_out: Tensor) -> None:
    _select(module, "weight", 0, keep_out)
    _select(module, "weight", 1, keep_in)
    _select(module, "bias", 0, keep_out)
    module.in_features, module.out_features = len(keep_in), len(keep_out)


def _shrink_conv(module: _ConvNd, keep_in: Tensor, keep_out: Tensor) -> None:
    if is_depthwise(module):
        each = module.out_channels // module.in_channels
        keep_out = (keep_in[:, None] * each + torch.arange(each, device=keep_in.device)).flatten()
        _select(module, "weight", 0, keep_in if module.transposed else keep_out)
        module.groups = len(keep_in)
    else:
        # The second axis counts the channels of one group; all groups keep the same positions.
        first, second = (keep_in, keep_out) if module.transposed else (keep_out, keep_in)
        _select(module, "weight", 0, first)
        _select(module, "weight", 1, second[: len(second) // module.groups])
    _select(module, "bias", 0, keep_out)
    module.in_channels, module.out_channels = len(keep_in), len(keep_out)


def _shrink_gated_linear(module: L0Linear, keep_in: Tensor, keep_out: Tensor) -> None:
    _shrink_gates(module.weight_gates, keep_in, keep_out, 1)
    _select(module, "weight", 0, keep_out)
    _select(module, "weight", 1, keep_in)
    _select(module, "bias", 0, keep_out)
    module.in_features, module.out_features = len(keep_in), len(keep_out)


def _shrink_gated_conv(module: L0Conv2d, keep_in: Tensor, keep_out: Tensor) -> None:
    gates = module.channel_gates if module.structured else module.weight_gates
    area = math.prod(module.kernel_size)
    _shrink_gates(gates, keep_in, keep_out, area)
    _select(module, "weight", 0, keep_out)
    _select(module, "weight", 1, keep_in)
    _select(module, "bias", 0, keep_out)
    module.in_channels, module.out_channels = len(keep_in), len(keep_out)
    module.weights_per_gate = len(keep_in) * area if module.structured else 1


def _shrink_gated_depthwise(module: L0DepthwiseConv2d, keep_in: Tensor, keep_out: Tensor) -> None:
    _shrink_gates(module.channel_gates, keep_in, keep_in, 1)
    _shrink_conv(module.depthwise_conv, keep_in, keep_in)
    module.in_channels = len(keep_in)


def _shrink_gates(gates: HardConcrete, keep_in: Tensor, keep_out: Tensor, area: int) -> None:
    _select(gates, "qz_logits", 0, keep_out)
    if gates.qz_logits.ndim == 2:
        columns = (keep_in[:, None] * area + torch.arange(area, device=keep_in.device)).flatten()
        _select(gates, "qz_logits", 1, columns)
    gates.gate_size = tuple(gates.qz_logits.shape)


def _shrink_embedding(module: nn.Embedding, keep_in: Tensor, keep_out: Tensor) -> None:
    _select(module, "weight", 1, keep_out)
    module.embedding_dim = len(keep_out)


def _shrink_norm(module: _BatchNorm, keep_in: Tensor, keep_out: Tensor) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        _select(module, name, 0, keep_in)
    module.num_features = len(keep_in)


def _shrink_group_norm(module: nn.GroupNorm, keep_in: Tensor, keep_out: Tensor) -> None:
    _select(module, "weight", 0, keep_in)
    _select(module, "bias", 0, keep_in)
    module.num_groups = len(keep_in) * module.num_groups // module.num_channels
    module.num_channels = len(keep_in)


def _shrink_prelu(module: nn.PReLU, keep_in: Tensor, keep_out: Tensor) -> None:
    _select(module, "weight", 0, keep_in)
    module.num_parameters = len(keep_in)


_SHRINK: tuple[tuple[type | tuple[type, ...], Callable[..., None]], ...] = (
    (L0Linear, _shrink_gated_linear),
    (L0Conv2d, _shrink_gated_conv),
    (L0DepthwiseConv2d, _shrink_gated_depthwise),
    (nn.Linear, _shrink_linear),
    (_ConvNd, _shrink_conv),
    ((nn.Embedding, nn.EmbeddingBag), _shrink_embedding),
    ((_BatchNorm, _InstanceNorm), _shrink_norm),
    (nn.GroupNorm, _shrink_group_norm),
    (nn.PReLU, _shrink_prelu),
)


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def _select(module: nn.Module, name: str, axis: int, keep: Tensor) -> None:
    tensor = getattr(module, name, None)
    if tensor is None or len(keep) == tensor.shape[axis]:
        return
    kept = tensor.detach().index_select(axis, keep.to(tensor.device))
    for ndim, form in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if tensor.ndim == ndim and tensor.is_contiguous(memory_format=form):
            kept = kept.contiguous(memory_format=form)
    if isinstance(tensor, nn.Parameter):
        kept = nn.Parameter(kept, requires_grad=tensor.requires_grad)
    setattr(module, name, kept)

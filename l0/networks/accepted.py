"""Models that cannot get gates, and what to do instead."""

from __future__ import annotations

from collections.abc import Set

import torch
from torch import Tensor, nn

from l0.common.errors import InputError, first_few
from l0.networks.gates.unit_gate import UnitGate
from l0.networks.graph.tensors import devices_of, is_inexact
from l0.networks.held_layers import holds_layers

#: Wrappers for several devices, which hold the model in an attribute `module`.
_WRAPPERS = {"DataParallel", "DistributedDataParallel", "FullyShardedDataParallel"}


def check_model(model: nn.Module) -> None:
    """Check that a model can get gates.

    Parameters
    ----------
    model : nn.Module
        What the user gives.

    Raises
    ------
    InputError
        If it is no plain nn.Module, is wrapped, compiled or quantised, or is on the device mps or
        meta; or if it has gates, lazy layers, weights that hooks compute, or functions that hold
        layers, in place of a `forward` or in an attribute. The message says what to do.
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise InputError(
            f"`model` is a {type(model).__name__}; give an nn.Module, and compile or script it "
            "only afterwards"
        )
    _check_wrapped(model)
    check_devices(devices_of(model))
    if type(model) is nn.MultiheadAttention:
        raise InputError(
            "`model` is itself an nn.MultiheadAttention, which returns the weights of all its "
            "heads; put it into a module that returns only what it attends to, so that heads can "
            "be removed"
        )
    if any(nn.parameter.is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise InputError(
            "`model` has lazy layers, whose sizes are not known yet; run a batch through it first"
        )
    if any(isinstance(module, UnitGate) for module in model.modules()):
        raise InputError(
            "`model` has gates already; sparsify the model that sparsifier.compact() returns"
        )
    patched = [
        name or "the model"
        for name, module in model.named_modules()
        if holds_layers(vars(module).get("forward"), model)
    ]
    if patched:
        raise InputError(
            f"`model` has a function in place of `forward` in {first_few(patched)}; a copy of the "
            "model would still run the layers that this function holds, so write a subclass or "
            "register hooks"
        )
    held = [
        f"{name}.{attribute}".lstrip(".")
        for name, module in model.named_modules()
        for attribute, value in vars(module).items()
        if attribute != "forward" and holds_layers(value, model)
    ]
    if held:
        raise InputError(
            f"`model` has functions that hold layers, in {first_few(held)}; a copy of the model "
            "would still call the layers of this one, so write methods in their place"
        )
    # A weight that a hook computes at each pass has a gradient history, and cannot be copied.
    computed = [
        f"{name}.{attribute}".lstrip(".")
        for name, module in model.named_modules()
        for attribute, value in vars(module).items()
        if isinstance(value, Tensor)
        and {f"{attribute}_orig", f"{attribute}_g"} & module._parameters.keys()
    ]
    if computed:
        raise InputError(
            f"`model` computes {first_few(computed)} in hooks; make them parameters with "
            "prune.remove, remove_weight_norm or remove_spectral_norm of torch.nn.utils, or use "
            "torch.nn.utils.parametrizations, whose layers get no gates and are not changed"
        )


def check_devices(devices: Set[torch.device]) -> None:
    """Check that models can be compared on their devices."""
    kinds = {device.type for device in devices}
    if "mps" in kinds:
        raise InputError(
            "`model` is on a GPU of Apple (mps), which has no float64, in which models are "
            "compared; sparsify, train and compact it on the CPU, and move what `compact` returns"
        )
    if "meta" in kinds:
        raise InputError(
            "`model` is on the device meta, where tensors have no values; load it on the CPU or on "
            "a GPU first"
        )


def _check_wrapped(model: nn.Module) -> None:
    for name, module in model.named_modules():
        where = f"`model` has at {name!r}" if name else "`model` is"
        kind = type(module).__name__
        if kind in _WRAPPERS:
            raise InputError(
                f"{where} a {kind}; sparsify the model inside, its attribute `module`, and wrap "
                "that model afterwards"
            )
        if kind == "OptimizedModule" or module._compiled_call_impl is not None:
            inside = "its attribute `_orig_mod`" if kind == "OptimizedModule" else "a new one"
            raise InputError(
                f"{where} compiled by torch.compile; sparsify the model as it was before "
                f"({inside}) and compile it afterwards, or compile what `compact` returns"
            )
    packed = [
        name or "the model"
        for name, module in model.named_modules()
        if ".quantized." in f"{type(module).__module__}."
        or any(p.ndim > 1 and not is_inexact(p) for p in module.parameters(recurse=False))
    ]
    if packed:
        raise InputError(
            f"`model` has quantised or packed weights in {first_few(packed)}, from which no "
            "channels can be removed; sparsify the model in floating point, and quantise what "
            "`compact` returns"
        )

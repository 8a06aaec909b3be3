"""Penalties and sparsity over a whole model, found by what its modules can answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from l0.common.dtypes import at_least_float32
from l0.temperature import TemperatureScheduler, update_temperatures
from l0.tracker import PenaltyTracker

__all__ = [
    "PenaltyTracker",
    "TemperatureScheduler",
    "compute_l0_penalty",
    "compute_l0l2_penalty",
    "compute_l2_penalty",
    "get_active_parameter_count",
    "get_sparsity_stats",
    "update_temperatures",
]


def compute_l0_penalty(model: nn.Module) -> Tensor:
    """Sum `get_l0_penalty` over a model, differentiable.

    Each gate counts once: a module that has the method answers for all that is inside it, and
    one that goes by several names is asked once.

    Parameters
    ----------
    model : nn.Module
        Searched with everything inside it.

    Returns
    -------
    Tensor, shape ()
        Expected number of open gates, on the device of the model's first parameter; 0 where
        nothing has a penalty.
    """
    return sum_over_modules(model, "get_l0_penalty")


def compute_l2_penalty(model: nn.Module) -> Tensor:
    """Sum the squares of all trainable weights, gated or not, differentiable.

    Weights are the parameters whose own name contains "weight", so neither biases nor the
    parameters of gates. The values in the weights of an `L0Linear` and its like count, whatever
    their gates. A weight that is computed (``torch.nn.utils.parametrize``: weight norm, or the
    gates of :func:`l0.sparsify`) counts as its module uses it.

    Parameters
    ----------
    model : nn.Module
        Searched with everything inside it.

    Returns
    -------
    Tensor, shape ()
        In float32 or better, on the device of the model's first parameter; 0 where nothing is
        trained.
    """
    squares = [sum_of_squares(weight) for weight, trained in _weights(model) if trained]
    return _sum(squares, model)


def compute_l0l2_penalty(
    model: nn.Module, l0_lambda: float = 1e-3, l2_lambda: float = 1e-4
) -> Tensor:
    """Weigh :func:`compute_l0_penalty` and :func:`compute_l2_penalty`, and add them.

    Parameters
    ----------
    model : nn.Module
        Searched with everything inside it.
    l0_lambda : float, default 1e-3
        Price of an open gate.
    l2_lambda : float, default 1e-4
        Price of a unit of squared weight.

    Returns
    -------
    Tensor, shape ()
        Add it to the loss.
    """
    return l0_lambda * compute_l0_penalty(model) + l2_lambda * compute_l2_penalty(model)


def get_sparsity_stats(model: nn.Module) -> dict[str, dict[str, float]]:
    """Tell how sparse each gated layer is.

    Parameters
    ----------
    model : nn.Module
        Searched with everything inside it.

    Returns
    -------
    dict of str to dict
        A row a layer, by its name in the model ("" for the model itself): `sparsity`, what
        `get_sparsity` says (float); `active_params`, the expected number of weights whose gate
        is open (float); `total_params`, the number of weights (int). The gate of a channel
        counts with all the weights of the channel.

    Notes
    -----
    A layer is a module with `get_sparsity` and `get_l0_penalty` that holds no other such module.
    """
    return {name: _stats(layer) for name, layer in _layers(model)}


def get_active_parameter_count(model: nn.Module) -> int:
    """Return the expected number of weights whose gate is open, rounded once, over all layers.

    Parameters
    ----------
    model : nn.Module
        Searched with everything inside it.

    Returns
    -------
    int
        Sum of `active_params` of :func:`get_sparsity_stats`; weights without gates do not count.
    """
    return round(sum(row["active_params"] for row in get_sparsity_stats(model).values()))


def sum_over_modules(model: nn.Module, method: str) -> Tensor:
    """Sum a scalar over the modules that have the method, the outermost ones only."""
    able = [module for module in model.modules() if hasattr(module, method)]
    inside = {part for module in able for part in module.modules() if part is not module}
    return _sum([getattr(module, method)() for module in able if module not in inside], model)


def sum_of_squares(weight: Tensor) -> Tensor:
    """In float32 or better: a sum of squares leaves float16 soon."""
    return at_least_float32(weight).square().sum()


def _sum(terms: list[Tensor], model: nn.Module) -> Tensor:
    # A model may be spread over devices; torch adds scalars of one device only.
    first = next(chain(model.parameters(), model.buffers()), None)
    total = torch.zeros((), device=None if first is None else first.device)
    for term in terms:
        total = total + term.to(total.device)
    return total


def _weights(model: nn.Module) -> Iterator[tuple[Tensor, bool]]:
    """Give each weight as its module uses it, and whether it is trained."""
    for name, parameter in model.named_parameters():
        # The last component: the parameter of a gate is called `weight_gates.qz_logits`, and what
        # a weight is computed from `parametrizations.weight.original`.
        if "weight" in name.rpartition(".")[2]:
            yield parameter, parameter.requires_grad
    for module in filter(parametrize.is_parametrized, model.modules()):
        assert isinstance(module.parametrizations, nn.ModuleDict)
        for name, parts in module.parametrizations.items():
            if "weight" in name:
                yield getattr(module, name), any(p.requires_grad for p in parts.parameters())


def _layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    def gated(module: nn.Module) -> bool:
        return hasattr(module, "get_sparsity") and hasattr(module, "get_l0_penalty")

    for name, module in model.named_modules():
        if gated(module) and not any(map(gated, list(module.modules())[1:])):
            yield name, module


def _stats(layer: Any) -> dict[str, float]:
    with torch.no_grad():
        open_gates = float(layer.get_l0_penalty())
    return {
        "sparsity": layer.get_sparsity(),
        "active_params": open_gates * getattr(layer, "weights_per_gate", 1),
        "total_params": sum(weight.numel() for weight, _ in _weights(layer)),
    }

"""Penalties and sparsity of a whole model, summed over the modules that have such a method."""

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

    Each gate counts once. A module with this method also answers for the modules inside it, and a
    module that occurs under several names is asked once.

    Parameters
    ----------
    model : nn.Module
        Searched with all its submodules.

    Returns
    -------
    Tensor, shape ()
        The expected number of open gates, on the device of the model's first parameter; 0 if no
        module has the method.

    Examples
    --------
    >>> import torch
    >>> from l0 import L0Linear, compute_l0_penalty
    >>> model = torch.nn.Sequential(L0Linear(3, 2), torch.nn.ReLU(), L0Linear(2, 1))
    >>> round(compute_l0_penalty(model).item(), 2)  # 8 gates with P(open) = 0.77
    6.15
    """
    return sum_over_modules(model, "get_l0_penalty")


def compute_l2_penalty(model: nn.Module) -> Tensor:
    """Sum the squares of all trainable weights, gated or not, differentiable.

    Weights are the parameters whose own name contains "weight". Biases and the parameters of gates
    are none. The weight of a gated layer, such as an `L0Linear`, counts without its gates. A
    weight that is computed by ``torch.nn.utils.parametrize`` (weight norm, or the gates of
    :func:`l0.sparsify`) counts as its module uses it.

    Parameters
    ----------
    model : nn.Module
        Searched with all its submodules.

    Returns
    -------
    Tensor, shape ()
        In float32 or better, on the device of the model's first parameter; 0 if no weight is
        trained.

    Examples
    --------
    >>> import torch
    >>> from l0 import compute_l2_penalty
    >>> model = torch.nn.Linear(2, 1)
    >>> with torch.no_grad():
    ...     _ = model.weight.copy_(torch.tensor([[3.0, 4.0]]))
    >>> compute_l2_penalty(model).item()
    25.0
    """
    squares = [sum_of_squares(weight) for weight, trained in _weights(model) if trained]
    return _sum(squares, model)


def compute_l0l2_penalty(
    model: nn.Module, l0_lambda: float = 1e-3, l2_lambda: float = 1e-4
) -> Tensor:
    """Return a weighted sum of :func:`compute_l0_penalty` and :func:`compute_l2_penalty`.

    Parameters
    ----------
    model : nn.Module
        Searched with all its submodules.
    l0_lambda : float, default 1e-3
        The price of an open gate.
    l2_lambda : float, default 1e-4
        The price of a unit of squared weight.

    Returns
    -------
    Tensor, shape ()
        The penalty to add to a loss.

    Examples
    --------
    >>> import torch
    >>> from l0 import L0Linear, compute_l0l2_penalty
    >>> _ = torch.manual_seed(0)
    >>> model = L0Linear(3, 2)
    >>> task_loss = model(torch.ones(5, 3)).square().mean()
    >>> loss = task_loss + compute_l0l2_penalty(model, l0_lambda=1e-2)
    >>> loss.backward()
    >>> bool((model.weight_gates.qz_logits.grad != 0).all())
    True
    """
    return l0_lambda * compute_l0_penalty(model) + l2_lambda * compute_l2_penalty(model)


def get_sparsity_stats(model: nn.Module) -> dict[str, dict[str, float]]:
    """Return how sparse each gated layer is.

    Parameters
    ----------
    model : nn.Module
        Searched with all its submodules.

    Returns
    -------
    dict of str to dict
        A row for each layer, under its name in the model ("" for the model itself): `sparsity`, the
        result of `get_sparsity` (float); `active_params`, the expected number of weights whose gate
        is open (float); `total_params`, the number of weights (int). An open channel counts with
        all its weights.

    Notes
    -----
    A layer is a module with `get_sparsity` and `get_l0_penalty` that holds no other such module.

    Examples
    --------
    >>> import torch
    >>> from l0 import L0Linear, get_sparsity_stats
    >>> model = torch.nn.Sequential(L0Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> for name, row in get_sparsity_stats(model).items():
    ...     print(name, {key: round(value, 2) for key, value in row.items()})
    0 {'sparsity': 0.23, 'active_params': 9.22, 'total_params': 12}
    """
    return {name: _stats(layer) for name, layer in _layers(model)}


def get_active_parameter_count(model: nn.Module) -> int:
    """Return the expected number of weights whose gate is open, rounded once, over all layers.

    Parameters
    ----------
    model : nn.Module
        Searched with all its submodules.

    Returns
    -------
    int
        The sum of `active_params` of :func:`get_sparsity_stats`, without ungated weights.

    Examples
    --------
    >>> from l0 import L0Linear, get_active_parameter_count
    >>> get_active_parameter_count(L0Linear(4, 3))  # 12 weights with P(open) = 0.77
    9
    """
    return round(sum(row["active_params"] for row in get_sparsity_stats(model).values()))


def sum_over_modules(model: nn.Module, method: str) -> Tensor:
    """Sum a method that returns a scalar over the outermost modules that have it."""
    able = [module for module in model.modules() if hasattr(module, method)]
    inside = {part for module in able for part in module.modules() if part is not module}
    return _sum([getattr(module, method)() for module in able if module not in inside], model)


def sum_of_squares(weight: Tensor) -> Tensor:
    """Return the sum of squares in float32 or better, because float16 overflows early."""
    return at_least_float32(weight).square().sum()


def _sum(terms: list[Tensor], model: nn.Module) -> Tensor:
    # A model may use several devices, and torch adds only scalars of the same device.
    first = next(chain(model.parameters(), model.buffers()), None)
    total = torch.zeros((), device=None if first is None else first.device)
    for term in terms:
        total = total + term.to(total.device)
    return total


def _weights(model: nn.Module) -> Iterator[tuple[Tensor, bool]]:
    """Yield each weight as its module uses it, and whether it is trained."""
    for name, parameter in model.named_parameters():
        # Look at the last part of the name only: the parameter of a gate is called
        # `weight_gates.qz_logits`, and the origin of a computed weight is called
        # `parametrizations.weight.original`.
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

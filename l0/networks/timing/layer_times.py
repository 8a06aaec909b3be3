"""The time of each layer as a function of its open channels, from smaller copies of the model."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from l0.networks.budgets.cost import LayerCost, LayerTimes, layer_cost
from l0.networks.graph.layer_types import module_at
from l0.networks.graph.tensors import call, copies_of, copy_of, devices_of
from l0.networks.graph.units import Structure
from l0.networks.pruning.compact import cut
from l0.networks.timing.stopwatch import milliseconds, synchronize

#: The number of smaller copies, and the least share of the units that one of them has. Ours.
_N_COPIES, _LEAST_SHARE = 16, 1 / 16

#: Each copy is timed in so many rounds, by so many passes that count. The least time of the rounds
#: counts, because other work on the machine comes and goes. Ours.
_N_ROUNDS, _N_PASSES = 2, 4

#: The key of the time of the whole model; no layer that has units has this name.
_WHOLE = ""

#: Numbers of channels of the sides of a layer.
Counts = dict[str, int]


def layer_times(
    model: nn.Module, example_inputs: Any, structure: Structure, least: Sequence[int]
) -> LayerTimes:
    r"""Time the layers of a model at several widths, and fit their time as a function of the width.

    The time of a layer with a input and b output channels is taken to be

    .. math:: p \, a b + q \, a + r \, b + s

    with p, q, r and s not negative; layers with other sides have products of the same kind. They
    are fitted to the times that the layer takes within smaller copies of the model, by least
    squares of the relative errors. The time of the whole model that its layers do not explain is
    taken to be linear in the outputs of the layers (activation functions, sums of layers) and in
    the products of activations (attention), with a constant.

    Parameters
    ----------
    model : nn.Module
        A model without gates, on its device; it is not changed.
    example_inputs : Tensor, sequence or mapping
        The inputs of the passes that are timed.
    structure : Structure
        The groups of units. Layers that belong to none have a constant time.
    least : sequence of int
        For each group, the number of units whose multiples are tried.

    Returns
    -------
    LayerTimes

    Notes
    -----
    The formula is ours. :func:`l0.networks.budgets.cost.layer_cost` has the same one, with counted
    numbers.
    """
    model = copy_of(model).eval()
    names = structure.layers
    keep_sets = list(_keep_sets(structure, least))
    rounds = [
        [_timed(_smaller(model, structure, keep), example_inputs, names) for keep in keep_sets]
        for _ in range(_N_ROUNDS)
    ]
    times = [
        {key: min(of[key] for of in copies) for key in copies[0]}
        for copies in zip(*rounds, strict=True)
    ]
    counts = [_counts(_smaller(model, structure, keep), structure) for keep in keep_sets]
    layers = {
        name: _fitted(
            _terms(model, structure, name),
            [of[name] for of in counts],
            [of[name] for of in times],
        )
        for name in names
    }
    return _with_rest(layers, structure, counts, [of[_WHOLE] for of in times])


def _keep_sets(structure: Structure, least: Sequence[int]) -> Iterator[list[Tensor]]:
    """Yield sets of units that stay: all, and others with another share in each group.

    Over the copies, each group has small and large shares, in an order of its own.
    """
    generator = torch.Generator().manual_seed(0)
    n_steps = _N_COPIES - 1
    levels = [
        [0, *(1 + torch.randperm(n_steps, generator=generator, device="cpu")).tolist()]
        for _ in structure.groups
    ]
    for copy in range(_N_COPIES):
        keep = []
        for group, step, level in zip(structure.groups, least, levels, strict=True):
            n = group.n_units * _LEAST_SHARE ** (level[copy] / n_steps)
            n = min(group.n_units, max(1, round(n / step)) * step)
            n = n if group.producers else group.n_units
            keep.append(torch.arange(group.n_units, device="cpu") < n)
        yield keep


def _smaller(model: nn.Module, structure: Structure, keep: list[Tensor]) -> nn.Module:
    small = copy_of(model, share_parameters=True)
    cut(small, structure.groups, keep)
    return small


def _counts(model: nn.Module, structure: Structure) -> dict[str, Counts]:
    found = {}
    for name in structure.layers:
        layout = structure.types[name].layout(module_at(model, name))
        assert layout is not None
        found[name] = {side: layout.count(side) for side in ("in", "out", "inner")}
    return found


def _timed(model: nn.Module, example_inputs: Any, names: Sequence[str]) -> dict[str, float]:
    """Return the median microseconds of each layer within a pass, and of a pass without clocks.

    Loose parameters take no time.
    """
    passes: dict[str, list[float]] = {name: [] for name in names}
    modules, devices = dict(model.named_modules()), devices_of(model)
    for _ in range(_N_PASSES + 1):
        spent: dict[str, float] = defaultdict(float)
        with torch.no_grad(), _clocks(modules, names, devices, spent):
            call(model, copies_of(example_inputs))
        for name in names:
            passes[name].append(1e6 * spent[name])
    found = {name: statistics.median(times[1:]) for name, times in passes.items()}
    return {**found, _WHOLE: 1000 * milliseconds(model, example_inputs)}


@contextmanager
def _clocks(
    modules: dict[str, nn.Module],
    names: Sequence[str],
    devices: set[torch.device],
    spent: dict[str, float],
) -> Iterator[None]:
    """Add up the seconds of all calls of layers."""
    started: dict[str, float] = {}

    def start(name: str, *_: Any) -> None:
        synchronize(devices)
        started[name] = time.perf_counter()

    def stop(name: str, *_: Any) -> None:
        synchronize(devices)
        spent[name] += time.perf_counter() - started[name]

    hooks = []
    for name in names:
        if name in modules:
            hooks.append(modules[name].register_forward_pre_hook(partial(start, name)))
            hooks.append(modules[name].register_forward_hook(partial(stop, name)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _terms(model: nn.Module, structure: Structure, name: str) -> list[tuple[str, ...]]:
    """Return the products of sides that the time of a layer may depend on, with a constant."""
    found = set(layer_cost(model, structure, name, "params"))
    found |= {(side,) for key in found for side in key}
    return sorted(found | {()})


def _fitted(terms: list[tuple[str, ...]], counts: list[Counts], times: list[float]) -> LayerCost:
    design = np.array([[math.prod(of[side] for side in key) for key in terms] for of in counts])
    return dict(zip(terms, _relative_fit(design, np.array(times)), strict=True))


def _relative_fit(design: np.ndarray, times: np.ndarray) -> list[float]:
    """Return factors that are not negative, by least squares of the relative errors."""
    if not times.all():
        return [0.0] * design.shape[1]
    # Columns of like size: the products of two numbers of channels are far larger than a constant.
    sizes = design.max(0).clip(1)
    found = nnls(design / sizes / times[:, None], np.ones(len(times)))[0] / sizes
    return [float(factor) for factor in found]


def _with_rest(
    layers: dict[str, LayerCost],
    structure: Structure,
    counts: list[dict[str, Counts]],
    whole: list[float],
) -> LayerTimes:
    """Fit the time of the whole model to its layers, their outputs and products of activations."""
    outputs = {
        name: structure.n_positions[name] for name, cost in layers.items() if ("out",) in cost
    }
    products = {name: structure.products.get(name, 0.0) for name in outputs}

    def features(of: dict[str, Counts]) -> list[float]:
        in_layers = sum(
            factor * math.prod(of[name][side] for side in key)
            for name, cost in layers.items()
            for key, factor in cost.items()
        )
        others = (sum(n * of[name]["out"] for name, n in by.items()) for by in (outputs, products))
        return [in_layers, *others, 1.0]

    scale, output, product, constant = _relative_fit(
        np.array([features(of) for of in counts]), np.array(whole)
    )
    costs = {
        name: {key: scale * factor for key, factor in cost.items()} for name, cost in layers.items()
    }
    for name in outputs:
        costs[name]["out",] += output * outputs[name] + product * products[name]
    return LayerTimes(costs, constant)

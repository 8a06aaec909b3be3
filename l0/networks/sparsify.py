"""From a model and a budget to a model with gates."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from l0.common.errors import InputError, closest, first_few
from l0.common.validation import whole_number
from l0.networks.attention import can_open, open_attention
from l0.networks.budgets import Asked, Constraint, constraints
from l0.networks.dependencies import find_units
from l0.networks.gate_vector import GateVector
from l0.networks.gating import attach
from l0.networks.kinds import kind_of, weight_groups
from l0.networks.patterns import matching, matching_any
from l0.networks.sparsifier import Sparsifier
from l0.networks.unit_gates import FAMILIES, UnitGate
from l0.networks.units import LeftOut, Structure, features_of, single_weights
from l0.networks.verifying import verified


def sparsify(
    model: nn.Module,
    example_inputs: Any,
    budget: Asked,
    *,
    gates: str = "hadamard",
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    inputs: str | Iterable[str] | None = None,
    granularity: Literal["unit", "weight"] = "unit",
    start_open: bool = True,
    total_steps: int | None = None,
    seed: int = 0,
) -> Sparsifier:
    """Put a gate on every unit of a model, to be trained down to a budget.

    Units are the channels, neurons and attention heads that can be removed without a trace. Which
    channels of which layers belong together is found by running the model; whatever stands
    between the layers is code that needs no rewriting.

    Parameters
    ----------
    model : nn.Module
        Gets its gates in place: parametrizations of the weights they act on. Its outputs stay the
        same at first. Each nn.MultiheadAttention in it is taken apart into an equal
        :class:`l0.networks.Attention`.
    example_inputs : Tensor, sequence or mapping
        A batch of one or two examples: a tensor, positional arguments, or named ones. Costs are
        counted for one example of their shape.
    budget : Params, Macs, Units or Bytes, or sequence or dict of them
        What the model may cost in the end. Of several, each is held; a dict gives budgets to layers
        by the patterns their names match.
    gates : {"hadamard", "hard_concrete"}
        Deterministic or stochastic gates.
    include, exclude : str or sequence of str, optional
        Gate only units made by layers that match `include`, and none of those made by layers that
        match `exclude`. ``"layer1"`` means everything in it; ``*`` is anything.
    inputs : str or sequence of str, optional
        Layers whose incoming features get gates of their own, besides: pixels, say, or what
        flattening makes of channels. The compact model then selects features before the layer.
    granularity : {"unit", "weight"}
        ``"weight"`` puts a gate on each single weight of linear layers and convolutions (of those
        that `include` and `exclude` leave), and budgets count open weights. The compact model then
        has its old shapes, with zeros: smaller where files are compressed, hardly ever faster.
    start_open : bool, default True
        Start from the model as it is; else from half-open gates. Where the model is trained
        already, `compact()` at once closes the units of least magnitude, and a short fine-tune
        mends it.
    total_steps : int, optional
        How many steps the training will take. The budget is eased in over the first three tenths of
        them and met after six: what is then too much is closed, and the rest of the training mends
        it. If this is not given, the budget is eased in over 1,000 steps, and what is too much
        stays until `finish` or `compact`.
    seed : int, default 0
        Of the noise of stochastic gates.

    Returns
    -------
    Sparsifier

    Raises
    ------
    InputError
        If an argument is out of its range, the example inputs do not run, no unit can be
        removed, or no architecture meets the budget. The model is then as it was.
    """
    if granularity not in ("unit", "weight"):
        raise InputError(f"`granularity` is {granularity!r}; give 'unit' or 'weight'")
    if granularity == "weight" and inputs is not None:
        raise InputError("`inputs` selects features for units; leave it out for single weights")
    if gates not in FAMILIES:
        raise InputError(f"`gates` is {gates!r}; {closest(gates, FAMILIES)}")
    _check_model(model)
    if total_steps is not None:
        total_steps = whole_number(total_steps, "total_steps", 1)
    opened = open_attention(deepcopy(model)) if can_open(model) else model
    structure = find_units(opened, example_inputs)
    if granularity == "weight":
        structure = single_weights(opened, structure)
    structure = _selected(structure, include, exclude)
    structure = _with_features(opened, structure, inputs)
    structure = verified(opened, example_inputs, structure)
    _check_named(structure, include)
    if not structure.groups:
        reasons = "; ".join(f"{left.name}: {left.reason}" for left in structure.left_out[:5])
        raise InputError(f"`model` has no unit that can be removed ({reasons or 'no layers'})")
    found = constraints(budget, opened, structure)
    for constraint in found:
        _check_floor(constraint, structure)
    example = next(model.parameters())
    family = FAMILIES[gates]
    unit_gates: list[UnitGate] = [
        family(group.n_units, start_open).to(example.device) for group in structure.groups
    ]
    attach(open_attention(model), structure.groups, unit_gates)
    vector = GateVector(unit_gates, seed)
    return Sparsifier(model, structure, vector, found, example_inputs, total_steps)


def _check_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise InputError(
            f"`model` is a {type(model).__name__}; give an nn.Module, and compile or script it "
            "afterwards"
        )
    if type(model) is nn.MultiheadAttention:
        raise InputError(
            "`model` is itself an nn.MultiheadAttention, which returns the weights of all its "
            "heads; put it into a module that returns only what it attends to, and heads can go"
        )
    if any(nn.parameter.is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise InputError("`model` has lazy layers without sizes; run a batch through it first")
    if any(isinstance(module, UnitGate) for module in model.modules()):
        raise InputError("`model` has gates already; sparsify what its sparsifier.compact() gives")
    # Weights that a hook makes anew at each pass carry a history, with which no model is copied.
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
            "torch.nn.utils.parametrizations, whose layers are left as they are"
        )


def _selected(
    structure: Structure,
    include: str | Iterable[str] | None,
    exclude: str | Iterable[str] | None,
) -> Structure:
    names = structure.places
    excluded = matching_any(exclude, names, "exclude")
    included = matching_any(include, names, "include") if include is not None else set(names)
    groups, left_out = [], list(structure.left_out)
    for group in structure.groups:
        if group.made_by & excluded:
            left_out.append(LeftOut(group.name, "`exclude` names them"))
        elif not group.made_by & included:
            left_out.append(LeftOut(group.name, "`include` does not name them"))
        else:
            groups.append(group)
    return replace(structure, groups=groups, left_out=left_out)


def _with_features(
    model: nn.Module, structure: Structure, inputs: str | Iterable[str] | None
) -> Structure:
    kinds = {name: kind_of(model.get_submodule(name)) for name in structure.places}
    layers = {
        name: kind
        for name, kind in kinds.items()
        if kind and kind.role == "dense" and weight_groups(model.get_submodule(name)) == 1
    }
    chosen = matching_any(inputs, layers, "inputs")
    features = [features_of(name, kind) for name, kind in layers.items() if name in chosen]
    return replace(structure, groups=[*structure.groups, *features])


def _check_named(structure: Structure, include: str | Iterable[str] | None) -> None:
    """Insist that each pattern of `include` got gates."""
    made_by = {name for group in structure.groups for name in group.made_by}
    for pattern in [include] if isinstance(include, str) else include or ():
        named = matching(pattern, structure.places)
        if not named & made_by:
            reasons = [
                f"{left.name}: {left.reason}"
                for left in structure.left_out
                if named & set(left.name.split(", "))
            ]
            raise InputError(f"`include` names {pattern!r}, but {'; '.join(reasons[:5])}")


def _check_floor(constraint: Constraint, structure: Structure) -> None:
    cost = constraint.cost
    floor = torch.cat([torch.arange(group.n_units) == 0 for group in structure.groups])
    least = round(float(cost(floor)))
    if least > constraint.limit:
        left = first_few(left.name for left in structure.left_out)
        raise InputError(
            f"`budget` asks for {constraint.limit:,} {constraint} of {cost.total:,}, but one unit "
            f"in each of the {len(structure.groups)} groups and what has no gates ({left}) make "
            f"{least:,}, a share of {least / max(cost.total, 1):.4g}: ask for that or more"
        )

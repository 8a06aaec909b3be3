"""From a model and a budget to a model with gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from l0.errors import InputError, closest, first_few
from l0.networks.budgets import Budget, Constraint, constraints
from l0.networks.compact import compacted
from l0.networks.dependencies import find_units
from l0.networks.gating import FAMILIES, UnitGate, attach
from l0.networks.kinds import kind_of, weight_groups
from l0.networks.patterns import matching, matching_any
from l0.networks.probe import call
from l0.networks.sparsifier import Sparsifier
from l0.networks.units import LeftOut, Structure, UnitGroup, features_of
from l0.scalars import whole_number


def sparsify(
    model: nn.Module,
    example_inputs: Any,
    budget: Budget | Mapping[str, Budget],
    *,
    gates: str = "hadamard",
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    inputs: str | Iterable[str] | None = None,
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
        same at first.
    example_inputs : Tensor, sequence or mapping
        A batch of one or two examples: a tensor, positional arguments, or named ones. Costs are
        counted for one example of their shape.
    budget : Params, Macs, Units or Bytes, or dict
        What the model may cost in the end; a dict gives budgets to layers by the patterns their
        names match.
    gates : {"hadamard", "hard_concrete"}
        Deterministic or stochastic gates.
    include, exclude : str or sequence of str, optional
        Gate only units made by layers that match `include`, and none of those made by layers that
        match `exclude`. ``"layer1"`` means everything in it; ``*`` is anything.
    inputs : str or sequence of str, optional
        Layers whose incoming features get gates of their own, besides: pixels, say, or what
        flattening makes of channels. The compact model then selects features before the layer.
    start_open : bool, default True
        Start from the model as it is; else from half-open gates.
    total_steps : int, optional
        How many steps the training will take. The budget is eased in over the first three tenths of
        them; over 1,000 steps if this is not given.
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
    if gates not in FAMILIES:
        raise InputError(f"`gates` is {gates!r}; {closest(gates, FAMILIES)}")
    if any(isinstance(module, UnitGate) for module in model.modules()):
        raise InputError("`model` has gates already; sparsify what its sparsifier.compact() gives")
    if total_steps is not None:
        total_steps = whole_number(total_steps, "total_steps", 1)
    structure = find_units(model, example_inputs)
    structure = _selected(structure, include, exclude)
    structure = _with_features(model, structure, inputs)
    structure = _verified(model, example_inputs, structure)
    _check_named(structure, include)
    if not structure.groups:
        reasons = "; ".join(f"{left.name}: {left.reason}" for left in structure.left_out[:5])
        raise InputError(f"`model` has no unit that can be removed ({reasons or 'no layers'})")
    found = constraints(budget, model, structure)
    for constraint in found:
        _check_floor(constraint, structure)
    example = next(model.parameters())
    family = FAMILIES[gates]
    unit_gates: list[UnitGate] = [
        family(group.n_units, start_open).to(example.device) for group in structure.groups
    ]
    attach(model, structure.groups, unit_gates)
    return Sparsifier(model, structure, unit_gates, found, example_inputs, total_steps, seed)


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
        made_by = {member.module for member in group.producers}
        if made_by & excluded:
            left_out.append(LeftOut(group.name, "`exclude` names them"))
        elif not made_by & included:
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


def _verified(model: nn.Module, example_inputs: Any, structure: Structure) -> Structure:
    """Leave out groups whose removal does not give what closing their gates gives."""
    if not structure.groups or _disagreement(model, example_inputs, structure.groups) is None:
        return structure
    groups, left_out = [], list(structure.left_out)
    for group in structure.groups:
        reason = _disagreement(model, example_inputs, [group])
        if reason is None:
            groups.append(group)
        else:
            left_out.append(LeftOut(group.name, reason))
    return replace(structure, groups=groups, left_out=left_out)


def _disagreement(model: nn.Module, example_inputs: Any, groups: list[UnitGroup]) -> str | None:
    """Tell how removing units differs from closing their gates, None if it does not.

    Tried on copies, with one unit of each group closed, with half, and with all but one.
    """
    generator = torch.Generator().manual_seed(0)
    for n_closed in (lambda n: 1, lambda n: n // 2, lambda n: n - 1):
        closed = [
            torch.randperm(group.n_units, generator=generator)[: n_closed(group.n_units)]
            for group in groups
        ]
        reason = _difference(model, example_inputs, groups, closed)
        if reason is not None:
            return reason
    return None


@torch.no_grad()
def _difference(
    model: nn.Module, example_inputs: Any, groups: list[UnitGroup], closed: list[Tensor]
) -> str | None:
    gated = deepcopy(model).eval()
    device = next(model.parameters()).device
    gates = [FAMILIES["hadamard"](group.n_units, True).to(device) for group in groups]
    for gate, units in zip(gates, closed, strict=True):
        gate.alive[units.to(device)] = False
    attach(gated, groups, gates)
    small = compacted(gated, groups, [gate.alive for gate in gates])
    expected = _tensors(call(gated, example_inputs))
    try:
        found = _tensors(call(small, example_inputs))
    except Exception as error:
        return (
            f"the model does not run without some of them: {type(error).__name__}: {error}; a "
            "size written into its code, as in view(-1, 800), should be flatten(1) or -1"
        )
    for a, b in zip(expected, found, strict=True):
        if a.shape != b.shape or not torch.allclose(a, b, rtol=1e-4, atol=1e-4):
            return "removing some of them changes the output: their order or number matters"
    return None


def _tensors(out: Any) -> list[Tensor]:
    leaves = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
    return [leaf.double() if leaf.is_floating_point() else leaf for leaf in leaves]


def _check_named(structure: Structure, include: str | Iterable[str] | None) -> None:
    """Insist that each pattern of `include` got gates."""
    made_by = {m.module for group in structure.groups for m in group.producers}
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

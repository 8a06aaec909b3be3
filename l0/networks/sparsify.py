"""l0.sparsify: from a model and a budget to a model with gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from l0.common.errors import InputError, closest, first_few
from l0.common.validation import flag, whole_number
from l0.networks.accepted import check_model
from l0.networks.budgets.budgets import Asked, Constraint, Latency, budgets_in, constraints
from l0.networks.gates.families import FAMILIES, new_gates
from l0.networks.gates.gate_vector import GateVector
from l0.networks.gates.gating import attach
from l0.networks.gates.unit_gate import UnitGate
from l0.networks.graph.attention import can_open, open_attention
from l0.networks.graph.dependencies import find_units
from l0.networks.graph.layer_types import LayerType, module_at
from l0.networks.graph.name_patterns import listed, matching, matching_any
from l0.networks.graph.tensors import copy_of, mode_of
from l0.networks.graph.units import LeftOut, Structure, features_of, single_weights
from l0.networks.pruning.rounding import Rounding
from l0.networks.pruning.verification import verified
from l0.networks.sparsifier import Sparsifier
from l0.networks.timing.layer_times import layer_times

_STREAM = (
    "they are the width of a residual stream under a norm over channels, such as LayerNorm; "
    "`residual=True` puts gates on them"
)


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
    round_to: int = 1,
    layer_types: Iterable[LayerType] = (),
    loose_parameters: Mapping[str, int] | None = None,
    residual: bool = False,
    seed: int = 0,
) -> Sparsifier:
    """Put a gate on every unit of a model, so that training brings the model down to a budget.

    Units are the channels, neurons and attention heads that can be removed while the rest of the
    model works as before. The function runs the model to find the channels that belong together,
    so the code between the layers needs no changes.

    Parameters
    ----------
    model : nn.Module
        The model. It gets its gates in place, as parametrizations of its weights. With
        `start_open`, its outputs do not change. Each nn.MultiheadAttention in it is replaced by an
        equal :class:`l0.networks.Attention`.
    example_inputs : Tensor, sequence or mapping
        A batch of one or two examples: a tensor, a sequence of arguments, or named arguments.
        Costs are counted for one example of this shape.
    budget : Params, Macs, Units, Bytes or Latency, or sequence or dict of them
        What the model may cost in the end. Of several budgets, the model meets every one. A dict
        gives budgets to layers; its keys are patterns of the names of layers.
    gates : {"hadamard", "hard_concrete"}
        Deterministic or stochastic gates.
    include, exclude : str or sequence of str, optional
        Patterns of the names of layers. Only units made by layers that match `include` get gates,
        and no units made by layers that match `exclude`. ``"layer1"`` also stands for every layer
        inside it, and ``*`` for any characters.
    inputs : str or sequence of str, optional
        Patterns of the names of layers whose input features also get gates, such as pixels, or the
        features that flattening makes from channels. The compact model then selects these features
        before the layer.
    granularity : {"unit", "weight"}
        ``"weight"`` puts a gate on each weight of linear layers and convolutions, within `include`
        and `exclude`, and budgets count open weights. The compact model then keeps its shapes and
        has zeros. Its compressed file is smaller, but it is hardly ever faster.
    start_open : bool, default True
        Whether the gates start open, so that training starts from the model as it is; otherwise
        they start half open. If the model is already trained, `compact()` before any step closes
        the units of least magnitude, and a short fine-tuning repairs the damage; see `observe`.
    total_steps : int, optional
        The number of steps of the training. The budget is eased in over the first six tenths of
        the steps. Gates then no longer learn, and the other steps repair the damage. Without
        `total_steps`, the budget is eased in by the same factor in each doubling of the steps, and
        met after 300; a `compact` before that closes what is too much at a stroke, and warns.
    round_to : int, default 1
        Each group that loses units keeps so many that the layers that make them have a multiple of
        `round_to` channels of it; a group with fewer channels stays whole. Convolutions and matrix
        products are faster on widths that are multiples of 8. The model still meets every budget,
        and the error that says what a budget can be counts with these widths.
    layer_types : sequence of LayerType, optional
        Types of layers that the package does not know, or shall see in another way.
    loose_parameters : dict of str to int, optional
        For parameters and buffers that belong to no layer, the axis of their channels, by patterns
        of their names. Only those need it whose axis is not found by marking: the report says that
        units meet a parameter that belongs to no layer.
    residual : bool, default False
        Whether the channels of residual streams under LayerNorm or RMSNorm get gates. These norms
        compute their statistics over the channels that are not closed for good, in the gated and
        in the compact model. So both still give the same outputs up to rounding; but closing the
        first channel changes the statistics of all others, so that the model needs training after
        it.
    seed : int, default 0
        Seed of the noise of stochastic gates.

    Returns
    -------
    Sparsifier

    Raises
    ------
    InputError
        If an argument is out of its range, the example inputs do not run, no unit can be removed,
        or no choice of units meets the budget. The model is then unchanged.

    Warns
    -----
    UserWarning
        If the model returns whole numbers only, with which units can hardly be tried out.

    Examples
    --------
    >>> import torch
    >>> import l0
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> sparsifier = l0.sparsify(model, torch.zeros(2, 8), l0.Params(0.5), total_steps=1000)
    >>> sparsifier
    Sparsifier of Sequential after 0 steps
      budget: at most 89 parameters of 178, now 178 at the price 0
      units: 16 of 16 open, in 1 group on 2 layers
      no gates on: 2
    >>> small = sparsifier.compact()  # after the training, or at once for magnitude pruning
    >>> sum(p.numel() for p in small.parameters())
    79
    """
    asked = _Request(
        budget=budget,
        gates=gates,
        include=listed(include, "include"),
        exclude=listed(exclude, "exclude"),
        inputs=listed(inputs, "inputs"),
        granularity=granularity,
        round_to=whole_number(round_to, "round_to", 1),
        layer_types=_layer_types(layer_types),
        loose_parameters=loose_parameters,
        residual=flag(residual, "residual"),
    )
    seed, start_open = whole_number(seed, "seed", 0), flag(start_open, "start_open")
    if total_steps is not None:
        total_steps = whole_number(total_steps, "total_steps", 1)
    check_model(model)
    opened = open_attention(copy_of(model)) if can_open(model) else model
    structure = _units(opened, example_inputs, asked)
    rounding = Rounding(structure.groups, asked.round_to)
    found = _constraints(opened, example_inputs, structure, rounding, asked)
    device = next(model.parameters()).device
    with mode_of(model):
        unit_gates: list[UnitGate] = [
            new_gates(gates, group.n_units, start_open, device) for group in structure.groups
        ]
        attach(open_attention(model), structure.groups, unit_gates)
        vector = GateVector(unit_gates, seed)
        return Sparsifier(model, structure, vector, found, example_inputs, total_steps, rounding)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What the user asks for: the arguments of `sparsify` that suit each other."""

    budget: Asked
    gates: str
    include: tuple[str, ...] | None
    exclude: tuple[str, ...] | None
    inputs: tuple[str, ...] | None
    granularity: str
    round_to: int
    layer_types: tuple[LayerType, ...]
    loose_parameters: Mapping[str, int] | None
    residual: bool

    def __post_init__(self) -> None:
        if self.gates not in FAMILIES:
            raise InputError(f"`gates` is {self.gates!r}; {closest(self.gates, FAMILIES)}")
        if self.granularity not in ("unit", "weight"):
            raise InputError(f"`granularity` is {self.granularity!r}; give 'unit' or 'weight'")
        if not isinstance(self.loose_parameters, Mapping | None):
            raise InputError(
                f"`loose_parameters` is {self.loose_parameters!r}; give a dict of names and axes, "
                "such as {'table': 0}"
            )
        if self.single and self.inputs is not None:
            raise InputError(
                "`inputs` selects features for units; leave it out if `granularity` is 'weight'"
            )
        if self.round_to > 1 and (self.single or self.inputs is not None):
            raise InputError(
                f"`round_to` is {self.round_to}, which rounds the widths of groups of units; leave "
                "it out if `granularity` is 'weight' or `inputs` selects single features"
            )
        if self.single and self.timed:
            raise InputError(
                "`budget` has a Latency, but single weights of 0 take as long as others; leave out "
                "granularity='weight', or give another budget"
            )

    @property
    def single(self) -> bool:
        """Whether each weight gets a gate."""
        return self.granularity == "weight"

    @property
    def timed(self) -> bool:
        """Whether there is a budget in time."""
        return any(isinstance(one, Latency) for one in budgets_in(self.budget))


def _layer_types(given: Iterable[LayerType]) -> tuple[LayerType, ...]:
    found = tuple(given) if isinstance(given, Iterable) else given
    if not isinstance(found, tuple) or not all(isinstance(one, LayerType) for one in found):
        raise InputError(
            f"`layer_types` must hold LayerType, got {found!r}; write "
            "l0.networks.LayerType(MyLayer, 'dense', {'weight': ('out', 'in')}), for example"
        )
    return found


def _units(model: nn.Module, example_inputs: Any, asked: _Request) -> Structure:
    """Find the units that get gates, and try them out."""
    structure = find_units(model, example_inputs, asked.layer_types, asked.loose_parameters)
    if not asked.residual:
        structure = _without_streams(model, structure)
    if asked.single:
        structure = single_weights(model, structure)
    structure = _selected(structure, asked.include, asked.exclude)
    structure = _with_features(model, structure, asked.inputs)
    structure = verified(model, example_inputs, structure)
    _check_named(structure, asked.include)
    if not structure.groups:
        reasons = "; ".join(f"{left.name}: {left.reason}" for left in structure.left_out[:5])
        raise InputError(f"`model` has no unit that can be removed ({reasons or 'no layers'})")
    return structure


def _constraints(
    model: nn.Module, example_inputs: Any, structure: Structure, rounding: Rounding, asked: _Request
) -> list[Constraint]:
    """Turn the budgets into constraints that can be met."""
    times = None
    if asked.timed:
        times = layer_times(model, example_inputs, structure, rounding.least)
    found = constraints(asked.budget, model, structure, times)
    for constraint in found:
        _check_floor(constraint, structure, rounding)
    return found


def _selected(
    structure: Structure, include: tuple[str, ...] | None, exclude: tuple[str, ...] | None
) -> Structure:
    names = structure.n_positions
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


def _without_streams(model: nn.Module, structure: Structure) -> Structure:
    """Leave out the channels of residual streams under norms over channels."""
    groups, left_out = [], list(structure.left_out)
    for group in structure.groups:
        layouts = [m.layer_type.layout(module_at(model, m.module)) for m in group.through]
        if group.in_sum and any(layout and layout.over_channels for layout in layouts):
            left_out.append(LeftOut(group.name, _STREAM))
        else:
            groups.append(group)
    return replace(structure, groups=groups, left_out=left_out)


def _with_features(
    model: nn.Module, structure: Structure, inputs: tuple[str, ...] | None
) -> Structure:
    layouts = {
        name: layer_type.layout(module_at(model, name))
        for name, layer_type in structure.types.items()
    }
    layers = {
        name: layout.n_in
        for name, layout in layouts.items()
        if layout and layout.reads_side("in") and layout.repeats.get("in", 1) == 1
    }
    chosen = matching_any(inputs, layers, "inputs")
    types = structure.types
    features = [features_of(name, types[name], n) for name, n in layers.items() if name in chosen]
    return replace(structure, groups=[*structure.groups, *features])


def _check_named(structure: Structure, include: tuple[str, ...] | None) -> None:
    """Raise an error if a pattern of `include` names only layers whose units get no gates."""
    made_by = {name for group in structure.groups for name in group.made_by}
    for pattern in include or ():
        named = matching(pattern, structure.n_positions)
        if not named & made_by:
            reasons = [
                f"{left.name}: {left.reason}"
                for left in structure.left_out
                if named & set(left.name.split(", "))
            ]
            raise InputError(f"`include` names {pattern!r}, but {'; '.join(reasons[:5])}")


def _check_floor(constraint: Constraint, structure: Structure, rounding: Rounding) -> None:
    cost = constraint.cost
    first = [
        torch.arange(group.n_units, device="cpu") < least
        for group, least in zip(structure.groups, rounding.least, strict=True)
    ]
    floor = torch.cat(first)
    least = round(float(cost(floor)))
    if least > constraint.limit:
        left = first_few(left.name for left in structure.left_out)
        n_groups = len(structure.groups)
        groups = "the only group" if n_groups == 1 else f"each of the {n_groups} groups"
        one = "one unit" if set(rounding.least) == {1} else "the smallest width"
        raise InputError(
            f"`budget` asks for {constraint.limit:,} {constraint} of {cost.total:,}, but {one} "
            f"in {groups} and the layers without gates ({left}) make {least:,}, a share of "
            f"{least / max(cost.total, 1):.4g}: ask for that or more"
        )

"""Building the report: costs before and after, and warnings about the training."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from l0.common.formatting import counted
from l0.networks.budgets.budgets import ROUNDING, Constraint, Latency
from l0.networks.budgets.cost import CostModel, Measure
from l0.networks.budgets.multiplier import Multiplier
from l0.networks.gates.gate_vector import GateVector
from l0.networks.graph.units import Structure
from l0.networks.pruning.compact import compacted
from l0.networks.report.report import BudgetRow, Change, GroupRow, LayerRow, Report
from l0.networks.timing.stopwatch import milliseconds

#: The report warns while running statistics keep more than this share of what they held under a
#: price. Ours: variances were seen to fall by a factor of 10,000 while gates shrank before a norm.
_FORGOTTEN = 1e-4

#: The gates do not move if none of them changes by this much in so many steps. Ours.
_STILL, _STILL_STEPS = 0.01, 200

#: A budget is overshot if the model costs less than this share of it. Ours.
_OVERSHOT = 0.8

#: A time is untrue if a measurement differs from it by more than this share. Ours.
_UNTRUE = 0.2


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What a sparsifier knows at the moment of a report.

    Attributes
    ----------
    model : nn.Module
        The model with its gates.
    example_inputs : Tensor, sequence or mapping
        The inputs for the measurement of time.
    structure : Structure
        The groups of units.
    gates : GateVector
        The gates of all groups.
    constraints : list of Constraint
        The budgets.
    multipliers : list of Multiplier
        The price of each budget.
    planned : Tensor of bool, shape (n_units,)
        The units that the compact model keeps.
    steps : int
        The number of steps so far.
    history : list of dict
        Costs and multipliers over the steps.
    earlier : tuple of int and Tensor, shape (n_units,)
        An earlier step, and the gate values at that step.
    """

    model: nn.Module
    example_inputs: Any
    structure: Structure
    gates: GateVector
    constraints: list[Constraint]
    multipliers: list[Multiplier]
    planned: Tensor
    steps: int
    history: list[dict[str, Any]]
    earlier: tuple[int, Tensor]


def build_report(state: TrainingState, latency: bool) -> Report:
    """Build a report.

    Parameters
    ----------
    state : TrainingState
        What to report on; stays as it is.
    latency : bool
        Whether to measure the time of the full and of the compact model.

    Returns
    -------
    Report
    """
    structure, gates, planned = state.structure, state.gates, state.planned
    sizes = [group.n_units for group in structure.groups]
    expected = gates.openness()
    everything = torch.ones_like(planned).split(sizes)
    full = compacted(state.model, structure.groups, everything)

    def change(cost: CostModel) -> Change:
        return Change(cost.total, float(cost(expected)), float(cost(planned)))

    measures: dict[str, Measure] = {
        "units": "units",
        "parameters": "params",
        "multiply-adds": "macs",
        "bytes": "bytes",
    }
    totals = {name: change(CostModel(full, structure, m)) for name, m in measures.items()}
    if latency:
        small = compacted(state.model, structure.groups, planned.split(sizes))
        before = milliseconds(full, state.example_inputs)
        after = milliseconds(small, state.example_inputs)
        totals["milliseconds"] = Change(before, after, after)
    groups = [
        GroupRow(group.name, group.n_units, int(left.sum()), int(gate.undecided().sum()))
        for group, gate, left in zip(structure.groups, gates, planned.split(sizes), strict=True)
    ]
    layers = [
        LayerRow(
            name,
            change(CostModel(full, structure, "params", {name})),
            change(CostModel(full, structure, "macs", {name})),
        )
        for name in structure.layers
    ]
    budgets = [
        BudgetRow(str(constraint), constraint.limit, change(constraint.cost), multiplier.value)
        for constraint, multiplier in zip(state.constraints, state.multipliers, strict=True)
    ]
    return Report(
        totals,
        budgets,
        groups,
        layers,
        list(structure.left_out),
        deepcopy(state.history),
        _warnings(state, budgets) + _untrue_times(state, budgets, totals.get("milliseconds")),
    )


def _warnings(state: TrainingState, budgets: list[BudgetRow]) -> list[str]:
    found = []
    steps, z = state.steps, state.gates.settled()
    over = [row for row in budgets if row.change.expected > row.limit]
    since, earlier = state.earlier
    moved = float((state.gates.ranks() - earlier).abs().max())
    if steps == 0:
        found.append("no step was taken: call step() after each step of the optimiser")
    elif over and state.gates.learn and steps - since >= _STILL_STEPS and moved < _STILL:
        found.append(
            f"the gates have not moved in {counted(steps - since, 'step')}: raise gate_lr, and "
            "check that the optimiser was made of param_groups() and that the loss includes "
            "penalty()"
        )
    still_open = int((~state.planned & (z > 0)).sum())
    if still_open and steps:
        found.append(
            f"compact() will close {counted(still_open, 'unit that is', 'units that are')} still "
            "open: train for longer, raise gate_lr, or call finish() now and continue the training"
        )
    if steps and _statistics_lag(state):
        found.append(
            "batch norm has seen too few batches since the budget was met: until then the gates "
            "shrink the inputs of batch norm by orders of magnitude, and its running statistics "
            "follow late; renew them with torch.optim.swa_utils.update_bn(batches, small), or "
            "train for longer"
        )
    found += [
        f"compact() will miss the budget of {row.limit:,} {row.name} with {row.change.after:,.0f}, "
        "because a unit stays in every group: ask for more"
        for row in budgets
        if row.change.after > row.limit + ROUNDING
    ]
    found += [
        f"the model uses only {row.change.after / row.limit:.0%} of the budget of {row.limit:,} "
        f"{row.name}: lower gate_lr, or raise total_steps, so that the budget is eased in for "
        "longer"
        for row in budgets
        if steps and row.change.after < _OVERSHOT * min(row.limit, row.change.before)
    ]
    return found


def _untrue_times(
    state: TrainingState, budgets: list[BudgetRow], measured: Change | None
) -> list[str]:
    """Warn if the compact model takes another time than a budget of time counts with."""
    if measured is None:
        return []
    found = 1000 * measured.after
    return [
        f"the compact model takes {found:,.0f} microseconds, where {row.change.after:,.0f} were "
        "counted from the times of layers; if the machine was busy, measure again with report(), "
        "or make the gates anew, which times the layers again"
        for constraint, row in zip(state.constraints, budgets, strict=True)
        if isinstance(constraint.budget, Latency)
        and constraint.pattern is None
        and abs(found / row.change.after - 1) > _UNTRUE
    ]


def _statistics_lag(state: TrainingState) -> bool:
    """Tell whether running statistics still hold a share of the batches under a price."""
    paid = [
        record["step"]
        for record in state.history
        if any(value for key, value in record.items() if key.endswith(" multiplier"))
    ]
    since = state.steps - max(paid, default=0)
    return bool(paid) and any(
        isinstance(module, _NormBase)
        and module.track_running_stats
        # Without a momentum, running statistics are means over all batches of the training.
        and (module.momentum is None or (1 - module.momentum) ** since > _FORGOTTEN)
        for module in state.model.modules()
    )

"""Drawing up the report of a sparsifier."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from l0.networks.compact import compacted
from l0.networks.cost import CostModel, Measure
from l0.networks.report import BudgetRow, Change, GroupRow, LayerRow, Report, milliseconds

if TYPE_CHECKING:
    from l0.networks.sparsifier import Sparsifier


#: Variances were seen to fall by a factor of 10,000 while gates shrank before a norm.
_FORGOTTEN = 1e-4


def summarise(sparsifier: Sparsifier, latency: bool) -> Report:
    """Draw up a report; see :meth:`Sparsifier.report`."""
    structure, gates = sparsifier.structure, sparsifier.gates
    sizes = [group.n_units for group in structure.groups]
    planned, expected = sparsifier.planned(), gates.openness()
    full = compacted(
        sparsifier.model, structure.groups, [torch.ones(n, dtype=torch.bool) for n in sizes]
    )

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
        small = compacted(sparsifier.model, structure.groups, planned.split(sizes))
        before = milliseconds(full, sparsifier.example_inputs)
        after = milliseconds(small, sparsifier.example_inputs)
        totals["milliseconds"] = Change(before, after, after)
    groups = [
        GroupRow(group.name, group.n_units, int(left.sum()), int(gate.undecided().sum()))
        for group, gate, left in zip(structure.groups, gates, planned.split(sizes), strict=True)
    ]
    touched = {name for group in structure.groups for name in group.made_by} | {
        member.module for group in structure.groups for member in group.members
    }
    layers = [
        LayerRow(
            name,
            change(CostModel(full, structure, "params", {name})),
            change(CostModel(full, structure, "macs", {name})),
        )
        for name in structure.places
        if name in touched
    ]
    budgets = [
        BudgetRow(str(constraint), constraint.limit, change(constraint.cost), multiplier.value)
        for constraint, multiplier in zip(
            sparsifier.constraints, sparsifier.multipliers, strict=True
        )
    ]
    return Report(
        totals,
        budgets,
        groups,
        layers,
        list(structure.left_out),
        deepcopy(sparsifier.history),
        _warnings(sparsifier, planned, budgets),
    )


def _warnings(sparsifier: Sparsifier, planned: Tensor, budgets: list[BudgetRow]) -> list[str]:
    found = []
    steps, z = sparsifier.steps, sparsifier.gates.settled()
    over = [row for row in budgets if row.change.expected > row.limit]
    since, earlier = sparsifier.earlier[0]
    if steps == 0:
        found.append("no step was taken: call step() after each step of the optimiser")
    elif over and steps - since >= 200 and float((z - earlier).abs().max()) < 0.01:
        found.append(
            f"the gates have not moved in {steps - since} steps: raise gate_lr, and check that the "
            "optimiser was made of param_groups() and the loss includes penalty()"
        )
    still_open = int((~planned & (z > 0)).sum())
    if still_open and steps:
        found.append(
            f"compact() will close {still_open} units that are still open: train for longer, raise "
            "gate_lr, or call finish() now and train on"
        )
    if steps and _remembers(sparsifier):
        found.append(
            "batch norm has seen too few batches since the budget was met: until then gates shrink "
            "what it normalises by orders of magnitude, and its running statistics lag behind; "
            "renew them with torch.optim.swa_utils.update_bn(batches, small), or train for longer"
        )
    found += [
        f"the budget of {row.limit:,} {row.name} is used to {row.change.after / row.limit:.0%}: "
        "lower gate_lr, or ease the budget in for longer with total_steps"
        for row in budgets
        if steps and row.change.after < 0.8 * min(row.limit, row.change.before)
    ]
    return found


def _remembers(sparsifier: Sparsifier) -> bool:
    """Tell whether running statistics still hold a share of how things were under a price."""
    paid = [
        record["step"]
        for record in sparsifier.history
        if any(value for key, value in record.items() if key.endswith(" multiplier"))
    ]
    since = sparsifier.steps - max(paid, default=0)
    return bool(paid) and any(
        isinstance(module, _NormBase)
        and module.track_running_stats
        # Without a momentum they are means over all batches ever.
        and (module.momentum is None or (1 - module.momentum) ** since > _FORGOTTEN)
        for module in sparsifier.model.modules()
    )

"""Trying, on copies of a model, whether removing units equals closing their gates."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from l0.common.dtypes import full_precision
from l0.networks.gates.families import new_gates
from l0.networks.gates.gating import attach
from l0.networks.graph.probe import call
from l0.networks.graph.units import LeftOut, Structure, UnitGroup
from l0.networks.pruning.compact import compacted


def verified(model: nn.Module, example_inputs: Any, structure: Structure) -> Structure:
    """Leave out the groups for which removing units does not equal closing their gates.

    Parameters
    ----------
    model : nn.Module
        The model without gates; it is not changed.
    example_inputs : Tensor, sequence or mapping
        The inputs of the trial.
    structure : Structure
        The groups of units to try.

    Returns
    -------
    Structure
        The groups that passed; the others are in `left_out` with the reason.
    """
    if not structure.groups or _disagreement(model, example_inputs, structure.groups) is None:
        return structure
    groups, left_out = [], list(structure.left_out)
    for group in structure.groups:
        reason = _disagreement(model, example_inputs, [group])
        if reason is None:
            groups.append(group)
        else:
            left_out.append(LeftOut(group.name, group.doubt or reason))
    return replace(structure, groups=groups, left_out=left_out)


def _disagreement(model: nn.Module, example_inputs: Any, groups: list[UnitGroup]) -> str | None:
    """Tell how removing units differs from closing their gates; None if it does not.

    There are three trials: with one unit of each group closed, with half of the units closed, and
    with all units closed but one.
    """
    generator, device = torch.Generator().manual_seed(0), next(model.parameters()).device
    for n_closed in (lambda n: 1, lambda n: n // 2, lambda n: n - 1):
        closed = [
            torch.randperm(n, generator=generator, device="cpu")[: n_closed(n)]
            for n in (group.n_units for group in groups)
        ]
        with full_precision(device):
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
    gates = [new_gates("hadamard", group.n_units, True, device) for group in groups]
    for gate, units in zip(gates, closed, strict=True):
        gate.alive[units.to(device)] = False
    full = _tensors(call(gated, example_inputs))
    attach(gated, groups, gates)
    small = compacted(gated, groups, [gate.alive for gate in gates])
    expected = _tensors(call(gated, example_inputs))
    try:
        found = _tensors(call(small, example_inputs))
    except Exception as error:
        return (
            f"the model does not run without some of them: {type(error).__name__}: {error}; if "
            "its code contains a size, as in view(-1, 800), write flatten(1) or -1"
        )
    for a, b, before in zip(expected, found, full, strict=True):
        if a.shape != b.shape or not _agree(a, b, before):
            return "removing some of them changes the output: it depends on their order or number"
    return None


def _tensors(out: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]


def _agree(gated: Tensor, found: Tensor, before: Tensor) -> bool:
    """Tell whether outputs differ only by rounding.

    The limit is ours: a hundred times the rounding error of the largest output, plus a thousandth
    of the largest change that closing the units made.
    """
    if not gated.is_floating_point():
        return torch.equal(gated, found)
    rounding = 100 * torch.finfo(gated.dtype).eps
    gated, found, before = (x.double() for x in (gated, found, before))
    finite = gated.isfinite()
    scale, effect = (
        float(x[finite].abs().nan_to_num().max()) if finite.any() else 0.0
        for x in (gated, gated - before)
    )
    return torch.allclose(gated, found, rtol=0, atol=rounding * scale + 1e-3 * effect)

"""Keeping only the groups for which removing units equals closing their gates."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from torch import nn

from l0.networks.graph.units import LeftOut, Structure, UnitGroup, named_once, tied
from l0.networks.pruning.trials import Trials

#: Among more groups than this, no pairs are tried one by one.
_FEW = 8


def verified(model: nn.Module, example_inputs: Any, structure: Structure) -> Structure:
    """Leave out the groups for which removing units does not equal closing their gates.

    Groups that pass only with equal numbers of units, such as the heads of two attentions that
    share one count of heads, become one group.

    Parameters
    ----------
    model : nn.Module
        The model without gates; it is not changed.
    example_inputs : Tensor, sequence or mapping
        The inputs of the trials.
    structure : Structure
        The groups of units to try.

    Returns
    -------
    Structure
        The groups that passed; the others are in `left_out` with the reason.

    Warns
    -----
    UserWarning
        If no output of the model has real numbers.
    """
    trials = Trials(model, example_inputs)
    if structure.groups and not trials.compares_numbers:
        warnings.warn(
            "`model` returns whole numbers only, such as labels, which hide small mistakes from "
            "the trials of its units; let it return the scores too, at least while it has gates",
            stacklevel=3,
        )
    left_out = list(structure.left_out)
    faults = list(_faults(trials, structure.groups))
    reasons = {id(group): group.doubt or reason for group, reason in faults}
    groups = [group for group in structure.groups if id(group) not in reasons]
    place = {name: i for i, name in enumerate(structure.n_positions)}
    joint, failed = _joined(trials, [group for group, _ in faults])
    left_out += [LeftOut(group.name, reasons[id(group)]) for group in failed]
    groups = sorted([*groups, *joint], key=lambda g: min(place[name] for name in _layers(g)))
    # Without a fault, all groups have passed together.
    while faults and (pair := _conflict(trials, groups)) is not None:
        first, last, reason = pair
        left, other = groups.pop(last), groups[first]
        both = _tied(trials, [other, left]) if first != last else None
        if both is None:
            left_out.append(LeftOut(left.name, f"together with {other.name}: {reason}"))
        else:
            groups[first] = both
    return replace(structure, groups=groups, left_out=named_once(left_out))


def _faults(trials: Trials, groups: Sequence[UnitGroup]) -> Iterator[tuple[UnitGroup, str]]:
    """Yield the groups that fail alone, and why, by halving the groups that fail together."""
    reason = trials.failure(groups) if groups else None
    if reason is None:
        return
    if len(groups) == 1:
        yield groups[0], reason
        return
    middle = len(groups) // 2
    yield from _faults(trials, groups[:middle])
    yield from _faults(trials, groups[middle:])


def _joined(trials: Trials, groups: list[UnitGroup]) -> tuple[list[UnitGroup], list[UnitGroup]]:
    """Tie groups that fail alone, if they pass with equal numbers of units.

    Tried are groups that have a layer in common; then all groups of one size; then pairs; and then
    the equal parts of each group, into which code may split the outputs of a layer.

    Returns
    -------
    joint, failed : list of UnitGroup
    """
    joint: list[UnitGroup] = []

    def join(chosen: Sequence[UnitGroup], n_parts: int = 1) -> bool:
        nonlocal groups
        both = _tied(trials, chosen, n_parts)
        if both is not None:
            joint.append(both)
            groups = [group for group in groups if group not in chosen]
        return both is not None

    for cluster in _clusters(groups):
        if len(cluster) > 1:
            join(cluster)
    for n_units in {group.n_units: None for group in groups}:
        alike = [group for group in groups if group.n_units == n_units]
        while len(alike) > 1 and _tied(trials, alike):
            chosen = _smallest(trials, alike)
            others = [group for group in alike if group not in chosen]
            if not (others and _tied(trials, others)):
                chosen, others = alike, []
            join(chosen)
            alike = others
    for pair in combinations(groups, 2) if len(groups) <= _FEW else ():
        if all(group in groups for group in pair):
            join(pair)
    for group in list(groups):
        any(join([group], n_parts) for n_parts in (2, 3, 4))
    return joint, groups


def _clusters(groups: Sequence[UnitGroup]) -> list[list[UnitGroup]]:
    """Return the groups that have a layer, or the module around a layer, in common."""
    clusters: list[tuple[set[str], list[UnitGroup]]] = []
    for group in groups:
        layers = _layers(group)
        layers |= {f"{member.module.rpartition('.')[0]}." for member in group.producers}
        near = [cluster for cluster in clusters if cluster[0] & layers]
        clusters = [cluster for cluster in clusters if not cluster[0] & layers]
        members = [member for _, part in near for member in part]
        clusters.append((layers.union(*(names for names, _ in near)), [*members, group]))
    return [members for _, members in clusters]


def _smallest(trials: Trials, groups: list[UnitGroup]) -> list[UnitGroup]:
    """Leave out of groups that pass together all that the first one does not need."""
    for group in groups[:0:-1]:
        fewer = [other for other in groups if other is not group]
        if len(fewer) > 1 and _tied(trials, fewer):
            groups = fewer
    return groups


def _layers(group: UnitGroup) -> set[str]:
    return {member.module for member in group.members} | group.made_by


def _tied(trials: Trials, groups: Sequence[UnitGroup], n_parts: int = 1) -> UnitGroup | None:
    """Return the units of groups as one group, with equal numbers of units, if this passes."""
    n_units, rest = divmod(min(group.n_units for group in groups), n_parts)
    if rest or n_units < 2:
        return None
    if any(group.n_units % n_units or not group.producers for group in groups):
        return None
    both = tied(groups, n_units)
    return both if trials.failure([both]) is None else None


def _conflict(trials: Trials, groups: Sequence[UnitGroup]) -> tuple[int, int, str] | None:
    """Return the places of two groups that fail together, and why; None if all pass."""
    reason = trials.failure(groups) if groups else None
    if reason is None:
        return None
    # The shortest beginning that fails, and then the shortest end of it that fails.
    n = _least(lambda n: trials.failure(groups[:n]) is not None, len(groups))
    beginning = groups[:n]
    k = _least(lambda k: trials.failure(beginning[n - k :]) is not None, n)
    return n - k, n - 1, reason


def _least(fails: Callable[[int], bool], n: int) -> int:
    """Return the least number from 1 to n that fails, by bisection; n is known to fail."""
    low = 1
    while low < n:
        middle = (low + n) // 2
        low, n = (low, middle) if fails(middle) else (middle + 1, n)
    return n

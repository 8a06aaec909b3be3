"""Finding the channels of a model that can only be removed together."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn
from torch.nn.utils import parametrize

from l0.networks.graph.layer_types import ChannelLayout, layout_of, weight_groups
from l0.networks.graph.probe import OUTPUT, Marks, Probe, is_derived
from l0.networks.graph.units import LeftOut, Member, Structure, UnitGroup

# Reasons why units cannot be removed, the strongest first. The last one may do no harm: a buffer
# may treat the channels of all heads alike, for example.
_REASONS = (
    "they reach the model's output",
    "they meet the model's input, which keeps its width",
    "they pass through nn.MultiheadAttention with keys of its own, hooks or shared weights",
    "they share a parameter with another layer",
    "they meet a parameter or buffer that belongs to no layer of a known type",
)
_AT_OUTPUT, _AT_INPUT, _AT_FIXED, _SHARED, _AT_LOOSE = (1 << i for i in range(5))


def find_units(model: nn.Module, example_inputs: Any) -> Structure:
    """Find the groups of units of a model.

    Parameters
    ----------
    model : nn.Module
        The model; it is not changed.
    example_inputs : Tensor, sequence or mapping
        A small batch.

    Returns
    -------
    Structure

    Raises
    ------
    InputError
        If the example inputs do not run through the model.
    """
    copy = deepcopy(model)
    probe = Probe(copy, example_inputs)
    graph = _Graph(probe.layouts)
    _tie_channels(probe, graph)
    for name, layout in probe.layouts.items():
        repeats = weight_groups(copy.get_submodule(name)) if layout.role == "dense" else 1
        for side, n in (("in", layout.n_in), ("out", layout.n_out)):
            if repeats > 1:  # every group of the convolution keeps the same positions
                every = _range(n)
                graph.tie((name, side), every, (name, side), every % (n // repeats))
    _flag(probe, graph, copy)
    groups, left_out = graph.groups()
    return Structure(groups, [*left_out, *_unknown(copy)], probe.n_positions)


def _unknown(model: nn.Module, name: str = "") -> Iterator[LeftOut]:
    """Name the layers that keep their sizes, with the reasons and remedies."""
    weights = [p for p in model.parameters(recurse=False) if p.ndim > 1]
    parts = dict(model.named_children())
    if parametrize.is_parametrized(model):
        yield LeftOut(
            name or "the model",
            "its parameters are computed from other tensors, as weight_norm does, and keep their "
            "shapes; torch.nn.utils.parametrize.remove_parametrizations makes them ordinary",
        )
    elif is_derived(model) or (weights and not parts and layout_of(model) is None):
        yield LeftOut(
            name or "the model", f"a layer of the type {type(model).__name__} keeps its size"
        )
    elif layout_of(model) is None:
        for last, part in parts.items():
            yield from _unknown(part, f"{name}.{last}".lstrip("."))


class _Graph:
    """A graph of channels, in which an edge ties two channels that belong together."""

    def __init__(self, layouts: dict[str, ChannelLayout]) -> None:
        self._layouts = layouts
        self._offsets: dict[tuple[str, str], int] = {}
        self._n = 0
        for name, layout in layouts.items():
            sides = {"in": layout.n_in, "out": layout.n_out if layout.role != "through" else 0}
            for side, n in sides.items():
                if n:
                    self._offsets[name, side] = self._n
                    self._n += n
        self._sides = np.zeros(self._n, dtype=np.int64)
        for i, offset in enumerate(self._offsets.values()):
            self._sides[offset:] = i
        self._flags = np.zeros(self._n, dtype=np.int64)
        self._edges = [np.zeros((2, 0), dtype=np.int64)]

    def tie(self, a: tuple[str, str], i: Tensor, b: tuple[str, str], j: Tensor) -> None:
        i, j = (end.flatten() for end in torch.broadcast_tensors(i, j))
        self._edges.append(np.stack([i.numpy() + self._offsets[a], j.numpy() + self._offsets[b]]))

    def flag(self, key: tuple[str, str], where: Tensor, flag: int) -> None:
        if key in self._offsets:
            self._flags[where.nonzero().flatten().numpy() + self._offsets[key]] |= flag

    def groups(self) -> tuple[list[UnitGroup], list[LeftOut]]:
        a, b = np.concatenate(self._edges, axis=1)
        ties = sparse.coo_matrix((np.ones(len(a)), (a, b)), shape=(self._n, self._n))
        n, component = connected_components(ties, directed=False)
        flags = np.zeros(n, dtype=np.int64)
        np.bitwise_or.at(flags, component, self._flags)
        by_component = np.argsort(component, kind="stable")
        nodes = np.split(by_component, np.cumsum(np.bincount(component, minlength=n))[:-1])
        sorts: dict[tuple[tuple[int, ...], int], list[np.ndarray]] = {}
        for unit in sorted(filter(len, nodes), key=lambda unit: int(unit[0])):
            key = (tuple(np.unique(self._sides[unit])), int(flags[component[unit[0]]]))
            sorts.setdefault(key, []).append(unit)
        found: list[UnitGroup] = []
        left_out: list[LeftOut] = []
        taken: dict[str, int] = {}
        for (_, flag), units in sorts.items():
            group = self._group(units)
            if not group.producers:
                continue
            taken[group.name] = taken.get(group.name, 0) + 1
            if taken[group.name] > 1:
                group = replace(group, name=f"{group.name} #{taken[group.name]}")
            reason = _why_not(group, flag & ~_AT_LOOSE)
            if reason:
                left_out.append(LeftOut(group.name or "the model", reason))
            else:
                found.append(replace(group, doubt=_why_not(group, flag)))
        return found, left_out

    def _group(self, units: list[np.ndarray]) -> UnitGroup:
        nodes = np.concatenate(units)
        unit = np.repeat(np.arange(len(units)), [len(u) for u in units])
        sides = self._sides[nodes]
        members: dict[str, list[Member]] = {"out": [], "in": [], "through": []}
        for i, ((name, side), offset) in enumerate(self._offsets.items()):
            here = sides == i
            if here.any():
                positions = torch.from_numpy(nodes[here] - offset)
                member = Member(name, side, positions, torch.from_numpy(unit[here]))
                role = self._layouts[name].role
                members["through" if role == "through" else side].append(member)
        producers = tuple(m for m in members["out"] if self._layouts[m.module].role != "fixed")
        name = ", ".join(m.module for m in producers)
        consumers, through = tuple(members["in"]), tuple(members["through"])
        return UnitGroup(name, len(units), producers, consumers, through)


def _why_not(group: UnitGroup, flags: int) -> str | None:
    if group.n_units == 1:
        return "they can only be removed together: all are mixed or normalised with each other"
    for i, reason in enumerate(_REASONS):
        if flags >> i & 1:
            return reason
    if group.consumers:
        return None
    return "no layer reads them, or code such as torch.where or nan_to_num hides that one does"


def _flag(probe: Probe, graph: _Graph, model: nn.Module) -> None:
    """Flag the channels that cannot be removed, with the reason."""
    known = {id(t) for name in probe.layouts for t in model.get_submodule(name).parameters()}
    known |= {id(t) for name in probe.layouts for t in model.get_submodule(name).buffers()}
    loose = [t for t in (*model.parameters(), *model.buffers()) if id(t) not in known]
    loose = [t for t in loose if t.is_floating_point() and t.numel() > 1]
    for flag, marks in (
        (_AT_INPUT, probe.run_inputs()),
        (_AT_LOOSE, probe.run_tensors(loose) if loose else {}),
    ):
        for name, mark in marks.items():
            graph.flag((name, "in"), mark, flag)
    owners: dict[int, list[str]] = {}
    for name, layout in probe.layouts.items():
        module = model.get_submodule(name)
        for parameter in module.parameters():
            owners.setdefault(id(parameter), []).append(name)
        if layout.role == "fixed":
            graph.flag((name, "in"), _all_true(layout.n_in), _AT_FIXED)
            graph.flag((name, "out"), _all_true(layout.n_out), _AT_FIXED)
    for names in owners.values():
        for name in names if len(names) > 1 else ():
            layout = probe.layouts[name]
            graph.flag((name, "in"), _all_true(layout.n_in), _SHARED)
            graph.flag((name, "out"), _all_true(layout.n_out), _SHARED)


def _range(n: int) -> Tensor:
    return torch.arange(n, device="cpu")


def _all_true(n: int) -> Tensor:
    return torch.ones(n, dtype=torch.bool, device="cpu")


def _tie_channels(probe: Probe, graph: _Graph) -> None:
    """Tie every output channel of every layer to the input channels that it reaches."""
    sources = {
        name: layout.n_out for name, layout in probe.layouts.items() if layout.role != "through"
    }
    everything = {name: _all_true(n) for name, n in sources.items()}
    reached = {name: probe.run({name: mark}) for name, mark in everything.items()}
    labels, unclear = _decode(probe, sources)
    for source, n in sources.items():
        marks = reached[source]
        if marks[OUTPUT].any():
            graph.flag((source, "out"), everything[source], _AT_OUTPUT)
        if any((marks[name] & unclear[name]).any() for name in marks):
            own, own_unclear = _decode(probe, {source: n})
            if any((marks[name] & own_unclear[name]).any() for name in marks):
                for lo, hi, arrived in _split(probe, source, 0, n, marks):
                    for name, mark in arrived.items():
                        at = mark.nonzero().flatten()
                        _arrive(
                            graph, source, torch.arange(lo, hi, device="cpu"), name, at[:, None]
                        )
                continue
        else:
            own = labels
        for name, mark in marks.items():
            at = mark.nonzero().flatten()
            _arrive(graph, source, own[name][at], name, at)


def _arrive(graph: _Graph, source: str, i: Tensor, name: str, at: Tensor) -> None:
    if name != OUTPUT and at.numel():
        graph.tie((source, "out"), i, (name, "in"), at)


def _decode(probe: Probe, sources: dict[str, int]) -> tuple[Marks, Marks]:
    """Tell which output channel reaches each input channel, by two runs for each binary digit.

    One run marks the channels whose number has the digit 1, the other run the channels with 0. So
    n channels need 2 log2(n) runs in place of n.

    Returns
    -------
    labels, unclear : dict of str to Tensor
        The number of the channel that arrives; and whether several channels arrive, which makes
        the number wrong.
    """
    labels: Marks = {}
    unclear: Marks = {}
    for bit in range(max(1, (max(sources.values(), default=1) - 1).bit_length())):
        digit = {name: (_range(n) >> bit & 1).bool() for name, n in sources.items()}
        ones = probe.run(digit)
        zeros = probe.run({name: ~d for name, d in digit.items()})
        for name in ones:
            both = ones[name] & zeros[name]
            unclear[name] = unclear[name] | both if bit else both
            value = ones[name].long() << bit
            labels[name] = labels[name] + value if bit else value
    return labels, unclear


def _split(
    probe: Probe, source: str, lo: int, hi: int, arrived: Marks
) -> Iterator[tuple[int, int, Marks]]:
    """Halve a range of channels until the first channel reaches all that the range reaches."""
    n = probe.layouts[source].n_out

    def run(lo: int, hi: int) -> Marks:
        mark = ~_all_true(n)
        mark[lo:hi] = True
        return probe.run({source: mark})

    first = run(lo, lo + 1) if hi - lo > 1 else arrived
    if all(torch.equal(first[name], arrived[name]) for name in arrived):
        yield lo, hi, arrived
        return
    middle = (lo + hi) // 2
    yield from _split(probe, source, lo, middle, run(lo, middle))
    yield from _split(probe, source, middle, hi, run(middle, hi))

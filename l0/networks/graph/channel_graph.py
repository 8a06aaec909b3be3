"""Channels that belong together, and the groups of units that they form."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from l0.networks.graph.channel_layout import ChannelLayout
from l0.networks.graph.layer_types import LayerType
from l0.networks.graph.units import LeftOut, Member, UnitGroup

# Reasons why units cannot be removed, the strongest first. The last one may do no harm: a buffer
# may treat the channels of all heads alike, for example.
_REASONS = (
    "they reach the model's output",
    "they meet the model's input, which keeps its width",
    "they pass through nn.MultiheadAttention with keys of its own, hooks or shared weights",
    "they share a parameter with another layer",
    "they are the hidden units of an LSTM with `proj_size`, of which torch needs more than of its "
    "outputs",
    "they decide which way other data take, as top-k routing or a condition does",
    "they meet a parameter or buffer that belongs to no layer of a known type",
)
AT_OUTPUT, AT_INPUT, AT_FIXED, SHARED, PROJECTED, STEERING, AT_LOOSE = (
    1 << i for i in range(len(_REASONS))
)

#: The side of the channels of a sum, which are neither input nor output of a layer.
SUM = "sum"


class ChannelGraph:
    """A graph of channels, in which an edge ties two channels that belong together.

    Parameters
    ----------
    layouts : dict of str to ChannelLayout
        The layers. Each has nodes for its input, for its output and for its inner channels.
    types : dict of str to LayerType
        The types of these layers.
    """

    def __init__(self, layouts: dict[str, ChannelLayout], types: dict[str, LayerType]) -> None:
        self._layouts, self._types = layouts, types
        self._offsets: dict[tuple[Hashable, str], int] = {}
        self._layer_sides: list[tuple[str, str]] = []
        self._sides = np.zeros(0, dtype=np.int64)
        self._flags = np.zeros(0, dtype=np.int64)
        self._edges = [np.zeros((2, 0), dtype=np.int64)]
        for name, layout in layouts.items():
            sides = {"in": layout.n_in, "out": layout.n_out if layout.role != "through" else 0}
            sides["inner"] = layout.n_inner
            for side, n in sides.items():
                if n:
                    self._add((name, side), n, len(self._layer_sides))
                    self._layer_sides.append((name, side))

    def _add(self, key: tuple[Hashable, str], n: int, number: int) -> None:
        self._offsets[key] = len(self._sides)
        self._sides = np.concatenate([self._sides, np.full(n, number)])
        self._flags = np.concatenate([self._flags, np.zeros(n, dtype=np.int64)])

    def add_sum(self, place: Hashable, n: int) -> None:
        """Add the channels of a sum between layers."""
        self._add((place, SUM), n, -1)

    def node(self, place: Hashable, side: str, channels: np.ndarray) -> np.ndarray:
        """Return the nodes of channels on one side of a layer, or of a sum."""
        return channels + self._offsets[place, side]

    def tie(self, nodes: np.ndarray, others: np.ndarray) -> None:
        """Tie each node to the other node at its place."""
        self._edges.append(np.stack(np.broadcast_arrays(nodes, others)))

    def flag(self, place: Hashable, side: str, where: np.ndarray, flag: int) -> None:
        """Note of the channels for which `where` holds that they cannot be removed, and why."""
        if (place, side) in self._offsets:
            self._flags[self.node(place, side, np.flatnonzero(where))] |= flag

    def groups(self) -> tuple[list[UnitGroup], list[LeftOut], set[str]]:
        """Return the groups of units that can be removed, and the others with the reasons.

        The third result are the norms over channels that can only be removed together.
        """
        a, b = np.concatenate(self._edges, axis=1)
        n_nodes = len(self._sides)
        ties = sparse.coo_matrix((np.ones(len(a)), (a, b)), shape=(n_nodes, n_nodes))
        n, component = connected_components(ties, directed=False)
        flags = np.zeros(n, dtype=np.int64)
        np.bitwise_or.at(flags, component, self._flags)
        by_component = np.argsort(component, kind="stable")
        sums = np.zeros(n, dtype=bool)
        sums[component[self._sides < 0]] = True
        self._in_sum = sums[component]
        nodes = np.split(by_component, np.cumsum(np.bincount(component, minlength=n))[:-1])
        sorts: dict[tuple[tuple[int, ...], int], list[np.ndarray]] = {}
        of_layers = (unit[self._sides[unit] >= 0] for unit in nodes)
        for unit in sorted(filter(len, of_layers), key=lambda unit: int(unit[0])):
            key = (tuple(np.unique(self._sides[unit])), int(flags[component[unit[0]]]))
            sorts.setdefault(key, []).append(unit)
        found: list[UnitGroup] = []
        left_out: list[LeftOut] = []
        stuck: set[str] = set()
        taken: dict[str, int] = {}
        for (_, flag), units in sorts.items():
            group = self._group(units)
            if not group.producers:
                continue
            taken[group.name] = taken.get(group.name, 0) + 1
            if taken[group.name] > 1:
                group = replace(group, name=f"{group.name} #{taken[group.name]}")
            reason = _why_not(group, flag & ~AT_LOOSE)
            if group.n_units == 1:
                norms = {m.module for m in group.through if self._layouts[m.module].over_channels}
                stuck |= norms
            if reason:
                left_out.append(LeftOut(group.name or "the model", reason))
            else:
                found.append(replace(group, doubt=_why_not(group, flag)))
        return found, left_out, stuck

    def _group(self, units: list[np.ndarray]) -> UnitGroup:
        nodes = np.concatenate(units)
        unit = np.repeat(np.arange(len(units)), [len(u) for u in units])
        sides = self._sides[nodes]
        made: list[Member] = []
        read: list[Member] = []
        through: list[Member] = []
        for i, (name, side) in enumerate(self._layer_sides):
            here = sides == i
            if here.any():
                positions = torch.from_numpy(nodes[here] - self._offsets[name, side])
                units_here = torch.from_numpy(unit[here])
                member = Member(name, side, positions, units_here, self._types[name])
                layout = self._layouts[name]
                if layout.role == "through":
                    through.append(member)
                    continue
                if side != "in" and layout.role != "fixed":
                    made.append(member)
                if side == "in" or layout.reads_side(side):
                    read.append(member)
        name = ", ".join(m.module for m in made)
        return UnitGroup(
            name,
            len(units),
            tuple(made),
            tuple(read),
            tuple(through),
            in_sum=bool(self._in_sum[nodes].any()),
        )


def _why_not(group: UnitGroup, flags: int) -> str | None:
    if group.n_units == 1:
        return "they can only be removed together: all are mixed or normalised with each other"
    for i, reason in enumerate(_REASONS):
        if flags >> i & 1:
            return reason
    if group.consumers:
        return None
    return "no layer reads them, or code such as nan_to_num hides that one does"

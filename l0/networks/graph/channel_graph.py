"""Channels that belong together, and the groups of units that they form."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from l0.common.errors import first_few
from l0.networks.graph.channel_layout import ChannelLayout
from l0.networks.graph.layer_types import LayerType
from l0.networks.graph.units import LeftOut, Member, UnitGroup

# Reasons why units cannot be removed, the strongest first. The two last ones may do no harm: a
# buffer, or an input such as a mask, may treat all channels alike.
_REASONS = (
    "they reach the model's output",
    "they pass through nn.MultiheadAttention with keys of its own, hooks or shared weights",
    "they share a parameter with another layer, as an embedding and an output layer may; with "
    "parameters of their own, both can get gates",
    "they are the hidden units of an LSTM with `proj_size`, of which torch needs more than of its "
    "outputs",
    "they decide which way other data take, as top-k routing does",
    "they become a number of Python, which may decide which way other data take: in a condition, "
    "or by .item(), as in logging or in the argument checks of torch.distributions "
    "(`validate_args=False` leaves these out)",
    "they meet the model's input, which keeps its width",
    "they meet a parameter or buffer that belongs to no layer of a known type",
)
AT_OUTPUT, AT_FIXED, SHARED, PROJECTED, STEERING, AS_NUMBER, AT_INPUT, AT_LOOSE = (
    1 << i for i in range(len(_REASONS))
)
_HARMLESS = AT_INPUT | AT_LOOSE

#: A flag that explains why nothing is reached, and is no reason by itself.
NO_ROWS = 1 << len(_REASONS)

TOGETHER = "they can only be removed together: all are mixed or normalised with each other"

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
        self._ties: list[np.ndarray] = []
        self._sources: list[Hashable] = []
        self._spread: dict[Hashable, float] = {}
        self._across: dict[Hashable, list[str]] = {}
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

    def tie(
        self,
        nodes: np.ndarray,
        others: np.ndarray,
        source: Hashable = None,
        spread: float = 1,
        across: Iterable[str] = (),
    ) -> None:
        """Tie each node to the other node at its place.

        Parameters
        ----------
        nodes, others : ndarray of int
            What to tie.
        source : hashable, optional
            The layer or the sum that ties them, by reaching them.
        spread : float, default 1
            How many channels of a layer each channel of the source reaches, at most. If this is
            more than one, as for the one head of keys of multi-query attention, or a mask that all
            channels are multiplied by, the source may stay when these go.
        across : iterable of str
            Layers that tie all channels of the source by working along another axis.
        """
        ties = np.stack(np.broadcast_arrays(nodes, others))
        self._ties.append(ties)
        if source is not None and spread > 1:
            self._spread[source] = max(spread, self._spread.get(source, 1))
        self._sources.append(source)
        if across := list(across):
            self._across.setdefault(source, []).extend(across)

    def flag(self, place: Hashable, side: str, where: np.ndarray, flag: int) -> None:
        """Note of the channels for which `where` holds that they cannot be removed, and why."""
        if (place, side) in self._offsets:
            self._flags[self.node(place, side, np.flatnonzero(where))] |= flag

    def groups(self) -> tuple[list[UnitGroup], list[LeftOut], set[str]]:
        """Return the groups of units that can be removed, and the others with the reasons.

        The third result are the norms over channels that can only be removed together.
        """
        found: list[UnitGroup] = []
        left_out: list[LeftOut] = []
        stuck: set[str] = set()
        taken: dict[str, int] = {}

        def named(group: UnitGroup) -> UnitGroup:
            taken[group.name] = taken.get(group.name, 0) + 1
            number = f" #{taken[group.name]}" if taken[group.name] > 1 else ""
            return replace(group, name=group.name + number)

        for units, flags in self._sorts(self._units(np.arange(len(self._sides)))):
            group = self._group(units)
            if not group.producers:
                continue
            across = self._layers_across(units[0]) if group.n_units == 1 else []
            together = _across(across) if across else TOGETHER
            loosened = self._loosened(units[0], together) if group.n_units == 1 else None
            if loosened is not None:
                found += map(named, loosened[0])
                left_out += loosened[1]
                continue
            group = named(group)
            reason = _why_not(group, flags & ~_HARMLESS, together)
            if group.n_units == 1 and not across:
                norms = {m.module for m in group.through if self._layouts[m.module].over_channels}
                stuck |= norms
            if reason:
                left_out.append(LeftOut(group.name or "the model", reason))
            else:
                found.append(replace(group, doubt=_why_not(group, flags)))
        return found, left_out, stuck

    def _units(self, nodes: np.ndarray, without: Collection[Hashable] = ()) -> list[np.ndarray]:
        """Return the sets of nodes that are tied, if some sources tie nothing."""
        chosen = [
            ties
            for ties, source in zip(self._ties, self._sources, strict=True)
            if source is None or source not in without
        ]
        a, b = np.concatenate([np.zeros((2, 0), dtype=np.int64), *chosen], axis=1)
        place = np.full(len(self._sides), -1)
        place[nodes] = np.arange(len(nodes))
        here = place[a] >= 0
        ties = (np.ones(int(here.sum())), (place[a[here]], place[b[here]]))
        shape = (len(nodes), len(nodes))
        matrix = sparse.coo_matrix(ties, shape=shape)
        n, component = connected_components(matrix, directed=False)
        order = np.argsort(component, kind="stable")
        nodes, component = nodes[order], component[order]
        ends = np.cumsum(np.bincount(component, minlength=n))
        starts = np.concatenate([[0], ends[:-1]])
        # In the order of the first node of a layer; units without one are left out.
        of_layers = np.flatnonzero(self._sides[nodes] >= 0)
        units, first = np.unique(component[of_layers], return_index=True)
        units = units[np.argsort(nodes[of_layers[first]])]
        return [nodes[starts[unit] : ends[unit]] for unit in units.tolist()]

    def _sorts(self, units: list[np.ndarray]) -> Iterator[tuple[list[np.ndarray], int]]:
        """Yield the units that belong to the same layers and have the same flags, and the flags."""
        if not units:
            return
        lengths = np.array([len(unit) for unit in units])
        nodes = np.concatenate(units)
        flags = np.bitwise_or.reduceat(self._flags[nodes], np.cumsum(lengths) - lengths)
        layers = self._layers_of(nodes, np.repeat(np.arange(len(units)), lengths), len(units))
        sorts: dict[tuple[bytes, int], list[np.ndarray]] = {}
        for unit, sides, flag in zip(units, layers, flags.tolist(), strict=True):
            sorts.setdefault((sides.tobytes(), flag), []).append(unit)
        for (_, flag), alike in sorts.items():
            yield alike, flag

    def _layers_of(self, nodes: np.ndarray, unit: np.ndarray, n_units: int) -> Iterator[np.ndarray]:
        """Yield for each unit the sides of layers on which it has nodes, in order."""
        of_layers = self._sides[nodes] >= 0
        pairs = unit[of_layers] * len(self._layer_sides) + self._sides[nodes[of_layers]]
        found, sides = np.divmod(np.unique(pairs), len(self._layer_sides))
        ends = np.cumsum(np.bincount(found, minlength=n_units)).tolist()
        yield from (sides[start:end] for start, end in pairwise([0, *ends]))

    def _loosened(
        self, unit: np.ndarray, together: str
    ) -> tuple[list[UnitGroup], list[LeftOut]] | None:
        """Take one unit apart by letting stay what all of its parts meet.

        Sources whose channels each reach several channels of a layer tie nothing any more, one
        after the other, until there are several units. Only trials can show whether the code of
        the model lets these go alone.
        """
        sources = [
            source
            for ties, source in zip(self._ties, self._sources, strict=True)
            if source in self._spread and np.isin(ties[0], unit).any()
        ]
        widest = sorted(dict.fromkeys(sources), key=lambda s: -self._spread[s])
        for n in range(1, len(widest) + 1):
            parts = list(self._sorts(self._units(unit, widest[:n])))
            groups = [(self._group(alike), flags) for alike, flags in parts]
            kept = [group for group, _ in groups if group.producers and not group.consumers]
            stay = tuple(dict.fromkeys(m.module for group in kept for m in group.producers))
            free = [
                replace(group, doubt=_why_not(group, flags, together) or together, meets=stay)
                for group, flags in groups
                if group.producers and not _why_not(group, flags & ~_HARMLESS)
            ]
            if free:
                names = "; ".join(group.name for group in free)
                left_out = [LeftOut(", ".join(stay), f"all units of {names} meet each of them")]
                left_out += [
                    LeftOut(group.name, reason)
                    for group, flags in groups
                    if group.producers and group.consumers
                    if (reason := _why_not(group, flags & ~_HARMLESS, together))
                ]
                return free, left_out
        return None

    def _layers_across(self, unit: np.ndarray) -> list[str]:
        """Return the layers that tie the channels of a unit by working along another axis."""
        found = {
            name
            for ties, source in zip(self._ties, self._sources, strict=True)
            if source in self._across and np.isin(ties[0], unit).any()
            for name in self._across[source]
        }
        return [name for name in self._layouts if name in found]

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
            in_sum=bool((sides < 0).any()),
        )


def _across(layers: list[str]) -> str:
    return (
        f"they are also read by {first_few(layers)} along another axis, as by a layer that mixes "
        "the positions of a sequence, through which they are not followed"
    )


def _why_not(group: UnitGroup, flags: int, together: str = TOGETHER) -> str | None:
    if group.n_units == 1:
        return together
    for i, reason in enumerate(_REASONS):
        if flags >> i & 1:
            return reason
    if group.consumers:
        return None
    if flags & NO_ROWS:
        return (
            "the example inputs give them no rows, as routing to experts may; give more examples, "
            "so that each expert gets some"
        )
    return "no layer reads them, or code such as nan_to_num hides that one does"

"""Finding the channels of a model that can only be removed together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import nn
from torch.nn.utils import parametrize

from l0.common.errors import InputError, first_few
from l0.networks.graph.channel_graph import (
    AS_NUMBER,
    AT_FIXED,
    AT_INPUT,
    AT_LOOSE,
    AT_OUTPUT,
    NO_ROWS,
    PROJECTED,
    SHARED,
    STEERING,
    SUM,
    ChannelGraph,
)
from l0.networks.graph.layer_types import LayerType, arrays, module_at
from l0.networks.graph.marks import NO_PLACES, Replay
from l0.networks.graph.passes import Passes, is_derived, recorded, types_of
from l0.networks.graph.places import Place, State
from l0.networks.graph.products import grown
from l0.networks.graph.relations import Relation, relation
from l0.networks.graph.signatures import signature_of
from l0.networks.graph.tape import Tape
from l0.networks.graph.tensors import copies_of, copy_of, is_sparse, tensors_in
from l0.networks.graph.units import LeftOut, Structure

#: What was found for parts of a pass, by their signatures, with the places that each may reach.
Known = dict[Hashable, tuple[Relation, list[Place]]]

_NEVER_CALLED = (
    "the example inputs never call it, in evaluation or in training mode, so it keeps its size; if "
    "it reads a layer that has gates, name that layer in `exclude`"
)


def find_units(
    model: nn.Module,
    example_inputs: Any,
    layer_types: Iterable[LayerType] = (),
    loose_parameters: Mapping[str, int] | None = None,
) -> Structure:
    """Find the groups of units of a model.

    Parameters
    ----------
    model : nn.Module
        The model; it is not changed.
    example_inputs : Tensor, sequence or mapping
        A small batch.
    layer_types : iterable of LayerType
        Types of layers that come before those that the package knows.
    loose_parameters : mapping of str to int, optional
        The axes of the channels of parameters and buffers that belong to no layer, by patterns of
        their names.

    Returns
    -------
    Structure

    Raises
    ------
    InputError
        If the example inputs do not run through the model, if a type does not describe a layer, if
        `loose_parameters` names none, or if the model has sparse parameters or calls layers in
        torch.func.
    """
    _check_sparse(model)
    copy, example_inputs = copy_of(model), copies_of(example_inputs)
    types = types_of(copy, layer_types)
    found, stuck = _found(copy, example_inputs, types, loose_parameters)
    if stuck:
        # Norms over the channels of each head, for example: looked at as code, heads are units.
        types = {name: kind for name, kind in types.items() if name not in stuck}
        found, _ = _found(copy, example_inputs, types, loose_parameters)
    return found


def _check_sparse(model: nn.Module) -> None:
    """Refuse sparse parameters, which torch cannot copy; sparse buffers and inputs are fine."""
    names = [name for name, p in model.named_parameters() if is_sparse(p)]
    if names:
        raise InputError(
            f"`model` has sparse parameters, {first_few(names)}, which cannot be copied; register "
            "those that stay as they are as buffers, and of those that are trained keep the values "
            "as a dense parameter, from which `forward` makes the sparse tensor"
        )


def _check_transformed(passes: Passes) -> None:
    """Refuse layers that torch.func calls, with tensors that have axes or values of its own."""
    names = sorted(set().union(*(tape.transformed for tape in passes.tapes)))
    if names:
        raise InputError(
            f"`model` uses torch.func in its `forward`, such as vmap, jvp or jacrev, around "
            f"{first_few(names)}, through which channels cannot be followed; call these layers on "
            "whole batches, outside of it, or sparsify the part of the model inside alone"
        )


def _found(
    copy: nn.Module,
    example_inputs: Any,
    types: dict[str, LayerType],
    loose_parameters: Mapping[str, int] | None,
) -> tuple[Structure, set[str]]:
    """Return the structure, and the norms over channels that can only be removed together."""
    passes = recorded(copy, example_inputs, types, loose_parameters)
    _check_transformed(passes)
    graph = ChannelGraph(passes.layouts, passes.types)
    known: Known = {}
    for i, tape in enumerate(passes.tapes):
        search = _Search(tape, graph, i, known)
        search.tie_channels()
        search.flag_channels(copy, example_inputs, passes.types)
    _flag_layers(passes, graph, copy)
    for name, layout in passes.layouts.items():
        for side, repeats in layout.repeats.items():
            if repeats > 1:  # every part keeps the same positions
                every = np.arange(layout.count(side))
                firsts = graph.node(name, side, every % (len(every) // repeats))
                graph.tie(graph.node(name, side, every), firsts)
    groups, left_out, stuck = graph.groups()
    left_out += [LeftOut(name, _NEVER_CALLED) for name in passes.never_called]
    left_out += [
        left
        for left in _unknown(copy, {copy.get_submodule(name) for name in types})
        if not _has_sources(copy, left.name, passes.types)
    ]
    n_out = {name: layout.n_out for name, layout in passes.layouts.items()}
    products = grown(passes.products, n_out, groups)
    structure = Structure(
        groups, left_out, passes.n_positions, passes.types, products, passes.other_products
    )
    return structure, stuck


class _Search:
    """Ties and flags the channels that one recorded pass uses."""

    def __init__(self, tape: Tape, graph: ChannelGraph, number: int, known: Known) -> None:
        self._tape, self._graph, self._number, self._known = tape, graph, number, known
        self._replay = Replay(tape)

    def tie_channels(self) -> None:
        """Tie the output channels of every layer to the input channels that they reach."""
        sums = {
            i: event.outputs[0].shape[event.cut_axis]
            for i, event in enumerate(self._tape.events)
            if event.cut_axis is not None
        }
        for i, n in sums.items():
            self._graph.add_sum((self._number, i), n)
        layouts = self._tape.layouts
        layers: dict[Place, int] = {}
        for name in self._tape.calls:
            if layouts[name].role != "through":
                layers[name] = layouts[name].n_out
            if "inner" in layouts[name].states:
                layers[State(name, "inner")] = layouts[name].n_inner
        # The last sums come first: channels of a sum that reach nothing tie nothing, if others do.
        useful: dict[Place, np.ndarray] = {}
        order: list[tuple[Place, int]] = [*reversed(sums.items()), *layers.items()]
        for place, n in order:
            signature, places = signature_of(self._tape, place)
            key = (n, signature)
            if key not in self._known:
                self._known[key] = relation(self._replay, place, n), places
            found, alike = self._known[key]
            here = dict(zip(alike, places, strict=True))
            useful[place] = self._tie(place, found, here, useful)

    def _tie(
        self,
        place: Place,
        found: Relation,
        here: dict[Place, Place],
        useful: dict[Place, np.ndarray],
    ) -> np.ndarray:
        """Tie the channels of a layer or a sum; tell which of them reach anything."""
        graph = self._graph
        key, side = self._end(place, "out")
        ends_at = (found.at_output, found.steers, found.as_number)
        for holds, flag in zip(ends_at, (AT_OUTPUT, STEERING, AS_NUMBER), strict=True):
            if holds:
                graph.flag(key, side, np.ones(len(found.source), dtype=bool), flag)
        nodes = [graph.node(key, side, np.arange(len(found.source)))]
        units = [found.source]
        n_made, spread = np.bincount(found.source).clip(1), 1.0
        used = np.full(len(found.source), any(ends_at))
        for alike, unit in zip(found.places, found.reached, strict=True):
            to = here[alike]
            at = np.flatnonzero(unit >= 0)
            if isinstance(to, int):
                at = at[useful[to][at]]
            used |= np.isin(found.source, unit[at])
            n_reached = np.bincount(unit[at], minlength=len(n_made))[: len(n_made)]
            spread = max(spread, float((n_reached / n_made).max()))
            nodes.append(graph.node(*self._end(to), at))
            units.append(unit[at])
        every, unit = np.concatenate(nodes), np.concatenate(units)
        _, first, inverse = np.unique(unit, return_index=True, return_inverse=True)
        across = [str(here[alike]) for alike in found.across]
        graph.tie(every, every[first][inverse], (key, side), spread, across)
        return used if used.any() else ~used  # a sum that nothing reads needs parts of one size

    def flag_channels(
        self, model: nn.Module, example_inputs: Any, types: Mapping[str, LayerType]
    ) -> None:
        """Flag the channels that meet the model's input, or tensors of no layer of a known type."""
        ids = {
            id(tensor)
            for name in self._tape.calls
            for _, tensor in arrays(module_at(model, name), types[name])
        }
        loose = [t for t in (*model.parameters(), *model.buffers()) if id(t) not in ids]
        inputs = list(tensors_in(example_inputs))
        for flag, tensors in (
            (AT_INPUT, inputs),
            (AT_LOOSE, [t for t in loose if t.numel() > 1]),
        ):
            for place, mark in self._replay.from_tensors(tensors).items():
                if place not in NO_PLACES:
                    self._graph.flag(*self._end(place), mark.numpy(), flag)

    def _end(self, place: Place, side: str = "in") -> tuple[Hashable, str]:
        """Return the key of a place in the graph, and the side of its channels there."""
        if isinstance(place, State):
            return place.layer, place.side
        return ((self._number, place), SUM) if isinstance(place, int) else (place, side)


def _flag_layers(passes: Passes, graph: ChannelGraph, model: nn.Module) -> None:
    """Flag the channels of layers that cannot lose any, and of those that only get empty inputs."""
    layouts = passes.layouts
    for name, layout in layouts.items():
        calls = [tape.events[i] for tape in passes.tapes for i in tape.calls.get(name, ())]
        if not any(x.numel() for call in calls for x in call.inputs or call.outputs):
            graph.flag(name, "out", np.ones(layout.n_out, dtype=bool), NO_ROWS)
    owners: dict[int, list[str]] = {}
    fixed = {name: AT_FIXED for name, layout in layouts.items() if layout.role == "fixed"}
    for name in layouts:
        for _, parameter in arrays(module_at(model, name), passes.types[name]):
            owners.setdefault(id(parameter), []).append(name)
    # Layers that no pass called keep their sizes, and may share a parameter too.
    held = Counter(id(p) for module in model.modules() for p in module._parameters.values())
    for parameter_id, names in owners.items():
        if max(len(names), held[parameter_id]) > 1:
            fixed |= {name: fixed.get(name, 0) | SHARED for name in names}
    for name, layout in layouts.items():
        if "inner" in layout.states:
            graph.flag(name, "inner", np.ones(layout.n_inner, dtype=bool), PROJECTED)
    for name, flag in fixed.items():
        for side in ("in", "out", "inner"):
            graph.flag(name, side, np.ones(layouts[name].count(side), dtype=bool), flag)


def _has_sources(model: nn.Module, name: str, types: Mapping[str, LayerType]) -> bool:
    """Tell whether the weights of a layer are looked at one by one, and so are named themselves."""
    held = model.get_submodule(name)._parameters if name in dict(model.named_modules()) else {}
    weights = [f"{name}.{last}" for last, p in held.items() if p is not None and p.ndim > 1]
    return bool(weights) and all(weight in types for weight in weights)


def _unknown(model: nn.Module, known: set[nn.Module], name: str = "") -> Iterator[LeftOut]:
    """Name the layers that keep their sizes, with the reasons and remedies.

    A layer may have several names, of which its type is known by the first.
    """
    weights = [p for p in model.parameters(recurse=False) if p.ndim > 1]
    parts = dict(model.named_children())
    if parametrize.is_parametrized(model):
        yield LeftOut(
            name or "the model",
            "its parameters are computed from other tensors, as weight_norm does, and keep their "
            "shapes; torch.nn.utils.parametrize.remove_parametrizations makes them ordinary",
        )
    elif is_derived(model) or (weights and not parts and model not in known):
        yield LeftOut(
            name or "the model", f"a layer of the type {type(model).__name__} keeps its size"
        )
    elif model not in known:
        for last, part in parts.items():
            yield from _unknown(part, known, f"{name}.{last}".lstrip("."))

"""Parts of a pass that are alike, such as the blocks of a transformer: one is searched for all."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from l0.networks.graph.places import Place, given_states, made_at
from l0.networks.graph.tape import Tape, storage_of
from l0.networks.graph.tensors import is_inexact, is_sparse

#: Larger tensors of whole numbers or truth values are told apart by identity, not by content.
_MOST_ENTRIES = 1_000_000


def signature_of(tape: Tape, place: Place) -> tuple[Hashable, list[Place]]:
    """Describe all operations between a layer and the places that its channels may reach.

    Marks move in the same way through parts with the same signature: they have the same operations
    on tensors of the same forms, with the same constants.

    Parameters
    ----------
    tape : Tape
        The recorded pass.
    place : Place
        A layer, a state of a layer, or a sum.

    Returns
    -------
    signature : hashable
    places : list of Place
        The places that may be reached, in order.
    """
    numbers: dict[int, int] = {}
    count = itertools.count()
    queue: list[int] = []
    queued: set[int] = set()
    places: dict[Place, int] = {}
    parts: list[Hashable] = []

    def follow(t: Tensor, after: int) -> None:
        key = storage_of(t)
        if key not in numbers:
            numbers[key] = next(count)
        for i in tape.readers.get(key, ()):
            if i > after and i not in queued:
                queued.add(i)
                heapq.heappush(queue, i)

    for i, axis, outputs in made_at(tape, place):
        for out in outputs:
            follow(out, i)
            parts.append((axis, _form(out, numbers)))
    while queue:
        i = heapq.heappop(queue)
        event = tape.events[i]
        if not any(storage_of(t) in numbers for t in event.inputs):
            continue
        given = tuple(_form(x, numbers) for x in tree_leaves((event.args, event.kwargs)))
        if event.func is None:
            layout = tape.layouts[event.name]
            parts.append((layout.form, places.setdefault(event.name, len(places)), given))
            for state, _ in given_states(tape, event):
                parts.append(places.setdefault(state, len(places)))
            through = event.outputs[:1] if layout.role == "through" else []
        elif event.cut_axis is not None:
            parts.append((event.cut_axis, places.setdefault(i, len(places)), given))
            through = []
            if event.func._schema.is_mutable:
                numbers.pop(storage_of(event.outputs[0]), None)
        else:
            parts.append((event.func, given))
            through = event.outputs
        for out in through:
            follow(out, i)
            parts.append(_form(out, numbers))
    at_output = [_form(t, numbers) for t in tape.outputs if storage_of(t) in numbers]
    return (tuple(parts), tuple(at_output)), list(places)


def _form(x: Any, numbers: dict[int, int]) -> Hashable:
    if not isinstance(x, Tensor):
        return repr(x)
    key = storage_of(x)
    if is_sparse(x):  # where its entries are matters, so it is told apart by identity
        return numbers.get(key), key
    form = (tuple(x.shape), x.stride(), x.storage_offset(), x.dtype)
    if key in numbers:
        return (numbers[key], *form)
    if is_inexact(x):
        return form
    content = x.numpy(force=True).tobytes() if x.numel() <= _MOST_ENTRIES else id(x)
    return (*form, hash(content))

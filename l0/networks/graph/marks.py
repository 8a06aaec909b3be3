"""Finding the channels that a channel reaches: they turn to NaN if the channel is set to NaN.

NaN survives sums, products, norms, pooling, softmax, reshaping and most other operations between
two layers, and it marks exactly the values that depend on the marked channel. So the package needs
no knowledge of the code between the layers.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from l0.networks.graph.draws import kept_draws
from l0.networks.graph.places import Place, given_states, made_at
from l0.networks.graph.tape import Event, Tape, storage_of, tensors_of
from l0.networks.graph.tensors import entries_of, has_nan, is_inexact, is_sparse, nan_along

#: Keys of :data:`Marks` beside the names of layers.
OUTPUT, STEERS, NUMBERS = "the model's output", "the way of the data", "numbers of Python"
NO_PLACES = (OUTPUT, STEERS, NUMBERS)

#: For each place that marks reached, and for each of NO_PLACES, the marked channels.
Marks = dict[Place, Tensor]

#: Operations that give code a number of Python, with which it may do anything.
_TO_PYTHON = {"_local_scalar_dense", "equal", "is_nonzero"}

#: Operations by whose whole numbers or truth values other data find their way.
_STEERING = _TO_PYTHON | {
    "nonzero", "index", "index_put", "index_put_",
    "index_select", "index_add", "index_add_", "index_copy", "index_copy_", "gather", "scatter",
    "scatter_", "scatter_add", "scatter_add_", "take", "embedding", "masked_select", "bincount",
    "repeat_interleave", "unique_dim", "_unique2", "one_hot",
}  # fmt: skip

#: Comparisons, whose truth values choose among values that are marked themselves.
_COMPARING = {"gt", "lt", "ge", "le", "eq", "ne", "logical_not"}

#: Operations that tell whether numbers are finite, and those that join what they tell.
_GUARDING = {"isnan", "isinf", "isposinf", "isneginf", "isfinite"}
_JOINING = {
    "all", "any", "_is_all_true", "_is_any_true", "mul", "logical_not", "logical_and", "logical_or",
    "bitwise_not", "bitwise_and", "bitwise_or", "bitwise_and_", "bitwise_or_",
}  # fmt: skip

#: Operations whose whole numbers do not depend on the values that they are given.
_COUNTING = {"_pack_padded_sequence"}


#: Draws of which each entry depends on the entries at its place alone. Most of them refuse NaN.
_DRAWING = {"bernoulli", "bernoulli_", "binomial", "normal", "poisson", "_standard_gamma"}


class Replay:
    """Computes again what marks reach, between a layer and the next ones.

    Parameters
    ----------
    tape : Tape
        The recorded pass.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def from_place(self, place: Place, mark: Tensor) -> Marks:
        """Mark channels of a layer's output, or of a sum, and tell which channels they reach."""
        run = _Run(self._tape)
        self._seed(run, place, mark)
        return run.marks()

    def _seed(self, run: _Run, place: Place, mark: Tensor) -> None:
        for i, axis, outputs in made_at(self._tape, place):
            for out in outputs:
                if not is_inexact(out) or not out.ndim or len(mark) % out.shape[axis]:
                    continue  # a recurrent layer returns its last states too
                folded = mark.view(-1, out.shape[axis]).any(0)
                run.seed(out, i, partial(_set_nan, axis=axis, where=folded))

    def across(self, place: Place, i: int, n: int, n_tied: int) -> set[Place]:
        """Return the layers that work along another axis than that of the channels of a place.

        Of such a layer, as one that mixes the positions of a sequence, channel i reaches all
        inputs, at one position where the channels that it is tied to by the layer have others.
        """
        run = _Run(self._tape)
        run.n_tied = n_tied
        self._seed(run, place, torch.arange(n, device="cpu") == i)
        run.marks()
        return run.across

    def from_slice(self, tensor: Tensor, axis: int, i: int) -> Marks:
        """Mark one position of an axis of a parameter, and tell which channels it reaches."""
        run = _Run(self._tape)
        where = torch.arange(tensor.shape[axis], device="cpu") == i
        run.seed(tensor, -1, partial(_set_nan, axis=axis, where=where))
        return run.marks()

    def from_tensors(self, tensors: Iterable[Tensor]) -> Marks:
        """Mark whole tensors, such as inputs or parameters, and tell which channels they reach."""
        run = _Run(self._tape)
        for tensor in tensors:
            if is_inexact(tensor) and tensor.numel():
                run.seed(tensor, -1, _set_nan)
        return run.marks()


class _Run:
    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        # Sparse tensors, which have no one piece of memory, are held themselves.
        self._memory: dict[int, torch.UntypedStorage | Tensor] = {}
        # Whole numbers and truth values cannot be NaN: their memory is only noted.
        self._chosen: set[int] = set()
        # Among them, those that only tell whether numbers are finite: they do so at every width.
        self._guards: set[int] = set()
        self._queue: list[int] = []
        self._queued: set[int] = set()
        self._found: Marks = {}
        # If one of so many channels is marked: the layers that work along another axis.
        self.n_tied = 0
        self.across: set[Place] = set()

    def seed(self, tensor: Tensor, at: int, mark: Any) -> None:
        mark(self._view(tensor, create=True))
        self._push(storage_of(tensor), at)

    def marks(self) -> Marks:
        with torch.no_grad(), kept_draws(self._tape.devices):
            while self._queue:
                i = heapq.heappop(self._queue)
                event = self._tape.events[i]
                reached = [t for t in event.inputs if storage_of(t) in self._memory]
                if event.func is None:
                    if reached:
                        self._layer(i, event)
                elif event.cut_axis is not None and reached:
                    self._cut(i, event, reached)
                elif reached or any(storage_of(t) in self._chosen for t in event.inputs):
                    self._operation(i, event, reached)
        reached_output = False
        for out in self._tape.outputs:
            if storage_of(out) in self._memory:
                reached_output |= has_nan(self._view(out))
            reached_output |= storage_of(out) in self._chosen
        self._note(OUTPUT, torch.tensor([reached_output], device="cpu"))
        return self._found

    def _push(self, key: int, after: int) -> None:
        for i in self._tape.readers.get(key, ()):
            if i > after and i not in self._queued:
                self._queued.add(i)
                heapq.heappush(self._queue, i)

    def _view(self, tensor: Tensor, create: bool = False) -> Tensor:
        """Return the tensor in the memory of this run."""
        key = storage_of(tensor)
        if key not in self._memory:
            if not create:
                return tensor
            self._memory[key] = (
                tensor.clone() if is_sparse(tensor) else tensor.untyped_storage().clone()
            )
        memory = self._memory[key]
        if isinstance(memory, Tensor):
            return memory
        empty = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        offset, size, stride = tensor.storage_offset(), tensor.size(), tensor.stride()
        return empty.set_(memory, offset, size, stride)

    def _note(self, place: Place, mark: Tensor) -> None:
        mark = mark.cpu()
        self._found[place] = self._found[place] | mark if place in self._found else mark

    def _layer(self, i: int, event: Event) -> None:
        layout = self._tape.layouts[event.name]
        if layout.role != "source":
            inputs = event.inputs[:1] if layout.role == "dense" else event.inputs
            for x in inputs:
                fits = x.shape[layout.axis_in :][:1] == (layout.n_in,)
                if fits and is_inexact(x) and storage_of(x) in self._memory:
                    self._note(event.name, nan_along(self._view(x), layout.axis_in))
                    if self.n_tied and self._is_across(self._view(x), layout.axis_in):
                        self.across.add(event.name)
        for state, x in given_states(self._tape, event):
            if storage_of(x) in self._memory:
                self._note(state, nan_along(self._view(x), layout.axis_in))
        if layout.role == "through" and event.outputs:
            mark = nan_along(self._view(event.inputs[0]), layout.axis_in)
            for x in event.inputs[1:]:
                if x.shape[layout.axis_in :][:1] == (layout.n_in,) and is_inexact(x):
                    mark |= nan_along(self._view(x), layout.axis_in)
            if mark.any():
                mark = mark.repeat_interleave(layout.n_out // layout.n_in)
                out = self._view(event.outputs[0], create=True)
                _set_nan(out, layout.axis_out, mark)
                self._push(storage_of(event.outputs[0]), i)

    def _is_across(self, x: Tensor, axis: int) -> bool:
        """Tell whether some positions are marked whole, all others not, and how many they are."""
        marked = x.isnan()
        whole, some = marked.all(axis), marked.any(axis)
        return torch.equal(whole, some) and self.n_tied * int(some.sum()) == some.numel() > 0

    def _cut(self, i: int, event: Event, reached: list[Tensor]) -> None:
        assert event.cut_axis is not None
        for t in reached:
            mark = nan_along(self._view(t), event.cut_axis)
            if mark.any():
                self._note(i, mark)
        if event.func._schema.is_mutable:  # the sum has the memory of its first part
            self._memory.pop(storage_of(event.outputs[0]), None)

    def _operation(self, i: int, event: Event, reached: list[Tensor]) -> None:
        chosen = any(storage_of(t) in self._chosen for t in event.inputs)
        self._decide(i, event, any(has_nan(self._view(t)) for t in reached))
        floats = [t for t in event.outputs if is_inexact(t)]
        if not reached or not floats:
            return
        given = {storage_of(t) for t in event.inputs}
        # An operation may change one argument and return another tensor, as rrelu does.
        changed = [event.func._schema.is_mutable and storage_of(t) in given for t in floats]
        for t, in_place in zip(floats, changed, strict=True):
            if in_place:
                self._view(t, create=True)
        try:
            found = self._computed(event, floats, chosen)
        except Exception:  # an operation may refuse NaN; then all of its results depend on it
            found = [t.clone() for t in floats]
            for new in found:
                _set_nan(new)
            changed = [False for _ in floats]
        for old, new, in_place in zip(floats, found, changed, strict=True):
            if not in_place and not has_nan(new):
                continue
            if not in_place:
                self._put(old, new)
            self._push(storage_of(old), i)

    def _computed(self, event: Event, floats: list[Tensor], chosen: bool) -> list[Tensor]:
        """Compute an operation again; results that it writes to an argument are there then."""
        args, kwargs = tree_map(self._given, (event.args, event.kwargs))
        if event.name in _DRAWING:
            return [self._drawn(event, t, args) for t in floats]
        found = [t for t in tensors_of(event.func(*args, **kwargs)) if is_inexact(t)]
        if event.name == "where" and chosen:  # either side may be taken
            for side in tensors_of((args, kwargs)):
                if is_inexact(side):
                    found = [t.masked_fill(side.isnan(), torch.nan) for t in found]
        return found

    def _drawn(self, event: Event, out: Tensor, args: Sequence[Any]) -> Tensor:
        """Return a draw with NaN where one of its parameters is NaN."""
        changes = event.func._schema.is_mutable
        new = out.clone()
        for x in args[1:] if changes else args:
            if isinstance(x, Tensor) and is_inexact(x):
                new = new.masked_fill(x.isnan(), torch.nan)
        return self._view(out).copy_(new) if changes else new

    def _decide(self, i: int, event: Event, marked: bool) -> None:
        """Note whole numbers and truth values that depend on marks, and whether they steer."""
        chosen = {storage_of(t) for t in event.inputs} & self._chosen
        guards = bool(chosen) and chosen <= self._guards
        steers = event.name in _STEERING and (bool(chosen) or marked and not event.outputs)
        whole = [t for t in event.outputs if not is_inexact(t) and event.name not in _COUNTING]
        if (marked or chosen) and whole:
            if event.name not in _COMPARING | _GUARDING and marked:
                steers |= any(len(self._tape.readers[storage_of(t)]) > 1 for t in whole)
            joins = guards and not marked and event.name in _JOINING
            for t in whole:
                self._chosen.add(storage_of(t))
                if t.dtype == torch.bool and (joins or not chosen and _is_guard(event)):
                    self._guards.add(storage_of(t))
                else:
                    self._guards.discard(storage_of(t))
                self._push(storage_of(t), i)
        if steers and not (guards and event.name in _TO_PYTHON):
            place = NUMBERS if event.name in _TO_PYTHON else STEERS
            self._note(place, torch.ones(1, dtype=torch.bool, device="cpu"))

    def _given(self, x: Any) -> Any:
        return self._view(x) if isinstance(x, Tensor) else x

    def _put(self, old: Tensor, new: Tensor) -> None:
        if is_sparse(old):
            self._memory[storage_of(old)] = new
            return
        same_form = new.stride() == old.stride() and new.storage_offset() == old.storage_offset()
        memory = new.untyped_storage()
        if same_form and memory.nbytes() == old.untyped_storage().nbytes():
            self._memory[storage_of(old)] = memory
        else:
            self._view(old, create=True).copy_(new)


def _is_guard(event: Event) -> bool:
    """Tell whether an operation only tells whether numbers are finite."""
    if event.name not in ("eq", "ne"):
        return event.name in _GUARDING
    x, other = event.args[:2]
    return x is other or isinstance(other, float) and math.isinf(other)


def _set_nan(x: Tensor, axis: int = 0, where: Tensor | None = None) -> None:
    """Mark all entries, or those of some channels.

    Of complex numbers both parts are marked, because code may read either one.
    """
    nan = complex(torch.nan, torch.nan) if x.is_complex() else torch.nan
    if where is None:
        entries_of(x).fill_(nan)
    else:
        x.index_fill_(axis, where.nonzero().flatten().to(x.device), nan)

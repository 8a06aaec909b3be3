"""Coverage: every target that can be hit keeps a record that moves it.

A search may drop all records of a target with a small total: a hundred records of an area with a
total of 10 have tiny ratios, although one of them suffices. No refit can bring the target back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.objective import Objective
from l0.calibration.fitting.selected import Selection
from l0.calibration.problem.constraints import Constraints
from l0.calibration.problem.movers import directions, second_directions, with_entries
from l0.calibration.selection.constrained import Room

#: A record that comes in is the best of this many.
LOOKED_AT = 1_000


def cover(context: FitContext, selection: Selection) -> Selection:
    """Swap records in for the targets that no chosen record moves.

    A record moves a target if its entry has the sign of the value. A mean, a ratio or a share needs
    a record on each side of its value (see `movers`). The targets without such a record get one
    each, the most important target first. The record that comes in replaces the chosen record of
    least influence among those that no target needs. If no such record is left, the budget is too
    small for the other targets. Records that must be kept stay, and a record does not replace
    another one if quotas do not allow it.

    This rule is ours. It reads the entries of the chosen records once, and those of the movers.

    Parameters
    ----------
    context : FitContext
    selection : Selection
        It obeys the constraints of the context.

    Returns
    -------
    Selection
        As many records. A record that came in has the base ratio with which it hits its target
        alone.
    """
    objective = context.objective
    counts = objective.importance > 0
    signs = [
        objective.rows.of_published(np.where(counts, sign, 0.0))
        for sign in (directions(context.problem), second_directions(context.problem))
    ]
    entries = objective.scaled.by_columns(selection.records)
    chosen = _Chosen(entries, signs)
    bare = chosen.without_movers()
    if not bare:
        return selection
    records, base = selection.records.copy(), selection.base.copy()
    allowed = np.zeros(context.problem.n_records, dtype=bool)
    allowed[context.candidates] = True
    outside = _Outside(objective, _movers_of(context.problem.matrix, bare, signs) & allowed)
    mean_ratio = len(context.candidates) / len(records)
    places = _Places(chosen, records, base * _largest(entries, objective), context.constraints)
    for target, side in sorted(bare, key=lambda need: -objective.importance[need[0]]):
        if chosen.n_movers[side][target]:
            continue  # a record that came in for another target moves this one too
        movers = with_entries(context.problem.matrix, target, signs[side][target])
        movers = movers[allowed[movers]]
        if not len(movers):
            continue  # all records are on the other side of a mean, or at its value
        place, coming = places.next_for(movers)
        if place is None:
            continue
        record, base[place] = _best(objective, outside, target, coming, mean_ratio)
        places.fill(place, record, outside.entries_of(np.array([record])))
    ascending = np.argsort(records)
    drawn = selection.drawn
    if drawn is not None:
        drawn = (drawn & (records == selection.records))[ascending]
    return replace(selection, records=records[ascending], base=base[ascending], drawn=drawn)


class _Places:
    """The places of the chosen records, those of least influence first.

    Parameters
    ----------
    chosen : _Chosen
    records : ndarray of int64, shape (k,)
        The chosen records. `fill` replaces them in place.
    influence : ndarray of float64, shape (k,)
    constraints : Constraints or None
    """

    def __init__(
        self,
        chosen: _Chosen,
        records: NDArray[np.int64],
        influence: NDArray[np.float64],
        constraints: Constraints | None,
    ) -> None:
        self._chosen, self._records = chosen, records
        order = np.argsort(influence, kind="stable")
        self._room = None
        if constraints is not None:
            self._room = Room(constraints, records)
            order = order[~constraints.must[records[order]]]
        self._waiting = deque(order.tolist())

    def next_for(self, movers: NDArray[np.int64]) -> tuple[int | None, NDArray[np.int64]]:
        """Find the first place whose record no target needs, and that one of the movers may take.

        Returns
        -------
        place : int or None
        movers : ndarray of int64
            Those that may take it.
        """
        held: list[int] = []  # quotas let none of these movers in, but perhaps other ones
        found, coming = None, movers
        while self._waiting and found is None:
            place = self._waiting.popleft()
            if not self._chosen.spares(place):
                continue
            if self._room is not None:
                coming = self._room.may_come(self._records[place], movers)
            if len(coming):
                found = place
            else:
                held.append(place)
        self._waiting.extendleft(reversed(held))
        return found, coming

    def fill(self, place: int, record: int, entries: sp.csr_array) -> None:
        """Put a record in a place, with its entries, shape (1, m)."""
        if self._room is not None:
            self._room.replace(self._records[place], record)
        self._records[place] = record
        # What has come in may do the work of records that were needed before.
        self._waiting.extend(self._chosen.replace(place, entries))
        self._waiting.append(place)


class _Chosen:
    """Which targets the chosen records move.

    Parameters
    ----------
    entries : scipy.sparse.csr_array, shape (k, m)
        Of the records.
    signs : list of ndarray, each of shape (m,)
        The signs of entries that move a target, for each side of its value.

    Attributes
    ----------
    n_movers : list of ndarray of int64, each of shape (m,)
        How many of the records move each target.
    """

    def __init__(self, entries: sp.csr_array, signs: list[NDArray[np.float64]]) -> None:
        self._entries, self._signs = entries, signs
        self._came: dict[int, sp.csr_array] = {}
        moving = [entries.data * sign[entries.indices] > 0 for sign in signs]
        self.n_movers = [
            np.bincount(entries.indices[moves], minlength=entries.shape[1]) for moves in moving
        ]
        self._waiting: list[dict[int, int]] = [{} for _ in signs]

    def without_movers(self) -> list[tuple[int, int]]:
        """List the targets, and their sides, that records could move and none of these does."""
        return [
            (target, side)
            for side, (sign, count) in enumerate(zip(self._signs, self.n_movers, strict=True))
            for target in np.flatnonzero((sign != 0) & (count == 0)).tolist()
        ]

    def spares(self, place: int) -> bool:
        """Tell whether each target that a record moves has another record that moves it.

        If a target has none, the record waits until `replace` brings one.
        """
        for count, waiting, moved in self._moved_by(place):
            alone = moved[count[moved] == 1]
            if len(alone):
                waiting[int(alone[0])] = place
                return False
        return True

    def replace(self, place: int, entries: sp.csr_array) -> list[int]:
        """Put another record in a place, with its entries, shape (1, m).

        Returns
        -------
        list of int
            The places of the records that waited for a target that has a second record now.
        """
        for count, _, moved in self._moved_by(place):
            count[moved] -= 1
        self._came[place] = entries
        relieved: list[int] = []
        for count, waiting, moved in self._moved_by(place):
            count[moved] += 1
            twice = moved[count[moved] == 2].tolist()
            relieved += [waiting.pop(target) for target in twice if target in waiting]
        return relieved

    def _moved_by(
        self, place: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[int, int], NDArray[np.int64]]]:
        """Give the counts of each side, who waits there, and the targets that a record moves."""
        entries = self._entries
        if place in self._came:
            entries, place = self._came[place], 0
        of_record = slice(*entries.indptr[place : place + 2])
        targets, data = entries.indices[of_record], entries.data[of_record]
        for count, waiting, sign in zip(self.n_movers, self._waiting, self._signs, strict=True):
            yield count, waiting, targets[data * sign[targets] > 0]


class _Outside:
    """The entries of records that may come in.

    Parameters
    ----------
    objective : Objective
    records : ndarray of bool, shape (n,)
        Which records these are.
    """

    def __init__(self, objective: Objective, records: NDArray[np.bool_]) -> None:
        self._place = np.cumsum(records) - 1
        self._entries = objective.scaled.by_columns(np.flatnonzero(records))

    def entries_of(self, records: NDArray[np.int64]) -> sp.csr_array:
        """Take the entries of some of them, a record in each row; shape (k, m)."""
        return self._entries[self._place[records]]


def _movers_of(
    matrix: sp.csr_array, bare: list[tuple[int, int]], signs: list[NDArray[np.float64]]
) -> NDArray[np.bool_]:
    """Tell which records move one of these targets to its value."""
    moves = np.zeros(matrix.shape[1], dtype=bool)
    for target, side in bare:
        moves[with_entries(matrix, target, signs[side][target])] = True
    return moves


def _best(
    objective: Objective,
    outside: _Outside,
    target: int,
    records: NDArray[np.int64],
    mean_ratio: float,
) -> tuple[int, float]:
    """Find the record that suits a target best, and the ratio with which it hits the target.

    This ratio should be close to the mean ratio of chosen records, and the record should add little
    to other targets. Both are measured on a logarithmic scale. No record hits a mean, a ratio or a
    share by its weight: it gets the mean ratio.
    """
    problem = objective.problem
    own = np.abs(outside.entries_of(records)[:, [target]].toarray().ravel())
    ratio = abs(problem.nearest[target]) / problem.scales[target] / own
    if not problem.nearest[target]:
        ratio = np.full(len(own), mean_ratio)
    unusual = np.abs(np.log(ratio / mean_ratio))
    nearest = np.sort(np.argsort(unusual, kind="stable")[:LOOKED_AT])
    most = _largest(outside.entries_of(records[nearest]), objective)
    best = nearest[np.argmin(unusual[nearest] + np.log(most / own[nearest]))]
    return int(records[best]), float(ratio[best])


def _largest(entries: sp.csr_array, objective: Objective) -> NDArray[np.float64]:
    """Find the most that each record adds to a target, as a share of the target's scale."""
    share = objective.rows.of_published((objective.importance > 0) * objective.easing)
    size = sp.csr_array(
        (np.abs(entries.data) * share[entries.indices], entries.indices, entries.indptr),
        shape=entries.shape,
    )
    return np.asarray(size.max(axis=1).toarray().ravel(), dtype=np.float64)

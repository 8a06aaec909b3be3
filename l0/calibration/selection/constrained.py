"""Selections under constraints: records that must be kept, and quotas of cells.

A draw gets inclusion probabilities whose expected numbers of records obey the quotas, and takes the
records of a group in a row, so that its numbers are close to these. `obey` then changes as few
records as possible, and this makes the choice of any selector exact. The rules are ours.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.selected import Selection
from l0.calibration.problem.allocation import allocate, scaled, spread
from l0.calibration.problem.constraints import Constraints
from l0.calibration.sampling.designs import inclusion_probabilities, systematic

#: Quotas lower the expected number of a group to this share at most: weights w / q stay finite.
LEAST_SHARE = 1e-3
#: An expected number that is this close to the size of a group is the size.
ROUNDING = 1e-9


def draw_probabilities(
    context: FitContext,
    size: NDArray[np.float64],
    n_draws: int,
    n_left: int = 0,
    among: NDArray[np.int64] | None = None,
    chosen: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Compute inclusion probabilities proportional to size, as far as the constraints allow.

    Records that must be kept are certain. The draws take their part of what the quotas still ask
    for. Within a group, the probabilities of the other records are proportional to size.

    Parameters
    ----------
    context : FitContext
    size : ndarray of float64, shape (n,)
        Positive for the records that may be drawn, and 0 for those that cannot be kept.
    n_draws : int
        The number of draws. It is at least the number of records that must be kept and are not
        chosen yet.
    n_left : int
        The number of records that will be chosen later, in another way.
    among : ndarray of int64, optional
        The candidates that may be drawn, in ascending order: by default all.
    chosen : ndarray of int64, optional
        The records that are chosen already, by default none. None of them is in `among`.

    Returns
    -------
    ndarray of float64, shape (n,)
        They add up to `n_draws`, and are 0 for all other records.
    """
    constraints = context.constraints
    if constraints is None and among is None:
        return inclusion_probabilities(size, n_draws)
    q = np.zeros(len(size))
    among = context.candidates if among is None else among
    if constraints is None:
        q[among] = inclusion_probabilities(size[among], n_draws)
        return q
    chosen = np.empty(0, dtype=np.int64) if chosen is None else chosen
    missing = constraints.must.copy()
    missing[chosen] = False
    certain = np.flatnonzero(missing)
    others = among[~constraints.must[among]]
    low = constraints.counts(certain).astype(float)
    high = low + constraints.counts(others).astype(float)
    q[certain] = 1.0
    n_free = n_draws - len(certain)
    q[others] = inclusion_probabilities(size[others], n_free) if n_free else 0.0
    g = len(constraints.sizes)
    wanted = np.bincount(constraints.group[others], weights=q[others], minlength=g) + low
    have = constraints.inside @ constraints.counts(chosen)
    part = n_draws / (n_draws + n_left)
    numbers = spread(
        constraints, wanted, n_draws, lowest=low, highest=high,
        least=np.maximum(constraints.least - have, 0) * part,
        most=np.maximum(constraints.most - have, 0) * part,
    )  # fmt: skip
    floor = np.minimum(low + LEAST_SHARE * (wanted - low), high)
    free = scaled(np.maximum(numbers, floor), low, high, n_draws) - low
    by_group = others[np.argsort(constraints.group[others], kind="stable")]
    ends = np.cumsum(constraints.counts(others))
    for records, number in zip(np.split(by_group, ends[:-1]), free.tolist(), strict=True):
        everyone = number >= len(records) - ROUNDING
        q[records] = 1.0 if everyone else inclusion_probabilities(size[records], number)
    return q


def group_order(context: FitContext, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put the records of each group in a row, in the order that they have."""
    if context.constraints is None:
        return order
    return order[np.argsort(context.constraints.group[order], kind="stable")]


def obey(context: FitContext, selection: Selection) -> Selection:
    """Change as few records of a selection as possible, so that it obeys the constraints.

    Records that must be kept come in. In a group with too many records, those of the smallest base
    weights leave; where these are equal, chance decides. In a group with too few, records are drawn
    with probability proportional to their weight in the calibrated full file, or to their design
    weight if there is none.

    A record that must be kept and was not chosen represents itself: its base ratio is that of the
    full file. The others of a group share the base weight that the group had. In a group that had
    none, the base ratio is n / k.

    Parameters
    ----------
    context : FitContext
    selection : Selection

    Returns
    -------
    Selection
        The same selection if it obeys the constraints, and else as many records.
    """
    constraints = context.constraints
    if constraints is None or constraints.obeyed_by(selection.records):
        return selection
    k = len(selection.records)
    w0 = context.problem.design_weights
    full = np.ones(len(w0)) if context.reference is None else context.reference
    base = np.zeros(len(w0))
    base[selection.records] = selection.base
    must = np.flatnonzero(constraints.must)
    base[must] = np.where(base[must] > 0, base[must], full[must])
    counts = constraints.counts(np.union1d(selection.records, must))
    numbers = allocate(constraints, counts, k)
    free = np.flatnonzero(~constraints.must & (constraints.group >= 0))
    by_group = free[np.argsort(constraints.group[free], kind="stable")]
    ends = np.cumsum(constraints.sizes - constraints.forced)
    mean_ratio = len(context.candidates) / k
    kept = [must]
    for records, n_kept in zip(
        np.split(by_group, ends[:-1]), (numbers - constraints.forced).tolist(), strict=True
    ):
        there = base[records] > 0
        stay = records[there]
        if n_kept != len(stay):
            weight = base[stay] @ w0[stay]
            if n_kept < len(stay):
                stay = _heaviest(stay, base[stay] * w0[stay], n_kept, context.generator)
            else:
                mean = base[stay].mean() if len(stay) else mean_ratio
                new = _draw(records[~there], full * w0, n_kept - len(stay), context.generator)
                base[new] = mean
                stay = np.concatenate([stay, new])
            if weight and n_kept:
                base[stay] *= weight / (base[stay] @ w0[stay])
        kept.append(stay)
    chosen = np.sort(np.concatenate(kept))
    drawn = selection.drawn
    if drawn is not None:
        # Records that come in are drawn, or represent themselves: no target chose them.
        drawn = ~np.isin(chosen, selection.records[~drawn])
    return replace(selection, records=chosen, base=base[chosen], drawn=drawn)


def _heaviest(
    records: NDArray[np.int64],
    weights: NDArray[np.float64],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Take the records of the largest weights. Weights that differ by rounding are equal."""
    written = np.round(np.log(weights), 9)
    return records[np.lexsort((generator.random(len(records)), -written))[:count]]


def _draw(
    records: NDArray[np.int64],
    weights: NDArray[np.float64],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw records with probability proportional to their weights, in random order."""
    q = inclusion_probabilities(weights[records], count)
    return records[systematic(q, generator.permutation(len(q)), generator)]


class Room:
    """Tells which records quotas let in, while a selection is changed record by record.

    Parameters
    ----------
    constraints : Constraints
    records : ndarray of int64, shape (k,)
        A selection that obeys the constraints.
    """

    def __init__(self, constraints: Constraints, records: NDArray[np.int64]) -> None:
        self._constraints = constraints
        self._counts = constraints.inside @ constraints.counts(records)
        self._cells_of = constraints.inside.T.tocsr()
        self._allowed: dict[int, NDArray[np.bool_]] = {}

    def may_come(self, out: int, records: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take the records that quotas let in if another one goes out."""
        group = self._constraints.group
        if group[out] not in self._allowed:  # it holds until a record is replaced
            self._allowed[group[out]] = self._groups_that_may_come(out)
        return np.asarray(records[self._allowed[group[out]][group[records]]])

    def replace(self, out: int, new: int) -> None:
        """Count a record that came in for another one."""
        self._counts = self._counts - self._change(out) + self._change(new)
        self._allowed.clear()

    def _groups_that_may_come(self, out: int) -> NDArray[np.bool_]:
        constraints = self._constraints
        without = self._counts - self._change(out)
        # A record that comes in must be in each cell that has too few, and in none that is full.
        short, full = without < constraints.least, without >= constraints.most
        inside = constraints.inside
        return np.asarray(
            (short.astype(float) @ inside == short.sum()) & (full.astype(float) @ inside == 0)
        )

    def _change(self, record: int) -> NDArray[np.float64]:
        change = np.zeros(len(self._counts))
        cells = self._cells_of
        group = self._constraints.group[record]
        change[cells.indices[cells.indptr[group] : cells.indptr[group + 1]]] = 1.0
        return change

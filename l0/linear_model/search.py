"""Search for the units that explain most, size by size.

A start is improved by swaps until no swap helps. A perturbation then changes many units at once,
and the swaps begin again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from l0.linear_model.design import Positions
from l0.linear_model.exclusive_swap import fewest_rivals
from l0.linear_model.pair_swap import PairSwap, close_pairs
from l0.linear_model.problem import Problem
from l0.linear_model.statistics import Matrix
from l0.linear_model.swap import Swap

#: The number of units that screening keeps, besides twice the largest size.
SCREENED = 300
#: `Search.harder` stops after so many perturbations, or after so many failures in a row.
PERTURBATIONS, FAILURES = 40, 6
#: With many rows, so many quadratic approximations are searched at most.
APPROXIMATIONS = 5
#: The share of the chosen units that a perturbation replaces.
PERTURBED = 0.5
#: Among at most this many units, every other perturbation replaces all units: there, two choices
#: that share few units may be nearly equally good.
FEW = 100
#: The number of steps of the forward stagewise start, and their length as a share of the largest
#: correlation.
STEPS, STEP = 200, 0.05


def forward(problem: Problem, start: Positions, size: int, banned: Positions) -> Positions:
    """Add the unit that gains most, until there are `size` units or the others add nothing.

    Parameters
    ----------
    problem : Problem
    start : ndarray of int64
        Units to begin with, the kept ones first.
    size : int
    banned : ndarray of int64
        Units that must not be added.

    Returns
    -------
    ndarray of int64
        At most `size` units.
    """
    chosen = start
    while len(chosen) < size:
        gains = problem.swap_from(chosen).adds()
        gains[banned] = -np.inf
        best = largest(problem, gains)
        if gains[best] == -np.inf:
            break
        chosen = np.append(chosen, best)
    return chosen


def largest(problem: Problem, gains: Matrix) -> int:
    """Return the first of the gains that equal the largest up to rounding."""
    return int(np.argmax(gains >= gains.max(initial=-np.inf) - problem.statistics.rounding))


def improved(
    problem: Problem, chosen: Positions, pairs: Positions | None = None
) -> tuple[float, Positions]:
    """Make the best swap again and again, until no swap gains.

    Parameters
    ----------
    problem : Problem
    chosen : ndarray of int64
        Units to begin with, the kept ones first.
    pairs : ndarray of int64, shape (m, 2), optional
        Where no swap gains, two chosen columns are exchanged for one of these pairs, if that gains.

    Returns
    -------
    value : float
        What the units explain in the end.
    chosen : ndarray of int64
        The units.
    """
    least = problem.statistics.rounding
    swap = problem.swap_from(chosen)
    # Several choices may explain everything. Swaps among them would follow rounding errors.
    while swap.value < problem.statistics.total - least:
        out: int | Positions
        new: int | Positions
        gain, out, new = swap.best_swap()
        if gain <= least and pairs is not None and isinstance(swap, Swap):
            gain, out, new = PairSwap(swap, pairs).best()
        if gain <= least:
            break
        chosen = swap.chosen.copy()
        chosen[out] = new
        other = problem.swap_from(chosen)
        # The gain may be a rounding error. Without this check the loop could run forever.
        if other.value <= swap.value + least / 2:
            break
        swap = other
    return swap.value, swap.chosen


def screen(problem: Problem, size: int) -> Positions:
    """Keep the most promising units of a problem that has very many.

    Forward selection runs up to `size` (as a screen: Wang 2009, "Forward regression for ultra-high
    dimensional variable screening", JASA 104(488)). Kept are the units that it adds, and those
    whose gain came closest to the best gain in some step. That second rule is ours.

    Parameters
    ----------
    problem : Problem
    size : int
        The largest size that will be searched.

    Returns
    -------
    ndarray of int64
        Ascending, `SCREENED` + 2 `size` units; all of them where there are no more.
    """
    room = SCREENED + 2 * size
    if problem.n_units <= room:
        return np.arange(problem.n_units)
    merit = np.zeros(problem.n_units)
    merit[problem.kept] = np.inf
    chosen = problem.kept
    while len(chosen) <= size:
        gains = problem.swap_from(chosen).adds()
        best = largest(problem, gains)
        if not gains[best] > 0:
            break
        merit = np.maximum(merit, gains / gains.max())
        chosen = np.append(chosen, best)
    return np.sort(np.argpartition(-merit, room)[:room])


class Search:
    """The best known choice of each size.

    Every choice ends at a swap optimum: no swap of one unit for another explains more (Hazimeh &
    Mazumder 2020, "Fast best subset selection", Operations Research 68(5), arXiv:1803.01454). A
    choice of one size gives a start for its neighbours: add the best unit to it, or drop the least
    one. Two methods search one size further:

    * `wider` starts from forward stagewise regression (Hastie, Tibshirani & Friedman 2009, "The
      elements of statistical learning", algorithm 3.4), and then exchanges two chosen columns for
      two that are close to each other, where that explains more (see `pair_swap.py`).
    * `harder` perturbs the choice: half of the units leave at random, and others come in (iterated
      local search, Lourenço, Martin & Stützle 2003). Among few units, every other perturbation
      replaces all. It ends with exchanges of pairs.

    The draws come from a generator with a fixed seed: the same data give the same choice.

    Parameters
    ----------
    problem : Problem
    sizes : iterable of int
        Consecutive whole numbers; the first is at least the number of kept units.
    known : Search, optional
        A search of a problem with the same units. Its choices of these sizes are the only starts.
    enough : callable, optional
        Called with the search after each size. The search stops where it returns True.
    start : ndarray of int64, optional
        The only start, of the one size. No unit is screened out.

    Attributes
    ----------
    units : ndarray of int64
        The units that screening kept.
    chosen : dict of int to ndarray of int64
        The choice of each size, as positions in `units`, the kept units first. A size above the
        rank of the columns is missing.
    value : dict of int to float
        What each choice explains.
    """

    def __init__(
        self,
        problem: Problem,
        sizes: Iterable[int],
        known: Search | None = None,
        enough: Callable[[Search], bool] | None = None,
        start: Positions | None = None,
    ) -> None:
        self.problem = problem
        self.sizes = list(sizes)
        self.chosen: dict[int, Positions] = {}
        self.value: dict[int, float] = {}
        self.screened: Problem
        self.units: Positions
        if known:
            self.units = known.units
        elif start is not None:
            self.units = np.arange(problem.n_units)
        else:
            cheap = problem.least_squares() if problem.many_rows else problem
            self.units = screen(cheap, self.sizes[-1])
        if known and known.problem is problem:
            self.screened = known.screened
        elif start is not None:
            self.screened = problem
        else:
            self.screened = problem.restricted(self.units)
        self._pairs: Positions | None = known._pairs if known else None
        self._generator = np.random.default_rng(0)
        if known:
            for size in self.sizes:
                self._offer(known.chosen[size], size)
        elif start is not None:
            self._offer(start, self.sizes[0])
        else:
            self._follow(enough)

    def wider(self, size: int) -> None:
        """Search one size from a stagewise start, and exchange pairs of close columns."""
        if self._explained(size) or self.screened.many_rows:
            return
        self._offer(self._stagewise(size), size)
        self._exchange(size)

    def harder(self, size: int) -> None:
        """Search one size from perturbations of its choice.

        Where a fit reads many rows, they run on a quadratic approximation of the loss at the known
        choice, which reads none, as long as its best choice betters the loss itself.
        """
        if self._explained(size):
            return
        if self.screened.many_rows:
            for _ in range(APPROXIMATIONS):
                known, quadratic = self.value[size], self.screened.approximated(self.chosen[size])
                inner = Search(quadratic, [size], start=self.chosen[size])
                inner.harder(size)
                self._offer(inner.chosen[size], size)
                if self.value[size] <= known:
                    break
            return
        failures = 0
        for turn in range(PERTURBATIONS if size > len(self.problem.kept) else 0):
            known = self.value[size]
            afresh = turn % 2 == 1 and self.screened.n_units <= FEW
            self._offer(self._random(size) if afresh else self._perturbed(size), size)
            failures = 0 if self.value[size] > known else failures + 1
            if failures == FAILURES:
                break
        self._exchange(size)

    def finish(self, size: int) -> Positions:
        """Improve the choice of a size by swaps for any unit, and return it.

        Up to here only screened units took part.
        """
        self.value[size], chosen = improved(self.problem, self.units[self.chosen[size]])
        return chosen

    def _follow(self, enough: Callable[[Search], bool] | None) -> None:
        none = np.empty(0, np.int64)
        chosen = self.screened.kept
        for size in self.sizes:
            chosen = forward(self.screened, chosen, size, none)
            if len(chosen) < size and self.screened.exclusive:
                roomy = fewest_rivals(
                    self.screened.exclusive,
                    self.screened.kept,
                    size,
                    lambda units: self.screened.swap_from(units).adds(),
                )
                chosen = max(chosen, roomy, key=len)
            if len(chosen) not in self.chosen:
                self._offer(chosen, len(chosen))
            if len(chosen) < size or self._ends(size, enough):
                break
            chosen = self.chosen[size]
        for size in sorted(self.chosen, reverse=True)[:-1]:
            self._offer(self._less(size), size - 1)

    def _ends(self, size: int, enough: Callable[[Search], bool] | None) -> bool:
        """Whether no larger size is searched; before that, close pairs get their chance."""
        if size < self.sizes[-1] and not (enough and enough(self)):
            return False
        if not self._explained(size):
            self._exchange(size)
        return enough is None or enough(self)

    def _random(self, size: int) -> Positions:
        """Return a start of units drawn at random."""
        kept = self.screened.kept
        others = np.setdiff1d(np.arange(self.screened.n_units), kept)
        drawn = self._generator.permutation(others)[: size - len(kept)]
        return self._filled(np.concatenate([kept, drawn]), size)

    def _perturbed(self, size: int) -> Positions:
        """Return the choice of a size with some units, drawn at random, replaced by others."""
        chosen, kept = self.chosen[size], len(self.problem.kept)
        free = self._generator.permutation(np.arange(kept, size))
        out = free[: max(1, round(PERTURBED * len(free)))]
        return forward(self.screened, np.delete(chosen, out), size, chosen[out])

    def _explained(self, size: int) -> bool:
        """Whether the choice of a size explains everything."""
        statistics = self.problem.statistics
        return bool(self.value[size] >= statistics.total - statistics.rounding)

    def _exchange(self, size: int) -> None:
        """Exchange pairs of the choice of a size for close pairs, where that gains."""
        if self._pairs is None:
            self._pairs = close_pairs(self.screened)
        if len(self._pairs):
            self._offer(self.chosen[size], size, self._pairs)

    def _offer(self, start: Positions, size: int, pairs: Positions | None = None) -> None:
        """Improve a start by swaps, and keep it if it has the size and beats the known choice."""
        if len(start) < size:
            return
        known = self.chosen.get(size)
        if known is not None and pairs is None and np.array_equal(np.sort(known), np.sort(start)):
            return  # no swap improves it
        value, chosen = improved(self.screened, start, pairs)
        least = self.value.get(size, -np.inf) + self.problem.statistics.rounding
        if value > least:
            self.value[size], self.chosen[size] = value, chosen

    def _less(self, size: int) -> Positions:
        """Return the choice of a size without the unit whose loss is least."""
        chosen = self.chosen[size]
        losses = self.screened.swap_from(chosen).drops()
        return np.delete(chosen, largest(self.screened, -losses))

    def _stagewise(self, size: int) -> Positions:
        """Return the units with the largest slopes after incremental forward stagewise regression.

        Each small step goes along the column that correlates most with the residual.
        """
        statistics = self.screened.statistics
        slopes, residual = np.zeros_like(statistics.cross), statistics.cross.copy()
        step = STEP * np.sqrt(_squares(residual).max(initial=0.0))
        for _ in range(STEPS if step > 0 else 0):
            column = int(_squares(residual).argmax())
            move = step * residual[column] / np.linalg.norm(residual[column])
            slopes[column] += move
            residual -= np.outer(statistics.rows(np.array([column]))[0], move)
        merit = self._by_unit(_squares(slopes))
        merit[self.screened.kept] = -1.0
        order = np.argsort(-merit, kind="stable")[: int(np.sum(merit > 0))]
        kept = self.screened.kept
        return self._filled(np.concatenate([kept, order[: max(0, size - len(kept))]]), size)

    def _filled(self, units: Positions, size: int) -> Positions:
        """Return the units that add something to the ones before them, filled up to a size."""
        found = self.screened.kept
        for unit in units[len(found) :]:
            if self.screened.swap_from(found).adds()[unit] > -np.inf:
                found = np.append(found, unit)
        return forward(self.screened, found, size, np.empty(0, np.int64))

    def _by_unit(self, values: Matrix) -> Matrix:
        """Sum values of columns over the columns of each unit."""
        groups = self.screened.groups
        return np.array([values[m].sum() for m in groups.members]) if groups else values


def _squares(values: Matrix) -> Matrix:
    return np.asarray(np.einsum("ij,ij->i", values, values))

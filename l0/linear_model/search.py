"""The search for the units that explain most: starts, exchanges and kicks, size by size."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from l0.linear_model.design import Positions
from l0.linear_model.problem import Problem
from l0.linear_model.statistics import Matrix

#: Units that the search goes on with, besides twice the largest size.
SCREENED = 300
#: Where a size is searched hard: kicks in a row without success that end it, the most kicks, and
#: the share of the units that a kick throws out. Of up to so many units, every other kick throws
#: out all: there, choices that share few units may be nearly as good.
FRUITLESS, KICKS, THROWN, FEW = 6, 40, 0.5, 100
#: Steps of the forward stagewise start, each a share of the largest correlation.
STEPS, STEP = 200, 0.05


def forward(problem: Problem, start: Positions, size: int, banned: Positions) -> Positions:
    """Add the unit that gains most until there are `size`, or none adds anything of its own."""
    chosen = start
    while len(chosen) < size:
        gains = problem.exchange(chosen).adds()
        gains[banned] = -np.inf
        best = largest(problem, gains)
        if gains[best] == -np.inf:
            break
        chosen = np.append(chosen, best)
    return chosen


def largest(problem: Problem, gains: Matrix) -> int:
    """The first of the largest gains: where several are alike, rounding must not decide."""
    return int(np.argmax(gains >= gains.max(initial=-np.inf) - problem.statistics.rounding))


def improved(problem: Problem, chosen: Positions) -> tuple[float, Positions]:
    """Make the best exchange, again and again, until none gains; what is explained, and by what."""
    least = problem.statistics.rounding
    exchange = problem.exchange(chosen)
    # Where all is explained, other choices may do it too, and rounding must not decide.
    while exchange.value < problem.statistics.total - least:
        gain, out, new = exchange.best_swap()
        if gain <= least:
            break
        chosen = exchange.chosen.copy()
        chosen[out] = new
        other = problem.exchange(chosen)
        # What a gain promises may be rounding: going on regardless might go round in circles.
        if other.value <= exchange.value + least / 2:
            break
        exchange = other
    return exchange.value, exchange.chosen


def screen(problem: Problem, size: int) -> Positions:
    """The units that came closest to being added on the way to `size`, and those that were."""
    room = SCREENED + 2 * size
    if problem.n_units <= room:
        return np.arange(problem.n_units)
    merit = np.zeros(problem.n_units)
    merit[problem.kept] = np.inf
    chosen = problem.kept
    while len(chosen) <= size:
        gains = problem.exchange(chosen).adds()
        best = largest(problem, gains)
        if not gains[best] > 0:
            break
        merit = np.maximum(merit, gains / gains.max())
        chosen = np.append(chosen, best)
    return np.sort(np.argpartition(-merit, room)[:room])


class Search:
    """The best choice known of each size, and ways to better ones.

    Choices of neighbouring sizes start each other: the best unit is added to the smaller, the
    least one dropped from the larger. A size is searched hard by forward stagewise regression as
    another start, and by kicks: half of the units are thrown out at random and barred while the
    rest is filled up, or all, and exchanges start again (iterated local search). The draws come
    from a generator of its own, so that the same data give the same choice.

    Parameters
    ----------
    problem : Problem
    sizes : iterable of int
        Whole numbers from the number of units kept on, one after the other.
    known : Search, optional
        Of a problem with the same units: its choices of these sizes are the start.
    enough : callable, optional
        Asked after each size, with the search, whether larger ones need not be tried.

    Attributes
    ----------
    chosen : dict of int to ndarray of int64
        Screened units, those kept first. Sizes that the columns' rank does not allow are not there.
    value : dict of int to float
        What they explain.
    """

    def __init__(
        self,
        problem: Problem,
        sizes: Iterable[int],
        known: Search | None = None,
        enough: Callable[[Search], bool] | None = None,
    ) -> None:
        self.problem = problem
        self.sizes = list(sizes)
        self.chosen: dict[int, Positions] = {}
        self.value: dict[int, float] = {}
        self.units: Positions = known.units if known else screen(problem, self.sizes[-1])
        self.screened: Problem
        if known and known.problem is problem:
            self.screened = known.screened
        else:
            self.screened = problem.restricted(self.units)
        self._generator = np.random.default_rng(0)
        if known:
            for size in self.sizes:
                self._offer(known.chosen[size], size)
        else:
            self._follow(enough)

    def harder(self, size: int) -> None:
        """Search a size hard."""
        statistics = self.problem.statistics
        if self.value[size] >= statistics.total - statistics.rounding:
            return
        self._offer(self._stagewise(size), size)
        fruitless = 0
        for turn in range(KICKS if size > len(self.problem.kept) else 0):
            known = self.value[size]
            afresh = turn % 2 == 1 and self.screened.n_units <= FEW
            self._offer(self._random(size) if afresh else self._kicked(size), size)
            fruitless = 0 if self.value[size] > known else fruitless + 1
            if fruitless == FRUITLESS:
                break

    def finish(self, size: int) -> Positions:
        """Go on with exchanges for any unit, screened out or not; the choice of units."""
        self.value[size], chosen = improved(self.problem, self.units[self.chosen[size]])
        return chosen

    def _follow(self, enough: Callable[[Search], bool] | None) -> None:
        none = np.empty(0, np.int64)
        chosen = self.screened.kept
        for size in self.sizes:
            chosen = forward(self.screened, chosen, size, none)
            if len(chosen) not in self.chosen:
                self._offer(chosen, len(chosen))
            if len(chosen) < size or (enough and enough(self)):
                break
            chosen = self.chosen[size]
        for size in sorted(self.chosen, reverse=True)[:-1]:
            self._offer(self._less(size), size - 1)

    def _random(self, size: int) -> Positions:
        """Units drawn at random."""
        kept = self.screened.kept
        others = np.setdiff1d(np.arange(self.screened.n_units), kept)
        drawn = self._generator.permutation(others)[: size - len(kept)]
        return self._filled(np.concatenate([kept, drawn]), size)

    def _kicked(self, size: int) -> Positions:
        """The choice of a size with some units thrown out, and others in their place."""
        chosen, kept = self.chosen[size], len(self.problem.kept)
        free = self._generator.permutation(np.arange(kept, size))
        out = free[: max(1, round(THROWN * len(free)))]
        return forward(self.screened, np.delete(chosen, out), size, chosen[out])

    def _offer(self, start: Positions, size: int) -> None:
        """Improve a start, and keep it where it fills the size and beats the best known."""
        if len(start) < size:
            return
        value, chosen = improved(self.screened, start)
        least = self.value.get(size, -np.inf) + self.problem.statistics.rounding
        if value > least:
            self.value[size], self.chosen[size] = value, chosen

    def _less(self, size: int) -> Positions:
        """The choice of a size without the unit that loses least."""
        chosen = self.chosen[size]
        losses = self.screened.exchange(chosen).drops()
        return np.delete(chosen, largest(self.screened, -losses))

    def _stagewise(self, size: int) -> Positions:
        """The units that small steps along the largest correlation move most."""
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
        """Those of some units that add something to the ones before them, and more up to a size."""
        found = self.screened.kept
        for unit in units[len(found) :]:
            if self.screened.exchange(found).adds()[unit] > -np.inf:
                found = np.append(found, unit)
        return forward(self.screened, found, size, np.empty(0, np.int64))

    def _by_unit(self, values: Matrix) -> Matrix:
        groups = self.screened.groups
        return np.array([values[m].sum() for m in groups.members]) if groups else values


def _squares(values: Matrix) -> Matrix:
    return np.asarray(np.einsum("ij,ij->i", values, values))

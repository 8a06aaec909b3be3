"""The best subsets near a choice: those that single exchanges, and some of pairs, lead to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l0.linear_model.bounded_swap import BoundedSwap
from l0.linear_model.curved import CurvedProblem, CurvedSwap
from l0.linear_model.design import Positions
from l0.linear_model.pair_swap import PairSwap, close_pairs
from l0.linear_model.problem import Problem
from l0.linear_model.search import screen
from l0.linear_model.statistics import Matrix
from l0.linear_model.swap import Swap

#: Where no formula gives the gain of an exchange, so many of the most promising ones are fitted.
FITTED = 20
#: The exchanges of so many times as many subsets are tried as are asked for.
TRIED = 2


@dataclass(frozen=True)
class Neighbours:
    """The best subsets that were found.

    Attributes
    ----------
    subsets : list of ndarray of int64
        Units, the kept ones first; the best subset first.
    values : list of float
        What each explains, or minus twice its loss.
    exact : bool
        Whether all single exchanges were compared, and not only the most promising ones.
    closed : bool
        Whether the exchanges of every listed subset were tried.
    pairs : int
        How many pairs of close columns were tried in exchange for two chosen ones.
    """

    subsets: list[Positions]
    values: list[float]
    exact: bool
    closed: bool
    pairs: int


def neighbours(problem: Problem, chosen: Positions, m: int) -> Neighbours:
    """Return the m best subsets of the size of a choice that exchanges lead to.

    The exchanges of the choice are tried first, and then those of the best subset found whose
    exchanges have not been tried yet. This ends when they have been tried for all of the m best
    ones, or for `TRIED` times m subsets.

    Parameters
    ----------
    problem : Problem
    chosen : ndarray of int64
        Units, the kept ones first.
    m : int

    Returns
    -------
    Neighbours
        Without the choice itself.
    """
    start = _key(chosen)
    found = {start: (problem.swap_from(chosen).value, chosen)}
    near, pairs = _pair_exchanges(problem, chosen, m)
    found |= near
    tried: set[frozenset[int]] = set()
    exact = True
    while True:
        others = sorted(found.keys() - {start}, key=lambda key: -found[key][0])[:m]
        left = [key for key in (start, *others) if key not in tried]
        if not left or len(tried) > TRIED * m:
            break
        near, whole = _exchanges(problem, found[left[0]][1], m)
        for key, value in near.items():
            found.setdefault(key, value)
        tried.add(left[0])
        exact = exact and whole
    return Neighbours(
        [found[key][1] for key in others],
        [found[key][0] for key in others],
        exact,
        not left,
        pairs,
    )


#: Subsets by their units, with what they explain.
Found = dict[frozenset[int], tuple[float, Positions]]


def _exchanges(problem: Problem, chosen: Positions, m: int) -> tuple[Found, bool]:
    """Return the best subsets that one exchange leads to, and whether all were compared."""
    swap = problem.swap_from(chosen)
    whole = not isinstance(swap, CurvedSwap | BoundedSwap)
    if isinstance(swap, CurvedSwap):
        gains = swap.value + swap.quadratic.swaps()
    elif isinstance(swap, BoundedSwap):
        gains = swap.most()
    else:
        gains = swap.value + swap.swaps()
    found: Found = {}
    few = m + 1 if whole else max(m + 1, FITTED)
    for out, new in _largest(gains, few):
        subset = chosen.copy()
        subset[out] = new
        value = float(gains[out, new]) if whole else _value(problem, subset, chosen)
        found[_key(subset)] = (value, subset)
    return found, whole


def _value(problem: Problem, subset: Positions, near: Positions) -> float:
    """Return what a subset explains; the fit of a loss starts from that of a subset near to it."""
    if isinstance(problem, CurvedProblem):
        return -2 * problem.fit(subset, near).value
    return problem.swap_from(subset).value


def _pair_exchanges(problem: Problem, chosen: Positions, m: int) -> tuple[Found, int]:
    """Return the best subsets with a pair of close columns in place of two chosen ones."""
    found: Found = {}
    swap = problem.swap_from(chosen)
    if type(swap) is not Swap:
        return found, 0
    units = np.union1d(screen(problem, len(chosen)), chosen)
    part = problem.restricted(units)
    swap = part.swap_from(np.searchsorted(units, chosen))
    assert isinstance(swap, Swap)
    exchange = PairSwap(swap, close_pairs(part))
    if not len(exchange.outs) or not len(exchange.pairs):
        return found, 0
    gains = exchange.gains()
    for out, new in _largest(gains, m + 1):
        subset = chosen.copy()
        subset[exchange.outs[out]] = units[exchange.pairs[new]]
        last = int(exchange.outs[out][1])
        # A ridge hides that the second column is a sum of the first and of those that stay.
        others = np.delete(subset, last)
        if problem.swap_from(others).adds()[subset[last]] > -np.inf:
            found[_key(subset)] = (swap.value + float(gains[out, new]), subset)
    return found, len(exchange.pairs)


def _largest(values: Matrix, few: int) -> list[tuple[int, int]]:
    """Return the places of the largest finite values of a matrix, the largest first."""
    flat = values.ravel()
    few = min(few, flat.size)
    places = np.argpartition(-flat, few - 1)[:few] if few else np.empty(0, np.int64)
    ordered = places[np.argsort(-flat[places], kind="stable")]
    return [divmod(int(place), values.shape[1]) for place in ordered if flat[place] > -np.inf]


def _key(units: Positions) -> frozenset[int]:
    return frozenset(units.tolist())

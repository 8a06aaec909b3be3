"""Which columns explain an outcome best, in least squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions, standardised_design
from l0.linear_model.problem import Problem
from l0.linear_model.search import Search
from l0.linear_model.statistics import Statistics

Matrix = NDArray[np.float64]


def linear_choice(x: Matrix, outcome: Matrix, k: int) -> Positions:
    """Choose columns by forward selection and exchanges, which is quick.

    Parameters
    ----------
    x : ndarray of float64, shape (n, p)
        Columns count alike, whatever their scale.
    outcome : ndarray of float64, shape (n, q)
    k : int
        From 1 to p.

    Returns
    -------
    ndarray of int64
        Fewer than k where no others add anything to them.
    """
    return _chosen(_problem(x, outcome), k, thorough=False)


def linear_order(x: Matrix, outcome: Matrix, k: int) -> Positions:
    """Choose columns by the whole search, and rank all.

    Parameters
    ----------
    x, outcome, k : as in `linear_choice`

    Returns
    -------
    ndarray of int64, shape (p,)
        First the chosen columns, by what leaving each out would lose, then the others, by what
        each would add; constant ones last.
    """
    problem = _problem(x, outcome)
    chosen = _chosen(problem, k, thorough=True)
    swap = problem.swap_from(chosen)
    lost, gained = swap.drops(), swap.adds()
    rest = np.setdiff1d(np.arange(problem.n_units), chosen)
    rest = rest[np.lexsort((-gained[rest], problem.statistics.squares[rest] == 0))]
    return np.concatenate([chosen[np.argsort(-lost, kind="stable")], rest])


def _problem(x: Matrix, outcome: Matrix) -> Problem:
    n = len(x)
    outcome = (outcome - outcome.mean(axis=0)) / np.sqrt(n)
    if outcome.shape[1] > n:
        # What is explained of them all stays the same when they are rotated, and n then hold it.
        outcome = np.linalg.qr(outcome.T).R.T
    return Problem(Statistics.of(standardised_design(x, np.ones(n), centre=True).design, outcome))


def _chosen(problem: Problem, k: int, thorough: bool) -> Positions:
    search = Search(problem, [k])
    size = max(search.chosen)
    if thorough:
        search.harder(size)
    return search.finish(size)

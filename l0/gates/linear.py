"""Choose the columns that explain an outcome best in least squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions, standardised_design
from l0.linear_model.problem import Problem
from l0.linear_model.search import Search
from l0.linear_model.statistics import Statistics

Matrix = NDArray[np.float64]


def linear_choice(x: Matrix, outcome: Matrix, k: int) -> Positions:
    """Choose columns by forward selection and swaps, without the slower parts of the search.

    Parameters
    ----------
    x : ndarray of float64, shape (n, p)
        The scale of a column does not matter.
    outcome : ndarray of float64, shape (n, q)
    k : int
        From 1 to p.

    Returns
    -------
    ndarray of int64
        Positions; fewer than k if no other column adds anything.
    """
    return _chosen(_problem(x, outcome), k, thorough=False)


def linear_order(x: Matrix, outcome: Matrix, k: int) -> Positions:
    """Choose k columns by the whole search, and rank all columns.

    Parameters
    ----------
    x, outcome, k : as in `linear_choice`

    Returns
    -------
    ndarray of int64, shape (p,)
        First the chosen columns, in the order of the loss if each were dropped; then the others,
        in the order of the gain if each were added; constant columns last.
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
        # Rotate the outcomes, which changes no explained sum of squares: at most n are not 0.
        outcome = np.linalg.qr(outcome.T).R.T
    return Problem(Statistics.of(standardised_design(x, np.ones(n), centre=True).design, outcome))


def _chosen(problem: Problem, k: int, thorough: bool) -> Positions:
    search = Search(problem, [k])
    size = max(search.chosen)
    if thorough:
        search.wider(size)
        search.harder(size)
    return search.finish(size)

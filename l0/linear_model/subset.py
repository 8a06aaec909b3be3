"""Which columns explain best: forward selection and swaps, in the Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.problem import Problem
from l0.linear_model.search import forward, improved
from l0.linear_model.statistics import Matrix, Statistics


@dataclass(frozen=True)
class Subset:
    """Columns in order of merit, and what each is worth.

    Attributes
    ----------
    order : ndarray of int64, shape (p,)
        First the k chosen columns, then the others, each the most worth first.
    worth : ndarray of float64, shape (p,)
        Sum of squares of the targets: what leaving out a chosen column would lose, what adding
        another one would gain.
    """

    order: NDArray[np.int64]
    worth: NDArray[np.float64]


def best_subset(gram: Matrix, cross: Matrix, k: int) -> Subset:
    """Choose k columns of X that explain Y well, in least squares.

    Columns are added one by one, each time the one that lowers the residual most given those
    already in (orthogonal least squares; Chen, Billings & Luo 1989). Then the best swap of a
    chosen column for another is made, again and again, until none lowers the residual. The
    result has no better neighbour; it need not be the best of all subsets.

    Parameters
    ----------
    gram : ndarray of float64, shape (p, p)
        X'X.
    cross : ndarray of float64, shape (p, q)
        X'Y.
    k : int
        From 1 to p. Columns that add nothing to those chosen fill it up in their order, those
        that are all zero last.

    Returns
    -------
    Subset
    """
    size = np.sqrt(np.diag(gram))
    unit = np.where(size > 0, size, 1.0)
    gram, cross = gram / np.outer(unit, unit), cross / unit[:, None]
    problem = Problem(Statistics(cross, np.diag(gram).copy(), gram))
    none = np.empty(0, np.int64)
    _, chosen = improved(problem, forward(problem, none, k, none))
    exchange = problem.exchange(chosen)
    lost, worth = exchange.drops(), np.maximum(exchange.adds(), 0.0)
    worth[chosen] = lost
    rest = np.setdiff1d(np.arange(len(gram)), chosen)
    rest = rest[np.lexsort((-worth[rest], size[rest] == 0))]
    return Subset(np.concatenate([chosen[np.argsort(-lost, kind="stable")], rest]), worth)

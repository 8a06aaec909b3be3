"""The certificate of a choice: by how much the best one may be better."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from l0.common.errors import InputError
from l0.linear_model.certificate.branch_and_bound import BranchAndBound
from l0.linear_model.design import Positions
from l0.linear_model.problem import Problem

#: Of so many columns at most, all products are computed and inverted again and again.
MOST_COLUMNS = 1_000


@dataclass(frozen=True)
class Certificate:
    """What branch and bound found out.

    Attributes
    ----------
    chosen : ndarray of int64
        The best known choice, the kept columns first.
    explained : float
        What it explains.
    bound : float
        No choice of as many columns explains more; equal to `explained` once that is proven.
    """

    chosen: Positions
    explained: float
    bound: float


def certify(problem: Problem, chosen: Positions, seconds: float) -> Certificate:
    """Bound what the best choice explains, and look for a better one.

    Parameters
    ----------
    problem : Problem
        Of one outcome and single columns, with its ridge.
    chosen : ndarray of int64
        A choice, the kept columns first.
    seconds : float
        The most time. There is a first bound in any case.

    Returns
    -------
    Certificate

    Raises
    ------
    InputError
        If there are more than `MOST_COLUMNS` columns.
    """
    statistics = problem.statistics
    p = len(statistics.cross)
    if p > MOST_COLUMNS:
        raise InputError(
            f"`certify` is for at most {MOST_COLUMNS:,} columns, but `X` has {p:,}; leave it out"
        )
    tree = BranchAndBound(
        np.asarray(statistics.rows(np.arange(p)), np.float64),
        statistics.cross[:, 0].astype(np.float64),
        statistics.squares.astype(np.float64),
        chosen,
        lambda columns: _independent(problem, columns),
        scale=statistics.total,
        rounding=statistics.rounding,
        spanned=statistics.spanned,
    )
    tree.run(len(problem.kept), time.monotonic() + seconds)
    return Certificate(tree.chosen, tree.value, tree.bound)


def _independent(problem: Problem, columns: Positions) -> bool:
    """Whether no column is a sum of those before it."""
    return all(
        problem.swap_from(columns[:place]).adds()[column] > -np.inf
        for place, column in enumerate(columns)
    )

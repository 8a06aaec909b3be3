"""Exchanges of two chosen columns for two others that are close to each other."""

from __future__ import annotations

import numpy as np

from l0.linear_model.design import Positions
from l0.linear_model.problem import Problem
from l0.linear_model.statistics import Matrix
from l0.linear_model.swap import Swap

#: Columns are close if their correlation is at least this, in absolute value.
CLOSE = 0.5
#: At most so many close pairs are tried, those with the largest correlations.
PAIRS = 1000
#: At most so many exchanges are tried at once; with many chosen columns, fewer pairs come in.
EXCHANGES = 15_000


def close_pairs(problem: Problem) -> Positions:
    """Return the pairs of close columns, (m, 2), the closest first.

    Of two close columns that enter y with opposite signs, each alone explains nearly nothing, so
    that adding or swapping one column at a time does not find them.

    Parameters
    ----------
    problem : Problem
        With all products computed.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        At most `PAIRS`. Columns that equal each other up to rounding are no pair. There are none
        in a problem with groups, bounds or exclusive sets.
    """
    statistics = problem.statistics
    limited = problem.groups or problem.exclusive or problem.bounds is not None
    if type(problem) is not Problem or limited:
        return np.empty((0, 2), np.int64)
    products = statistics.rows(np.arange(len(statistics.cross)))
    size = np.sqrt(np.where(statistics.squares > 0, statistics.squares, np.inf))
    near = np.abs(np.triu(products, 1)) / np.outer(size, size)
    near[1 - near**2 <= statistics.spanned] = 0.0
    flat = np.flatnonzero(near >= CLOSE)
    flat = flat[np.argsort(-near.ravel()[flat], kind="stable")[:PAIRS]]
    return np.column_stack(np.divmod(flat, len(near)))


class PairSwap:
    r"""The gains of exchanging two chosen columns for a pair of others.

    In the notation of `Swap`: without the chosen columns i and j, with
    :math:`W = ((A_{CC}^{-1})_{\{ij\}\{ij\}})^{-1}`, the other columns keep

    .. math::
        S'_{ab} = A_{ab} - A_{aC} P_b + P_{ij, a}' W P_{ij, b} \qquad
        r'_a = r_a + P_{ij, a}' W s_{ij}

    and a pair gains
    :math:`r_{ab}' {S'}_{\{ab\}\{ab\}}^{-1} r_{ab} - s_{ij}' W s_{ij}`.

    Parameters
    ----------
    swap : Swap
    pairs : ndarray of int64, shape (m, 2)
        Pairs of columns, the most promising first.

    Attributes
    ----------
    outs : ndarray of int64, shape (m, 2)
        The pairs of places in `chosen` that may leave.
    pairs : ndarray of int64, shape (m, 2)
        The pairs of columns that may come in: so many that there are at most `EXCHANGES`.
    """

    def __init__(self, swap: Swap, pairs: Positions) -> None:
        self.swap = swap
        free = np.arange(swap.fixed, len(swap.chosen))
        first, second = np.triu_indices(len(free), 1)
        self.outs = np.column_stack([free[first], free[second]])
        # Neither chosen columns come in nor sums of them.
        pairs = pairs[(swap.adds()[pairs] > -np.inf).all(axis=1)]
        self.pairs = pairs[: EXCHANGES // max(len(self.outs), 1)]

    def best(self) -> tuple[float, Positions, Positions]:
        """Return the best exchange: its gain, the places that it frees, the columns that come in.

        The gain is -inf where there is none.
        """
        none = np.empty(0, np.int64)
        if not len(self.outs) or not len(self.pairs):
            return -np.inf, none, none
        gains = self.gains()
        out, new = divmod(int(gains.argmax()), gains.shape[1])
        # A ridge hides that the second column is a sum of the first and of those that stay.
        others = np.append(np.delete(self.swap.chosen, self.outs[out]), self.pairs[new, 0])
        adds = Swap(self.swap.statistics, others, self.swap.fixed).adds()
        if adds[self.pairs[new, 1]] == -np.inf:
            return -np.inf, none, none
        return float(gains[out, new]), self.outs[out], self.pairs[new]

    def gains(self) -> Matrix:
        """The gain of each exchange, (pairs of chosen columns, pairs of others)."""
        swap, outs = self.swap, self.outs
        inside = swap.inverse[outs[:, :, None], outs[:, None, :]]
        weight = np.linalg.inv(inside)
        slopes = np.einsum("oij,ojq->oiq", weight, swap.slopes[outs])
        lost = np.einsum("oiq,oiq->o", slopes, swap.slopes[outs])
        columns, place = np.unique(self.pairs, return_inverse=True)
        a, b = place.reshape(self.pairs.shape).T
        paths = swap.paths[:, columns][outs]
        along = np.einsum("oij,ojp->oip", weight, paths)
        left = swap.left[columns] + np.einsum("oip,oip->op", paths, along)
        residual = swap.residual[columns] + np.einsum("oip,oiq->opq", paths, slopes)
        between = self._between() + np.einsum("oim,oim->om", paths[:, :, a], along[:, :, b])
        squares = np.einsum("opq,opq->op", residual, residual)
        both = np.einsum("omq,omq->om", residual[:, a], residual[:, b])
        own = left[:, a] * left[:, b] - between**2
        gains = squares[:, a] * left[:, b] + squares[:, b] * left[:, a] - 2 * both * between
        least = swap.statistics.spanned * np.maximum(left[:, a], left[:, b])
        return np.asarray(
            np.divide(gains, own, out=np.full(own.shape, -np.inf), where=own > least)
            - lost[:, None]
        )

    def _between(self) -> Matrix:
        """What the columns of each pair keep of their products, (m,)."""
        swap, (a, b) = self.swap, self.pairs.T
        source = swap.statistics.source
        assert isinstance(source, np.ndarray)
        return np.asarray(source[a, b] - np.einsum("cm,cm->m", swap.rows[:, a], swap.paths[:, b]))

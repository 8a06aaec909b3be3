"""Branch and bound over choices of columns."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from l0.linear_model.certificate.bound import Bound, relaxed
from l0.linear_model.certificate.interior_point import least_bound
from l0.linear_model.certificate.remainder import Remainder
from l0.linear_model.design import Positions
from l0.linear_model.statistics import Matrix

#: The most steps of a relaxation whose D comes from the node above.
STEPS = 30


@dataclass(frozen=True)
class Node:
    """The choices that have some columns and lack others.

    Attributes
    ----------
    bound : float
        None of them explains more.
    inside, free : ndarray of int64
        The columns that are in, and those that may be; the others are out.
    shares : ndarray of float64, shape (m,)
        How far the relaxed choice takes each free column.
    diagonal : ndarray of float64, shape (m,), or None
        A D for the free columns; None where none is known.
    """

    bound: float
    inside: Positions
    free: Positions
    shares: Matrix
    diagonal: Matrix | None = None

    def kept(self, places: Positions, inside: Positions) -> Node:
        """Return the node with some of the free columns, and with others inside."""
        diagonal = None if self.diagonal is None else self.diagonal[places]
        return Node(self.bound, inside, self.free[places], self.shares[places], diagonal)


class BranchAndBound:
    r"""The best choice of k columns, and a bound for as long as it is not known.

    A node of the tree has the bound of `bound.py`, first with the D of the node above and then with
    a D of its own. Free columns whose choice, or whose absence, has a bound below the best known
    choice leave the node. The column that the relaxed choice takes most of is then taken or left,
    and the node with the largest bound comes next. With two columns to come, all pairs are
    compared.

    Parameters
    ----------
    products : ndarray of float64, shape (p, p)
        A = Z'Z + l2 I.
    cross : ndarray of float64, shape (p,)
        Z'y.
    squares : ndarray of float64, shape (p,)
        The diagonal of Z'Z.
    chosen : ndarray of int64, shape (k,)
        A choice.
    allowed : callable
        Whether a choice may be made. It is asked about choices that are better than the known one.
    scale : float
        The sum of squares of y.
    rounding : float
        A gain of at most this counts as 0.
    spanned : float
        A column is a sum of others if they leave at most this share of its square.

    Attributes
    ----------
    chosen : ndarray of int64, shape (k,)
        The best known choice.
    value : float
        What it explains.
    bound : float
        No choice explains more; equal to `value` once that is proven up to `rounding`.
    """

    def __init__(
        self,
        products: Matrix,
        cross: Matrix,
        squares: Matrix,
        chosen: Positions,
        allowed: Callable[[Positions], bool],
        *,
        scale: float,
        rounding: float,
        spanned: float,
    ) -> None:
        self._products, self._cross = products, cross
        self._squares, self._spanned = squares, spanned
        self._scale, self._rounding = scale, rounding
        self._allowed = allowed
        self.chosen, self.value = chosen, self._explained(chosen)
        self.bound = np.inf

    def run(self, fixed: int, deadline: float) -> None:
        """Search until the choice is proven or the time is up.

        Parameters
        ----------
        fixed : int
            The first `fixed` of the chosen columns belong to every choice.
        deadline : float
            On the clock of `time.monotonic`.
        """
        inside = self.chosen[:fixed]
        free = np.setdiff1d(np.flatnonzero(self._squares > 0), inside)
        shares = np.full(len(free), (len(self.chosen) - fixed) / max(len(free), 1))
        order = count()
        new = [Node(np.inf, inside, free, np.minimum(shares, 1.0))]
        heap: list[tuple[float, int, Node]] = []
        while True:
            for node in new:
                heapq.heappush(heap, (-node.bound, next(order), node))
            if not heap or -heap[0][0] <= self._enough:
                self.bound = self.value
                break
            self.bound = -heap[0][0]
            if self.bound < np.inf and time.monotonic() > deadline:
                break
            new = self._below(heapq.heappop(heap)[2], deadline)

    @property
    def _enough(self) -> float:
        """A bound up to this leaves nothing to find."""
        return self.value + self._rounding

    def _below(self, node: Node, deadline: float) -> list[Node]:
        """Return the two nodes below one, or none if its best choice is found or is no better."""
        refined = False
        while True:
            left = self._left(node)
            node = node.kept(np.flatnonzero(np.isin(node.free, left.free)), node.inside)
            if left.room <= 2 or len(left.free) <= left.room:
                self._finish(left)
                return []
            if node.diagonal is not None:
                bound, shares = relaxed(
                    left, node.diagonal, node.shares, STEPS, self._enough, self._scale
                )
                node = replace(node, bound=min(node.bound, bound.value), shares=shares)
                self._offer(left, np.argsort(-shares)[: left.room])
                if node.bound <= self._enough:
                    return []
                smaller = self._settled(node, bound)
                if len(smaller.free) < len(node.free):
                    node = smaller
                    continue
            if refined:
                return self._branches(node)
            refined = True
            found = least_bound(left, self._scale, self._enough, deadline)
            if found is None:
                return self._branches(replace(node, bound=min(node.bound, left.everything())))
            bound, diagonal = found
            node = replace(node, bound=min(node.bound, bound.value), diagonal=diagonal)
            if node.bound <= self._enough:
                return []
            node = self._settled(node, bound)

    def _left(self, node: Node) -> Remainder:
        """Project the columns out that are in, and leave out the sums of them."""
        room = len(self.chosen) - len(node.inside)
        left = Remainder.of(self._products, self._cross, node.inside, node.free, room)
        own = np.diag(left.products) > self._spanned * self._squares[node.free]
        return left if own.all() else left.restricted(np.flatnonzero(own))

    def _settled(self, node: Node, bound: Bound) -> Node:
        """Take and leave the free columns for which the bound allows nothing else."""
        out = bound.with_each() <= self._enough
        into = bound.without_each() <= self._enough
        inside = np.concatenate([node.inside, node.free[into]])
        return node.kept(np.flatnonzero(~out & ~into), inside)

    def _branches(self, node: Node) -> list[Node]:
        """Take one column, and leave it."""
        place = int(np.argmax(node.shares))
        others = np.delete(np.arange(len(node.free)), place)
        taken = np.append(node.inside, node.free[place])
        return [node.kept(others, taken), node.kept(others, node.inside)]

    def _finish(self, left: Remainder) -> None:
        """Find the best choice where at most two columns are to come, or all free ones do."""
        if left.room == 0 or len(left.free) <= left.room:
            self._offer(left, np.arange(min(left.room, len(left.free))))
            return
        found = left.singles() if left.room == 1 else np.triu(left.pairs())
        better = np.flatnonzero(found.ravel() > self._enough).tolist()
        for flat in sorted(better, key=lambda flat: -found.flat[flat]):
            if self._offer(left, np.unique(np.unravel_index(flat, found.shape))):
                break

    def _offer(self, left: Remainder, places: Positions) -> bool:
        """Keep the columns inside and some free ones, if they are better than what is known."""
        chosen = np.concatenate([left.inside, left.free[places]])
        value = self._explained(chosen)
        better = value > self._enough and self._allowed(chosen)
        if better:
            self.chosen, self.value = chosen, value
        return better

    def _explained(self, chosen: Positions) -> float:
        if not len(chosen):
            return 0.0
        own = self._products[np.ix_(chosen, chosen)]
        return float(self._cross[chosen] @ np.linalg.lstsq(own, self._cross[chosen], rcond=None)[0])

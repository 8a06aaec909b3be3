"""The normal matrix of nested targets, formed and factored block by block.

Each block of the tree has a front: its own targets, and those of its ancestors that its records or
its children meet. The records of the block fill the front, and the children add what they leave
over. Then the own targets are eliminated, and what is left over of the front goes on to the
parent. This is the multifrontal method (Duff & Reid 1983, ACM Transactions on Mathematical Software
9(3)) with dense fronts. They are symmetric, in Fortran's order, and only their lower triangles are
filled. Routines of BLAS and LAPACK work on them in place, and those of several fronts in several
threads at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch

from l0.calibration.fitting.dissection import Ints
from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.front_columns import FrontColumns
from l0.calibration.fitting.fronts import Front
from l0.calibration.fitting.normal_matrix import Solve
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.calibration.fitting.subtrees import Subtrees
from l0.common.blas_threads import one_thread
from l0.common.ranks import ONE, Ranks
from l0.common.threads import up_the_tree
from l0.common.unlocked_blas import Narrow, spotrf, ssyrk, strsm

#: The fronts are products in float32, whose rounding errors could make them indefinite. The first
#: of these ridges that is enough is taken: if targets depend on others, the smallest may not be.
RIDGES = 1e-6, 1e-5, 1e-4
#: A front of which a smaller share is eliminated goes on to its parent uncopied.
NEARLY_NONE = 0.1
#: With fewer multiplications than this, threads would only wait for each other.
QUICK = 1e9


class NestedNormalMatrix:
    """The normal matrix as a tree of dense blocks, in float32.

    Parameters
    ----------
    matrix : ScaledMatrix, shape (m, k)
        B.
    fronts : sequence of Front
        Of the targets of B, the children before their parents (`Nesting.fronts`).
    ranks : Ranks
        The processes that share the tree. All of them have the same records.
    """

    def __init__(self, matrix: ScaledMatrix, fronts: Sequence[Front], ranks: Ranks = ONE) -> None:
        self._column_factor = matrix.column_factor.astype(np.float32)
        self._fronts = fronts
        self._columns = [FrontColumns.of(front, matrix.row_factor) for front in fronts]
        self._children = [[child for child, _ in front.children] for front in fronts]
        costs = np.array([front.cost for front in fronts])
        self._is_quick = costs.sum() < QUICK
        self._subtrees = Subtrees(ranks, self._children, costs)
        # The number of targets that each top of a subtree leaves over, if it does.
        left_over = {top: len(fronts[top].left_over) for top in self._subtrees.tops}
        self._tops = {top: number for top, number in left_over.items() if number}

    def factor(self, d: Array, e: Array) -> Solve:
        """See `NormalMatrix.factor`. Each rank has a part of the factor, and all solve together."""
        with one_thread:
            factors = self._factors(d, e)

        def solve(right: Array) -> Array:
            with one_thread:
                return self._substitute(factors, right)

        return solve

    def _factors(self, d: Array, e: Array) -> dict[int, Narrow]:
        """Factor the fronts with a ridge that is enough. All ranks fail together."""
        for ridge in RIDGES[:-1]:
            with suppress(np.linalg.LinAlgError):
                return self._eliminate(d, e, ridge)
        return self._eliminate(d, e, RIDGES[-1])

    def _eliminate(self, d: Array, e: Array, ridge: float) -> dict[int, Narrow]:
        """Factor the fronts that this rank works on, the children before their parents.

        Returns
        -------
        dict
            The own columns of the factor of each front.
        """
        roots = self._column_factor * np.sqrt(d.astype(np.float32))
        left: dict[int, Narrow] = {}
        factors: dict[int, Narrow] = {}
        failed: np.linalg.LinAlgError | None = None

        def eliminate(number: int) -> None:
            """Factor a front, and put what it leaves over for its parent into `left`."""
            front = self._fronts[number]
            whole, own = self._columns[number].product(roots), front.own
            for child, places in front.children:
                if child in left:
                    _add(whole, places, left.pop(child))
            diagonal = whole.diagonal()[:own] + e[front.rows[:own]]
            diagonal = np.where(diagonal > 0, diagonal * (1 + ridge), 1.0)
            whole[np.arange(own), np.arange(own)] = diagonal
            triangle, below = whole[:own, :own], whole[own:, :own]
            if spotrf(triangle):
                raise np.linalg.LinAlgError("a front is not positive definite")
            if len(below):
                strsm(triangle, below, transposed=True, from_the_right=True)
                rest = whole[own:, own:]
                # A part keeps the whole front in memory until its parent is factored.
                left[number] = rest if own < NEARLY_NONE * len(whole) else rest.copy(order="F")
                ssyrk(-1.0, below, left[number])
            factors[number] = whole[:, :own].copy(order="F")

        try:
            self._each(self._subtrees.mine, eliminate)
        except np.linalg.LinAlgError as error:
            failed = error
        self._subtrees.exchange(left, {top: (n, n) for top, n in self._tops.items()}, failed)
        self._each(self._subtrees.above, eliminate)
        return factors

    def _each(self, numbers: Sequence[int], eliminate: Callable[[int], None]) -> None:
        n_threads = 1 if self._is_quick else torch.get_num_threads()
        up_the_tree(numbers, self._children, eliminate, n_threads)

    def _substitute(self, factors: dict[int, Narrow], right: Array) -> Array:
        """Solve with the factors: up the tree, and down again."""
        columns = right.astype(np.float32).reshape(len(right), -1)
        width = columns.shape[1]
        solution = np.empty_like(columns)
        parts: dict[int, Narrow] = {}
        left: dict[int, Narrow] = {}

        def up(number: int) -> None:
            front, factor = self._fronts[number], factors[number]
            whole = np.zeros((len(front.rows), width), dtype=np.float32, order="F")
            part = parts[number] = whole[: front.own]
            part[:] = columns[front.rows[: front.own]]
            for child, places in front.children:
                if child in left:
                    whole[places] += left.pop(child)
            strsm(factor[: front.own], part)
            left[number] = whole[front.own :] - factor[front.own :] @ part

        def down(number: int) -> None:
            front, factor = self._fronts[number], factors[number]
            part = parts[number]
            part -= factor[front.own :].T @ solution[front.left_over]
            strsm(factor[: front.own], part, transposed=True)
            solution[front.rows[: front.own]] = part

        mine, above = self._subtrees.mine, self._subtrees.above
        for number in mine:
            up(number)
        self._subtrees.exchange(left, {top: (n, width) for top, n in self._tops.items()})
        for number in above:
            up(number)
        for number in [*reversed(above), *reversed(mine)]:
            down(number)
        owned = self._subtrees.owned
        self._subtrees.exchange(parts, {each: (self._fronts[each].own, width) for each in owned})
        for number in self._subtrees.of_others:
            solution[self._fronts[number].rows[: self._fronts[number].own]] = parts[number]
        return solution.reshape(right.shape).astype(np.float64)


def _add(whole: Narrow, places: slice | Ints, part: Narrow) -> None:
    """Add a block at some rows and columns of a front."""
    if isinstance(places, slice):
        whole[places, places] += part
    else:
        # A column lies in one piece: taking them first is three times as quick as taking cells.
        columns = whole.T[places]
        columns[:, places] += part.T
        whole.T[places] = columns

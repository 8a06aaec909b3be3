"""What adding, dropping or swapping a whole group of columns does to least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions
from l0.linear_model.statistics import Matrix, Statistics
from l0.linear_model.swap import best_of


@dataclass(frozen=True)
class Groups:
    """Columns that are chosen together.

    Attributes
    ----------
    members : list of ndarray of int64
        The columns of each group.
    blocks : list of ndarray of float64, shape (d, d)
        Z'Z + l2 I within each group of d columns.
    """

    members: list[Positions]
    blocks: list[Matrix]

    @classmethod
    def of(cls, members: list[Positions], statistics: Statistics) -> Groups:
        """Compute the blocks of groups with these members."""
        return cls(members, [statistics.block(columns) for columns in members])

    def columns(self, which: Positions) -> Positions:
        """Return the columns of some groups, one group after the other."""
        return np.concatenate([np.empty(0, np.int64), *(self.members[group] for group in which)])

    def restricted(self, which: Positions) -> Groups:
        """Keep some groups, and number their columns anew from 0, in that order."""
        ends = np.cumsum([0, *(len(self.members[group]) for group in which)])
        members = [np.arange(*ends[i : i + 2]) for i in range(len(which))]
        return Groups(members, [self.blocks[group] for group in which])

    def by_size(self) -> list[tuple[Positions, NDArray[np.int64], Matrix]]:
        """Stack the groups of each size d: positions (m,), members (m, d), blocks (m, d, d)."""
        sizes = np.array([len(columns) for columns in self.members])
        found = []
        for size in np.unique(sizes):
            which = np.flatnonzero(sizes == size)
            members = np.array([self.members[group] for group in which])
            found.append((which, members, np.array([self.blocks[group] for group in which])))
        return found


class GroupSwap:
    r"""As `Swap`, for groups of columns.

    A group G that keeps the square :math:`D = A_{GG} - A_{GC} A_{CC}^{-1} A_{CG}` and the products
    :math:`r_G` gains :math:`\operatorname{tr} r_G' D^+ r_G`, which is the formula of `Swap` with a
    matrix in place of d. A swap needs this without each chosen group in turn: the regression is
    then computed anew, once for each chosen group.

    Parameters
    ----------
    statistics : Statistics
    groups : Groups
    chosen : ndarray of int64, shape (k,)
        Positions of groups.
    fixed : int, default 0
        The first `fixed` of the chosen groups are neither dropped nor swapped.

    Attributes
    ----------
    value : float
        What the chosen groups explain.
    slopes : ndarray of float64, shape (columns of the chosen groups, q)
    """

    def __init__(
        self, statistics: Statistics, groups: Groups, chosen: Positions, fixed: int = 0
    ) -> None:
        self.statistics, self.groups = statistics, groups
        self.chosen, self.fixed = chosen, fixed
        self._columns = groups.columns(chosen)
        self._place = np.repeat(
            np.arange(len(chosen)), [len(groups.members[group]) for group in chosen]
        )
        self._rows = statistics.rows(self._columns)
        self._sizes = groups.by_size()
        self.slopes, _, self.value = self._regress(np.arange(len(self._columns)))
        #: The square of each column. What it keeps of it takes a regression for each group.
        self.left = statistics.diagonal

    def adds(self) -> Matrix:
        """The gain of adding each group; -inf for a group that the chosen ones span."""
        everything = np.arange(len(self._columns))
        return self._adds(everything, *self._regress(everything)[:2])

    def drops(self) -> Matrix:
        """The loss of dropping each chosen group; infinite for the fixed ones."""
        lost = np.full(len(self.chosen), np.inf)
        for out in range(self.fixed, len(self.chosen)):
            lost[out] = self.value - self._regress(np.flatnonzero(self._place != out))[2]
        return lost

    def swaps(self) -> Matrix:
        """The gain of swapping each chosen group for each other group, (k, number of groups)."""
        gains = np.full((len(self.chosen), len(self.groups.members)), -np.inf)
        for out in range(self.fixed, len(self.chosen)):
            rest = np.flatnonzero(self._place != out)
            slopes, inverse, value = self._regress(rest)
            gains[out] = self._adds(rest, slopes, inverse) + value - self.value
        gains[:, self.chosen] = -np.inf
        return gains

    def best_swap(self) -> tuple[float, int, int]:
        """The best swap: its gain, the place in `chosen` that it frees, the new group."""
        return best_of(self.swaps())

    def adds_without(self, out: int, slopes: Matrix) -> Matrix:
        """The gain of adding each group to the chosen ones but one, whose slopes are given."""
        rest = np.flatnonzero(self._place != out)
        return self._adds(rest, slopes, self._regress(rest)[1])

    def _regress(self, rest: Positions) -> tuple[Matrix, Matrix, float]:
        """Regress on some chosen columns: the slopes, the inverse of A, and what they explain."""
        own = self._rows[np.ix_(rest, self._columns[rest])]
        inverse = np.asarray(np.linalg.pinv(own, self.statistics.spanned, True), np.float64)
        cross = self.statistics.cross[self._columns[rest]]
        slopes = inverse @ cross
        return slopes, inverse, float(np.sum(slopes * cross))

    def _adds(self, rest: Positions, slopes: Matrix, inverse: Matrix) -> Matrix:
        """The gain of adding each group to some of the chosen columns, given their regression."""
        rows = self._rows[rest]
        paths = inverse @ rows
        residual = self.statistics.cross - rows.T @ slopes
        gains = np.full(len(self.groups.members), -np.inf)
        for which, members, blocks in self._sizes:
            left = blocks - np.einsum("sma,smb->mab", rows[:, members], paths[:, members])
            variances, axes = np.linalg.eigh(left)
            along = np.einsum("mab,maq->mbq", axes, residual[members])
            own = variances > self.statistics.spanned * blocks.max(axis=(1, 2))[:, None]
            shares = np.divide((along**2).sum(2), variances, where=own, out=np.zeros(own.shape))
            gains[which] = shares.sum(1)
        gains[self._spanned(rest, inverse)] = gains[self.chosen] = -np.inf
        return gains

    def _spanned(self, rest: Positions, inverse: Matrix) -> NDArray[np.bool_]:
        """Whether each group is made of sums of the chosen columns; the ridge is not its own."""
        rows, squares = self._rows[rest], self.statistics.squares
        if self.statistics.l2:
            gram = rows[:, self._columns[rest]]
            gram[np.diag_indices(len(gram))] = squares[self._columns[rest]]
            inverse = np.asarray(np.linalg.pinv(gram, self.statistics.spanned, True), np.float64)
        own = squares - np.einsum("ij,ij->j", rows, inverse @ rows)
        some = own > self.statistics.spanned * squares
        return np.array([not some[columns].any() for columns in self.groups.members])

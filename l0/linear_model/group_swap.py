"""Adding, dropping and exchanging whole groups of columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions
from l0.linear_model.statistics import Matrix, Statistics
from l0.linear_model.swap import best_of


@dataclass(frozen=True)
class Groups:
    """Columns that enter together.

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
        """Compute the blocks."""
        return cls(members, [statistics.block(columns) for columns in members])

    def columns(self, which: Positions) -> Positions:
        """All columns of some groups, one group after the other."""
        return np.concatenate([np.empty(0, np.int64), *(self.members[group] for group in which)])

    def restricted(self, which: Positions) -> Groups:
        """Some groups alone, their columns numbered from 0 on in that order."""
        ends = np.cumsum([0, *(len(self.members[group]) for group in which)])
        members = [np.arange(*ends[i : i + 2]) for i in range(len(which))]
        return Groups(members, [self.blocks[group] for group in which])

    def by_size(self) -> list[tuple[Positions, NDArray[np.int64], Matrix]]:
        """Groups of one size at a time: which, their members (m, d) and blocks (m, d, d)."""
        sizes = np.array([len(columns) for columns in self.members])
        found = []
        for size in np.unique(sizes):
            which = np.flatnonzero(sizes == size)
            members = np.array([self.members[group] for group in which])
            found.append((which, members, np.array([self.blocks[group] for group in which])))
        return found


class GroupExchange:
    """As `Exchange`, where the chosen are groups.

    The regression is computed anew without each chosen group: its columns differ in how far the
    others stand in for them, so that there is no formula of rank one.
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

    def adds(self) -> Matrix:
        """What adding each group gains; -inf for one that adds nothing of its own."""
        everything = np.arange(len(self._columns))
        return self._adds(everything, *self._regress(everything)[:2])

    def drops(self) -> Matrix:
        """What dropping each chosen group loses; infinite for those that stay."""
        lost = np.full(len(self.chosen), np.inf)
        for out in range(self.fixed, len(self.chosen)):
            lost[out] = self.value - self._regress(np.flatnonzero(self._place != out))[2]
        return lost

    def swaps(self) -> Matrix:
        """What exchanging each chosen group for each group gains, (k, number of groups)."""
        gains = np.full((len(self.chosen), len(self.groups.members)), -np.inf)
        for out in range(self.fixed, len(self.chosen)):
            rest = np.flatnonzero(self._place != out)
            slopes, inverse, value = self._regress(rest)
            gains[out] = self._adds(rest, slopes, inverse) + value - self.value
        gains[:, self.chosen] = -np.inf
        return gains

    def best_swap(self) -> tuple[float, int, int]:
        """The largest gain of an exchange, the place that is given up and the group that comes."""
        return best_of(self.swaps())

    def _regress(self, rest: Positions) -> tuple[Matrix, Matrix, float]:
        """Slopes on some of the chosen columns, the inverse, and what they explain."""
        own = self._rows[np.ix_(rest, self._columns[rest])]
        inverse = np.asarray(np.linalg.pinv(own, self.statistics.spanned, True), np.float64)
        cross = self.statistics.cross[self._columns[rest]]
        slopes = inverse @ cross
        return slopes, inverse, float(np.sum(slopes * cross))

    def _adds(self, rest: Positions, slopes: Matrix, inverse: Matrix) -> Matrix:
        """What each group gains beside some of the chosen columns, and their regression."""
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
        """Whether each group adds nothing of its own; a ridge is no part of it."""
        rows, squares = self._rows[rest], self.statistics.squares
        if self.statistics.l2:
            gram = rows[:, self._columns[rest]]
            gram[np.diag_indices(len(gram))] = squares[self._columns[rest]]
            inverse = np.asarray(np.linalg.pinv(gram, self.statistics.spanned, True), np.float64)
        own = squares - np.einsum("ij,ij->j", rows, inverse @ rows)
        some = own > self.statistics.spanned * squares
        return np.array([not some[columns].any() for columns in self.groups.members])

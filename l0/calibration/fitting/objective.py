"""The objective of a fit: the weighted mean loss of the scaled errors.

For ratios u = w / w0, the datafit is

    sum_j p_j loss(|e_j| - t_j if |e_j| > t_j else 0),    e_j = (A w)_j / s_j - b_j / s_j,

where p are the shares of the targets in the loss, s their scales, b their values and t their
tolerances. A target with limits has no cost between them either. The tolerance is the zone without
cost of the epsilon-insensitive loss (Vapnik 1995; Smola & Schölkopf 2004, Statistics and Computing
14(3), equation 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.fitting.choice import nesting_of
from l0.calibration.fitting.grouped_operator import GroupedOperator
from l0.calibration.fitting.nesting import Nesting
from l0.calibration.fitting.rows import Rows
from l0.calibration.problem.bounds import Bounds
from l0.calibration.problem.core import Problem
from l0.calibration.problem.losses import Loss
from l0.calibration.problem.representation import SoftTargets
from l0.common.ranks import ONE, Ranks
from l0.common.scaled_entries import ScaledEntries
from l0.sparse_operator import SparseOperator

#: Products are made with the different columns of records if this takes at most this share of the
#: work that the entries take.
GROUPED = 0.7


@dataclass(frozen=True, eq=False, repr=False)
class Objective:
    """The datafit of a problem for a loss, bounds and a device.

    Attributes
    ----------
    problem : Problem
    device : torch.device
        The device of the operators.
    loss : Loss
    bounds : Bounds
        The bounds on the ratios of the chosen records.
    reachable : ndarray of bool, shape (m,)
        The targets that count in the loss.
    distance : str
        The name of the distance to the base weights.
    keep_total : bool
        Whether the weights must add up to `total`.
    exact : bool
        Whether all targets must be met.
    signed : bool
        Whether the linear distance may make weights negative.
    soft : SoftTargets or None
        Totals of the full file that the weights should keep.
    given_total : float or None
        What `total` is, if it is not the sum of all design weights.
    whole : Bounds or None
        The bounds of whole weights, if the weights must be whole numbers.
    ranks : Ranks
        The processes that share the work.
    known : list of Nesting or None
        How the published targets are nested, once this was found. Objectives of the same targets
        of one problem share the list.
    """

    problem: Problem
    device: torch.device
    loss: Loss
    bounds: Bounds
    reachable: NDArray[np.bool_]
    distance: str = "raking"
    keep_total: bool = False
    exact: bool = False
    signed: bool = False
    soft: SoftTargets | None = None
    given_total: float | None = None
    whole: Bounds | None = None
    ranks: Ranks = ONE
    known: list[Nesting | None] = field(default_factory=list)

    @property
    def total(self) -> float:
        """The sum of the weights that `keep_total` keeps."""
        if self.given_total is not None:
            return self.given_total
        return float(self.problem.design_weights.sum())

    def operator_of(
        self,
        records: NDArray[np.int64],
        n_begun: int | None = None,
        blocks: Sequence[slice] | None = None,
    ) -> SparseOperator | GroupedOperator:
        """Make the map from the ratios of records to the estimates, as shares of the scales.

        Selectors search with it. It holds the entries of these records alone, twice.

        Parameters
        ----------
        records : ndarray of int64, shape (k,)
            In ascending order.
        n_begun : int, optional
            The number of records that the search began with; by default k. It decides how products
            are made, so that a search that goes on with fewer records has the same bits.
        blocks : sequence of slice, optional
            The blocks of each rank, of the nesting for the search (`nesting_for`). Then the records
            are those of this rank alone, and the estimates those of all.
        """
        nesting = self.nesting_for(n_begun or len(records))
        if nesting is not None:
            factors = 1 / self.rows.scales, self.problem.design_weights
            return GroupedOperator(nesting, *factors, records, self.device, self.ranks, blocks)
        columns = None if len(records) == self.problem.n_records else records
        return SparseOperator.of(self.scaled, columns, self.device, self.ranks)

    def nesting_for(self, n_records: int) -> Nesting | None:
        """Give the nesting for a search that begins with so many records.

        None if there is none, or if products with all entries take less work.
        """
        nesting = self.nesting
        suits = nesting is not None and self._suits_groups(nesting, n_records)
        return nesting if suits else None

    def _suits_groups(self, nesting: Nesting, n_records: int) -> bool:
        """Tell whether products with the different columns of so many records take less work.

        The copies of the columns stay as many with few records.
        """
        share = n_records / self.problem.n_records
        n_entries = share * sum(part.nnz for part in self.rows.parts)
        n_copies = nesting.copies.nnz
        work = share * (nesting.nnz - n_copies) + 2 * n_copies
        return bool(work <= GROUPED * n_entries)

    @cached_property
    def nesting(self) -> Nesting | None:
        """How the rows are nested; None if there are few entries, or if it does not pay."""
        if self.soft is not None:
            return nesting_of(self.rows.matrix, self.ranks)
        if not self.known:
            self.known.append(nesting_of(self.rows.matrix, self.ranks))
        return self.known[0]

    @cached_property
    def scaled(self) -> ScaledEntries:
        """What each record adds to the rows at the ratio 1, as shares of the scales."""
        rows = self.rows
        return ScaledEntries(rows.parts, 1 / rows.scales, self.problem.design_weights)

    @cached_property
    def rows(self) -> Rows:
        """The published targets and the soft ones."""
        return Rows.of(self.problem, self.importance, self.soft)

    @cached_property
    def importance(self) -> NDArray[np.float64]:
        """The shares p of the targets in the loss, shape (m,); 0 for unreachable targets."""
        counted = np.where(self.reachable, self.problem.importance, 0.0)
        return np.asarray(counted / counted.sum())

    def tensor(self, array: NDArray[np.float64]) -> Tensor:
        """Move an array to the device as float32."""
        return torch.as_tensor(array, dtype=torch.float32).to(self.device)

    @cached_property
    def easing(self) -> NDArray[np.float64]:
        """The factors of the errors in a search for records, shape (m,); below 1 if amounts cancel.

        The net total of a million in gains and a million in losses may have a scale of a thousand.
        A small step of all weights then changes the error by many times its scale, and a gradient
        method would follow this target alone. Its error therefore counts as a share of the amounts
        that cancel, if they exceed the scale. The final fit does without this.
        """
        problem = self.problem
        net = np.abs(problem.design_totals)
        return problem.scales / np.maximum(problem.scales, problem.absolute_totals - net)

    def datafit(self, estimates: Tensor) -> Tensor:
        """Compute the weighted mean loss of scaled estimates, shape (r,), for a gradient method."""
        error = estimates - self._goal
        beyond = error - error.clamp(*self._free)
        return self._shares @ self.loss(self._easing * beyond)

    @cached_property
    def _goal(self) -> Tensor:
        return self.tensor(self.rows.goals / self.rows.scales)

    @cached_property
    def _free(self) -> tuple[Tensor, Tensor]:
        return self.tensor(-self.rows.free_below), self.tensor(self.rows.free_above)

    @cached_property
    def _easing(self) -> Tensor:
        eased = np.ones(len(self.rows.shares))
        eased[: len(self.easing)] = self.easing
        return self.tensor(eased)

    @cached_property
    def _shares(self) -> Tensor:
        return self.tensor(self.rows.shares)

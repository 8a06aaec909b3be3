"""Few rows that stand for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.calibration.selection import Hybrid
from l0.calibration.selection.balanced import Balanced
from l0.common.errors import InputError, closest, first_few
from l0.data.arrays import Columns, as_columns, as_vector, positions, scale, shape, take_rows
from l0.gates.base import MOST_OPEN, SURE, L0Gate, share_of
from l0.gates.representation import moments_problem, totals_problem

#: Share of the rows that are drawn, the others being those that the totals need most. Measured on
#: made-up and survey data: as exact as 0.8, the default for published totals, with evener weights.
DRAWN = 0.9
#: Where a gate among those taken is closed, its item keeps this share of its weight.
LEAST_RATIO = 1e-6


class SampleGate(L0Gate):
    """Choose rows of data, and weights for them, that stand for all rows.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    target_samples : int
        How many to keep, exactly; from 1 to `n_samples`.
    temperature : float, default 0.25
        See `HardConcrete`.

    Attributes
    ----------
    n_samples, target_samples : int
    ratios : ndarray of float64, shape (n_samples,)
        Weight ratios w / w0 of the last `fit`, 0 for rows not chosen. No state dict holds them:
        whoever loads trained logits gets weights from the gates (`select_weighted_samples`).

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from l0 import SampleGate
    >>> data = np.random.default_rng(0).lognormal(size=(1000, 3))
    >>> gate = SampleGate(n_samples=1000, target_samples=100)
    >>> selected, weights, rows = gate.select_weighted_samples(data, np.ones(1000))
    >>> selected.shape
    (100, 3)
    >>> bool(np.allclose(weights @ selected, data.sum(axis=0), rtol=1e-3))
    True
    """

    def __init__(self, n_samples: int, target_samples: int, temperature: float = 0.25) -> None:
        share = share_of(target_samples, n_samples, "target_samples", "n_samples")
        super().__init__(n_samples, temperature, min(share, MOST_OPEN))
        self.n_samples = n_samples
        self.target_samples = target_samples
        self.ratios = np.zeros(n_samples)

    def fit(
        self,
        data: Any,
        weights: Any = None,
        targets: Any = None,
        *,
        even: bool = False,
        seed: int = 0,
    ) -> SampleGate:
        """Learn which `target_samples` rows to keep, and the weights to give them.

        The rows are drawn so that they spread over all kinds of row, those of much weight the
        more likely. Then, by default, some are exchanged for the ones that the totals need most
        (`Hybrid`); they can have small weights, and the file is only right with its weights. With
        `even` rows are exchanged for similar ones so that the totals come close without weights
        (`Balanced`). That keeps less of the tails, but the rows alone stand for the whole.

        Parameters
        ----------
        data : Tensor, array or frame of `n_samples` rows
            A column of text or categories in a frame becomes an indicator for each level, at most
            50; axes after the first of an array are flattened.
        weights : vector of length `n_samples`, optional
            Positive design weights; ones by default.
        targets : vector, or mapping of column name to total, optional
            Weighted column totals to hit, in the columns' units: one for each column, or for a
            frame those of some columns (``column=level`` for one of text). By default the rows'
            own weighted totals and the sum of their weights, and so far as `target_samples`
            allows also squares, shares of rows below some quantiles, and products of columns:
            the file keeps more than its totals.
        even : bool, default False
            Whether the rows have to do without weights, or with nearly even ones.
        seed : int, default 0
            Source of all random choices.

        Returns
        -------
        SampleGate
            This gate. Chosen rows have a gate of 1 in evaluation mode, the others of 0.

        Raises
        ------
        InputError
            Where shapes do not fit, numbers are not finite, weights are not positive, a column
            can be no number, or a target cannot be told or reached.
        """
        _check_length(data, self.n_samples, "n_samples")
        columns = as_columns(data, "data")
        if weights is None:
            design = np.ones(self.n_samples)
        else:
            design = as_vector(weights, self.n_samples, "weights")
        if targets is None:
            problem = moments_problem(columns.values, design, self.target_samples)
        else:
            totals, wanted = _read_targets(targets, columns)
            problem = totals_problem(columns.values, totals, wanted, design)
        result = problem.solve(
            n_records=self.target_samples,
            method=Balanced() if even else Hybrid(share=DRAWN),
            seed=seed,
            device=self.gates.qz_logits.device,
        )
        chosen = result.indices
        probabilities = np.full(self.n_samples, 1 - SURE)
        probabilities[chosen] = SURE
        self._set_open_probabilities(probabilities, chosen)
        self.ratios = np.zeros(self.n_samples)
        self.ratios[chosen] = result.values / design[chosen]
        return self

    def select_samples(self, data: Any) -> tuple[Any, Any]:
        """Take the chosen rows, after ``fit(data, even=True)`` where nobody trained the gate.

        Parameters
        ----------
        data : Tensor, array or frame of `n_samples` rows

        Returns
        -------
        selected : of the kind of `data`
            `target_samples` rows, in their order.
        indices : Tensor of int64, or ndarray of int64 unless `data` is a tensor
            Their positions, ascending.

        Raises
        ------
        InputError
            As in `fit`.
        """
        _check_length(data, self.n_samples, "n_samples")
        if not self.trained:
            self.fit(data, even=True)
        indices = self._top(self.target_samples)
        return take_rows(data, indices), positions(indices, data)

    def select_weighted_samples(self, data: Any, weights: Any) -> tuple[Any, Any, Any]:
        """Take the chosen rows with their weights, after `fit` where nobody trained the gate.

        Parameters
        ----------
        data : Tensor, array or frame of `n_samples` rows
        weights : vector of length `n_samples`
            Positive design weights.

        Returns
        -------
        selected : of the kind of `data`
            `target_samples` rows, in their order.
        weights : of the kind of `weights`
            The design weights times the fitted ratios. For rows that no `fit` of this gate chose,
            because the logits were trained or loaded, times the median gates; where such a gate
            is closed, times 1e-6, so that all weights are positive.
        indices : Tensor of int64, or ndarray of int64 unless `data` is a tensor
            Positions of the rows, ascending.

        Raises
        ------
        InputError
            As in `fit`.
        """
        _check_length(data, self.n_samples, "n_samples")
        design = as_vector(weights, self.n_samples, "weights")
        bad = np.flatnonzero(design <= 0)
        if bad.size:
            raise InputError(
                f"`weights` is not positive at {first_few(bad.tolist())}; leave those rows out"
            )
        if not self.trained:
            self.fit(data, weights)
        indices = self._top(self.target_samples)
        factors = self._factors(indices)
        return (
            take_rows(data, indices),
            scale(take_rows(weights, indices), factors),
            positions(indices, data),
        )

    def _factors(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        if np.array_equal(np.flatnonzero(self.ratios), indices):
            return self.ratios[indices]
        gates = self.gates.gates_at(0.0).detach().cpu().double().numpy()
        factors: NDArray[np.float64] = np.maximum(gates[indices], LEAST_RATIO)
        return factors


def _check_length(data: Any, length: int, name: str) -> None:
    found = shape(data)
    if not found or found[0] != length:
        raise InputError(
            f"`data` has shape {found}; it needs {length:,} rows, the `{name}` of this gate"
        )


def _read_targets(targets: Any, columns: Columns) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Take totals, and the column of each."""
    if not isinstance(targets, Mapping):
        p = len(columns.names)
        if shape(targets) != (p,):
            raise InputError(
                f"`targets` has shape {shape(targets)}; pass one total for each of the {p:,} "
                f"columns ({first_few(columns.names)}), or a mapping of names to totals"
            )
        return as_vector(targets, p, "targets"), np.arange(p)
    unknown = [name for name in targets if name not in columns.names]
    if unknown:
        raise InputError(
            f"`targets` names {first_few(unknown)}, which `data` lacks; "
            f"{closest(unknown[0], columns.names)}"
        )
    if not targets:
        raise InputError("`targets` is empty; pass at least one total, or None")
    place = {name: position for position, name in enumerate(columns.names)}
    totals = as_vector(list(targets.values()), len(targets), "targets")
    return totals, np.array([place[name] for name in targets])

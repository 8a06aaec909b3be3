"""Choose few rows that stand for all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.selection import Hybrid
from l0.calibration.selection.balanced import Balanced
from l0.common.errors import InputError, closest, first_few
from l0.common.formatting import counted
from l0.common.validation import flag
from l0.data.arrays import Columns, as_columns, as_vector, positions, scale, shape, take_rows
from l0.gates.base import MOST_OPEN, SURE, L0Gate, share_of
from l0.gates.representation import moments_problem, totals_problem

#: The share of the rows that are drawn; the others are the rows that the totals need most. Measured
#: on generated data and on a survey: the totals are as exact as with 0.8, the default of
#: `calibrate`, and the weights are more even.
DRAWN = 0.9
#: A row that is taken although its gate is closed keeps this share of its weight.
LEAST_RATIO = 1e-6


class SampleGate(L0Gate):
    """Choose rows of data, and weights for them, that stand for all rows.

    Parameters
    ----------
    n_samples : int
        Number of rows of the data.
    target_samples : int
        How many to keep, exactly; from 1 to `n_samples`.
    temperature : float, default 0.25
        See `HardConcrete`.

    Attributes
    ----------
    n_samples, target_samples : int
        As given.
    ratios : ndarray of float64, shape (n_samples,)
        The ratios w / w0 of the weights of the last `fit`; 0 for rows that are not chosen. They are
        not part of the state dict: after it is loaded, weights come from the gates (see
        `select_weighted_samples`).

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

        Most rows are drawn, with probabilities proportional to their weights, and spread over all
        kinds of rows. The others are the rows that the totals need most (`Hybrid`). These can have
        small weights: the sample represents the data only together with its weights. With `even`,
        rows are drawn and then swapped for similar rows until the totals come close without weights
        (`Balanced`). Such a sample keeps less of the tails, but represents the data by itself.

        Parameters
        ----------
        data : Tensor, array or frame of `n_samples` rows
            In a frame, a column of text or categories becomes one indicator for each of its levels,
            at most 50. In an array, the axes after the first are flattened.
        weights : vector of length `n_samples`, optional
            Positive design weights; ones by default.
        targets : vector, or mapping of column name to total, optional
            Weighted totals to hit, in the units of the columns: one for each column; or, for a
            frame, a mapping with some of its columns (``column=level`` for a level of text). By
            default these are the weighted totals of the rows and the sum of their weights. If
            `target_samples` is large enough, there are also squares, shares of rows up to some
            quantiles, and products of columns.
        even : bool, default False
            Whether the sample must represent the data without weights, or with nearly even ones.
        seed : int, default 0
            Seed of all random choices.

        Returns
        -------
        SampleGate
            This gate. In evaluation mode, the gate of a chosen row is 1, and that of another is 0.

        Raises
        ------
        InputError
            If shapes do not match, if numbers are not finite, if a weight is not positive, if a
            column cannot become numbers, or if a target is unknown or cannot be reached.
        """
        method = Balanced() if flag(even, "even") else Hybrid(share=DRAWN)
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
            method=method,
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
        """Return the chosen rows; a gate that is not trained first does ``fit(data, even=True)``.

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
        """Return the chosen rows with weights; a gate that is not trained first learns by `fit`.

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
            The design weights times the fitted ratios. If these rows are not those of the last
            `fit`, because the logits were trained or loaded since, the design weights times the
            median gates, or times 1e-6 where such a gate is closed, so that all weights are
            positive.
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
                f"`weights` is not positive at {first_few(bad.tolist())}; leave these rows out"
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
    if sp.issparse(data):
        raise InputError("`data` is a sparse matrix; pass `data.toarray()`")
    found = shape(data)
    if not found or found[0] != length:
        raise InputError(
            f"`data` has shape {found}; it needs {counted(length, 'row')}, the `{name}` of this "
            "gate"
        )


def _read_targets(targets: Any, columns: Columns) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the totals, and the position of the column of each."""
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
            f"`targets` names {first_few(unknown)}, which `data` does not have; "
            f"{closest(unknown[0], columns.names)}"
        )
    if not targets:
        raise InputError("`targets` is empty; pass at least one total, or None")
    place = {name: position for position, name in enumerate(columns.names)}
    totals = as_vector(list(targets.values()), len(targets), "targets")
    return totals, np.array([place[name] for name in targets])

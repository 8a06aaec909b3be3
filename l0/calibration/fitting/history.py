"""The history of a run: snapshots of the fits, each passed on to a listener."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.problem.core import Problem
from l0.calibration.problem.losses import score
from l0.calibration.progress import Listener, Progress


def due(epoch: int, epochs: int, times: int) -> int:
    """Tell whether a snapshot is due after an epoch: about `times` in a fit, and one at its end.

    Returns
    -------
    int
        The epochs since the last snapshot if one is due, else 0.
    """
    every = max(1, math.ceil(epochs / times))
    at_an_end = (epoch + 1) % every == 0 or epoch + 1 == epochs
    return epoch % every + 1 if at_an_end else 0


@dataclass(frozen=True, eq=False)
class HistoryPart:
    """A part of a history.

    Attributes
    ----------
    states : list of dict
        The `Progress` of each snapshot.
    estimates : ndarray of float64, shape (s, m)
    seconds : float
        The seconds since the history began.
    """

    states: list[dict[str, Any]]
    estimates: NDArray[np.float64]
    seconds: float


class History:
    """Take snapshots of the fits, and pass each on to a listener.

    Parameters
    ----------
    problem : Problem
    listener : callable, optional
        It is called with the `Progress` of each snapshot.
    """

    def __init__(self, problem: Problem, listener: Listener | None = None) -> None:
        self._problem = problem
        self._scales = problem.scales
        self._limits = problem.low / self._scales, problem.high / self._scales
        self._listener = listener
        self._started = time.perf_counter()
        self._states: list[Progress] = []
        self._estimates: list[NDArray[np.float64]] = []

    @property
    def seconds(self) -> float:
        """The seconds since the history began."""
        return time.perf_counter() - self._started

    def __len__(self) -> int:
        """Count the snapshots."""
        return len(self._states)

    def since(self, start: int) -> HistoryPart:
        """Give the snapshots from position `start` on."""
        estimates = np.array(self._estimates[start:]).reshape(-1, self._problem.n_targets)
        return HistoryPart(list(map(asdict, self._states[start:])), estimates, self.seconds)

    def continue_from(self, start: int, part: HistoryPart) -> None:
        """Put other snapshots in the place of those from `start` on, and the clock to their end."""
        self._states[start:] = [Progress(**state) for state in part.states]
        self._estimates[start:] = list(part.estimates)
        self._started = time.perf_counter() - part.seconds
        if part.states and self._listener is not None:
            self._listener(self._states[-1])

    def snapshot(
        self,
        stage: str,
        iterations: int,
        n_records: int,
        estimates: NDArray[np.floating],
        gap: float | None = None,
    ) -> None:
        """Take a snapshot.

        Parameters
        ----------
        stage : str
        iterations : int
            The iterations or epochs since the last snapshot.
        n_records : int
        estimates : ndarray, shape (m,) or longer
            The estimates, as shares of the targets' scales. Those of soft targets may follow, and
            are left out.
        gap : float, optional
            The relative duality gap so far.
        """
        estimates = estimates[: self._problem.n_targets]
        state = Progress(
            stage=stage,
            iteration=iterations + (self._states[-1].iteration if self._states else 0),
            n_records=n_records,
            loss=score(estimates - np.clip(estimates, *self._limits), self._problem.importance),
            gap=gap if gap is not None and math.isfinite(gap) else None,
            seconds=self.seconds,
        )
        self._states.append(state)
        self._estimates.append(estimates.astype(np.float64))
        if self._listener is not None:
            self._listener(state)

    def table(self) -> pa.Table:
        """Make a table of the snapshots, with the fields of `Progress` as columns."""
        return pa.Table.from_pylist([asdict(state) for state in self._states])

    def log(self) -> pa.Table:
        """Make a table with a row for each target and snapshot.

        Its columns have the names that dashboards of calibration logs expect. The estimate of a
        mean, a ratio or a share is the one of a denominator of its stated size (see `Kinds`): a fit
        follows the rows N - v D, and not the denominators. `target` is null for limits.
        """
        problem, times = self._problem, len(self._states)
        estimate = np.concatenate(self._estimates) * np.tile(self._scales, times)
        target = np.tile(problem.values, times)
        error = estimate - target
        if problem.kinds is not None:
            kinds, totals = problem.kinds, np.split(estimate, times)
            own = [kinds.in_own_terms(of_snapshot, kinds.sizes) for of_snapshot in totals]
            estimate = np.concatenate(own)
            error = np.concatenate([problem.errors(of_snapshot) for of_snapshot in own])
        rel_error = error / np.tile(problem.own_scales, times)
        per_target = len(problem.values)
        return pa.table(
            {
                "target_name": pa.array(list(problem.names) * times),
                "estimate": estimate,
                "target": pa.array(target, from_pandas=True),  # NaN becomes null
                "epoch": np.repeat([state.iteration for state in self._states], per_target),
                "error": error,
                "rel_error": rel_error,
                "abs_error": np.abs(error),
                "rel_abs_error": np.abs(rel_error),
                "loss": np.repeat([state.loss for state in self._states], per_target),
            }
        )

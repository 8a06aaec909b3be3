"""`calibrate`: the whole job on frames or files, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from l0.calibration.fitting.history import Progress
from l0.calibration.problem.core import CalibrationProblem
from l0.calibration.results.provenance import describe_source
from l0.calibration.results.result import CalibrationResult
from l0.calibration.selection import Selector


def calibrate(
    records: Any,
    targets: Any,
    *,
    n_records: int | None = None,
    key: str | None = None,
    weight: str | None = None,
    members: Mapping[str, Any] | None = None,
    method: str | Selector = "hybrid",
    loss: str = "capped",
    bounds: tuple[float | None, float | None] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    epochs: int | None = None,
    progress: bool | Callable[[Progress], None] | None = None,
) -> CalibrationResult:
    """Choose exactly `n_records` records with positive weights that hit the targets.

    Parameters
    ----------
    records : frame or path
        The survey file: pandas, polars, pyarrow, or the path of a ``.parquet`` or ``.csv`` file.
    targets : frame or path
        The tidy table of published totals, one a row (`CalibrationProblem.from_frames`).
    n_records : int, optional
        How many records to keep. None keeps and calibrates all of them.
    key : str, optional
        Column that identifies a record. Without it records are known by row number.
    weight : str, optional
        Column of design weights, all positive. Without it all records weigh the same.
    members : dict of str to frame or path, optional
        Tables of units inside a record, by the name that targets use as their `entity`.
    method : str or Selector, default "hybrid"
        ``"hybrid"`` hits the targets and represents the rest; ``"path"`` and
        ``"hard_concrete"`` fit the targets alone; ``"random"`` and ``"pps"`` are probability
        samples, for comparison. A selector object brings settings of its own.
    loss : {"capped", "relative"}
        Weighted mean over the targets of the absolute relative error, robust to targets out of
        reach, or of its square.
    bounds : (low, high), optional
        Limits of w / w0, the final weight over the design weight; None on a side is no limit.
        To keep k of n records, w / w0 has to be about n / k.
    seed : int, default 0
        Source of every random choice. The global generators are left alone.
    device : str or torch.device, optional
        By default CUDA where there is one, else the CPU.
    epochs : int, optional
        Epochs of each fit, by default 400; selectors spend in proportion.
    progress : bool or callable, optional
        True draws a live line; a callable gets the `Progress` at intervals.

    Returns
    -------
    CalibrationResult

    Raises
    ------
    InputError
        For bad input: names the argument, up to five offending rows or names, and the remedy.
    FileNotFoundError
        Where a path does not exist.

    Examples
    --------
    >>> import l0
    >>> tax_units, persons, targets = l0.datasets.load_cps()
    >>> result = l0.calibrate(
    ...     tax_units, targets, n_records=5545,
    ...     key="tax_unit_id", weight="weight", members={"person": persons},
    ... )
    >>> result.metrics["n_records"]
    5545
    """
    problem = CalibrationProblem.from_frames(
        records, targets, key=key, weight=weight, members=members
    )
    inputs = {
        "records": describe_source(records),
        "targets": describe_source(targets),
        "members": {name: describe_source(member) for name, member in (members or {}).items()},
    }
    result = problem.solve(
        n_records, method, loss=loss, bounds=bounds, seed=seed, device=device, epochs=epochs,
        progress=progress,
    )  # fmt: skip
    result.run["columns"] = {"key": key, "weight": weight}
    result.run["inputs"] = inputs
    return result

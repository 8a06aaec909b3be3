"""`calibrate`: the whole job on frames or files, in one call."""

from __future__ import annotations

import os
from typing import Any, Unpack, overload

from l0.calibration.api import CalibrationProblem
from l0.calibration.options import SurveyOptions, split, takes
from l0.calibration.results.result import CalibrationResult
from l0.calibration.selection import Selector
from l0.data.tables import FrameT, Kind


@overload
def calibrate(
    records: str | os.PathLike[str],
    targets: Any,
    *,
    n_records: int | None = None,
    kind: Kind | None = None,
    method: str | Selector = "hybrid",
    **options: Unpack[SurveyOptions],
) -> CalibrationResult[Any]: ...
@overload
def calibrate(
    records: FrameT,
    targets: Any,
    *,
    n_records: int | None = None,
    kind: None = None,
    method: str | Selector = "hybrid",
    **options: Unpack[SurveyOptions],
) -> CalibrationResult[FrameT]: ...
@overload
def calibrate(
    records: Any,
    targets: Any,
    *,
    n_records: int | None = None,
    kind: Kind,
    method: str | Selector = "hybrid",
    **options: Unpack[SurveyOptions],
) -> CalibrationResult[Any]: ...
@takes(SurveyOptions)
def calibrate(
    records: Any,
    targets: Any,
    *,
    n_records: int | None = None,
    kind: Kind | None = None,
    method: str | Selector = "hybrid",
    **options: Unpack[SurveyOptions],
) -> CalibrationResult[Any]:
    """Choose exactly `n_records` records with positive weights that hit the targets.

    Parameters
    ----------
    records : frame or path
        The survey file: pandas, polars, pyarrow, or the path of a ``.parquet`` or ``.csv`` file.
    targets : frame or path
        The tidy table of published totals, one a row (`CalibrationProblem.from_frames`).
    n_records : int, optional
        How many records to keep. None keeps and calibrates all of them.
    kind : {"pyarrow", "pandas", "polars"}, optional
        Kind of the result's frames. By default it is the kind of `records`; for a path it is
        pyarrow.
    method : str or Selector, default "hybrid"
        ``"hybrid"`` hits the targets and represents the rest; ``"path"`` and
        ``"hard_concrete"`` fit the targets alone; ``"random"`` and ``"pps"`` are probability
        samples, for comparison. A selector object (`l0.calibration.Hybrid`, ...) brings settings
        of its own.
    **options

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
    ...     key="tax_unit_id", weight="weight", members={"person": persons}, epochs=20,
    ... )  # of 400, which take some seconds
    >>> result.metrics["n_records"]
    5545
    """
    tables, solving = split(options)
    problem = CalibrationProblem.from_frames(records, targets, kind=kind, **tables)
    return problem.solve(n_records, method, **solving)

"""`calibrate`: calibrate a survey file to published totals, in one call."""

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
    """Choose exactly `n_records` records, and give them positive weights that hit the targets.

    Parameters
    ----------
    records : frame or path
        The survey file: pandas, polars, pyarrow, or the path of a file, such as ``.parquet``,
        ``.csv``, ``.dta``, ``.sav`` or ``book.xlsx#Sheet``.
    targets : frame or path
        The published totals, one in each row (see :meth:`l0.CalibrationProblem.from_frames`).
    n_records : int, optional
        The number of records to keep. None keeps and calibrates all records.
    kind : {"pyarrow", "pandas", "polars"}, optional
        The kind of the frames in the result. The default is the kind of `records`, and pyarrow for
        a path.
    method : str or Selector, default "hybrid"
        How to choose the records. ``"hybrid"`` hits the targets and represents the rest.
        ``"path"`` and ``"hard_concrete"`` select for the fit alone. ``"random"``, ``"pps"`` and
        ``"cube"`` are probability samples, for comparison. Pass a selector object to change
        settings, for example ``l0.calibration.Hybrid(share=0.5)``.
    **options

    Returns
    -------
    CalibrationResult

    Raises
    ------
    InputError
        If the input is wrong. The message names the argument, up to five offending rows or names,
        and the remedy.
    FileNotFoundError
        If there is no file at a path.

    Examples
    --------
    Choose 100 of 300 homes. They must add up to the published numbers of homes and to the
    published income:

    >>> import numpy as np
    >>> import pyarrow as pa
    >>> import l0
    >>> generator = np.random.default_rng(0)
    >>> homes = pa.table(
    ...     {
    ...         "id": np.arange(300),
    ...         "wgt": np.full(300, 10.0),
    ...         "area": ["North", "South", "South"] * 100,
    ...         "income": generator.lognormal(10, 1, 300),
    ...     }
    ... )
    >>> targets = pa.table(
    ...     {
    ...         "variable": ["count", "count", "income"],
    ...         "area": ["North", "South", None],
    ...         "value": [1_100, 1_900, 110e6],
    ...     }
    ... )
    >>> result = l0.calibrate(
    ...     homes, targets, n_records=100, key="id", weight="wgt", epochs=200
    ... )
    >>> bool(result.metrics["loss"] < 0.001)
    True

    The new weights of the chosen homes are in the column of the design weights:

    >>> chosen = result.select(homes)
    >>> chosen.num_rows, chosen.column_names
    (100, ['id', 'wgt', 'area', 'income'])
    """
    tables, solving = split(options)
    problem = CalibrationProblem.from_frames(records, targets, kind=kind, **tables)
    return problem.solve(n_records, method, **solving)

"""`frontier`: what each of several budgets costs, from frames or files, in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Unpack, overload

from l0.calibration.api import CalibrationProblem
from l0.calibration.options import SurveyOptions, split, takes
from l0.calibration.results.frontier import Frontier
from l0.data.tables import FrameT, Kind


@overload
def frontier(
    records: str | os.PathLike[str],
    targets: Any,
    *,
    n_records: Sequence[int],
    kind: Kind | None = None,
    **options: Unpack[SurveyOptions],
) -> Frontier[Any]: ...
@overload
def frontier(
    records: FrameT,
    targets: Any,
    *,
    n_records: Sequence[int],
    kind: None = None,
    **options: Unpack[SurveyOptions],
) -> Frontier[FrameT]: ...
@overload
def frontier(
    records: Any,
    targets: Any,
    *,
    n_records: Sequence[int],
    kind: Kind,
    **options: Unpack[SurveyOptions],
) -> Frontier[Any]: ...
@takes(SurveyOptions)
def frontier(
    records: Any,
    targets: Any,
    *,
    n_records: Sequence[int],
    kind: Kind | None = None,
    **options: Unpack[SurveyOptions],
) -> Frontier[Any]:
    """Trace loss, untargeted error and effective sample size over budgets, in one pass of the path.

    The path comes down through all budgets once; the records left at each are refitted.

    Parameters
    ----------
    records, targets, kind
        As in `calibrate`.
    n_records : sequence of int
        Budgets, in any order.
    **options

    Returns
    -------
    Frontier

    Raises
    ------
    InputError
        As `calibrate`, and for an empty list of budgets.

    Examples
    --------
    >>> import l0
    >>> tax_units, persons, targets = l0.datasets.load_cps()
    >>> frontier = l0.frontier(
    ...     tax_units, targets, n_records=[2000, 8000],
    ...     key="tax_unit_id", weight="weight", members={"person": persons}, epochs=20,
    ... )  # of 400, which take some seconds
    >>> frontier
    <Frontier of 8,000, 2,000 records>
    """
    tables, solving = split(options)
    problem = CalibrationProblem.from_frames(records, targets, kind=kind, **tables)
    return problem.frontier(n_records, **solving)

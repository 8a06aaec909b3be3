"""`frontier`: the metrics of several budgets for one survey file, in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Unpack, overload

from l0.calibration.api import CalibrationProblem
from l0.calibration.options import NOT_OF_A_FRONTIER, SurveyOptions, split, takes
from l0.calibration.results.frontier import Frontier
from l0.calibration.selection import Selector
from l0.data.tables import FrameT, Kind


@overload
def frontier(
    records: str | os.PathLike[str],
    targets: Any,
    *,
    n_records: Sequence[int],
    kind: Kind | None = None,
    method: str | Selector = "hybrid",
    **options: Unpack[SurveyOptions],
) -> Frontier[Any]: ...
@overload
def frontier(
    records: FrameT,
    targets: Any,
    *,
    n_records: Sequence[int],
    kind: None = None,
    method: str | Selector = "hybrid",
    **options: Unpack[SurveyOptions],
) -> Frontier[FrameT]: ...
@overload
def frontier(
    records: Any,
    targets: Any,
    *,
    n_records: Sequence[int],
    kind: Kind,
    method: str | Selector = "hybrid",
    **options: Unpack[SurveyOptions],
) -> Frontier[Any]: ...
@takes(SurveyOptions, but=NOT_OF_A_FRONTIER)
def frontier(
    records: Any,
    targets: Any,
    *,
    n_records: Sequence[int],
    kind: Kind | None = None,
    method: str | Selector = "hybrid",
    **options: Unpack[SurveyOptions],
) -> Frontier[Any]:
    """Compute the loss, the untargeted error and the effective sample size of several budgets.

    The survey is read once, and its full file is calibrated once. A row has the metrics that
    :func:`l0.calibrate` gives for its budget, with the same method, options and seed.
    :meth:`Frontier.smallest` looks for the smallest budget whose errors are within limits.

    Parameters
    ----------
    records, targets, kind
        As in :func:`l0.calibrate`.
    n_records : sequence of int
        The budgets, in any order.
    method : str or Selector, default "hybrid"
        As in `calibrate`. ``"path"`` passes all budgets in one run, from the largest to the
        smallest, and fits the weights at each. The soft targets of the smallest budget hold for
        all, so that a row may differ from `calibrate`.
    **options

    Returns
    -------
    Frontier

    Raises
    ------
    InputError
        As in `calibrate`, if the list of budgets is empty, and if an option of `calibrate` is given
        that is not listed here.
    FileNotFoundError
        If there is no file at a path.

    Examples
    --------
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
    >>> frontier = l0.frontier(
    ...     homes, targets, n_records=[50, 100], key="id", weight="wgt", epochs=100
    ... )
    >>> frontier
    <Frontier of 100, 50 records>
    """
    tables, solving = split(options)
    problem = CalibrationProblem.from_frames(records, targets, kind=kind, **tables)
    return problem.frontier(n_records, method, **solving)

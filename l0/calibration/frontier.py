"""`frontier`: what each of several budgets costs, from frames or files, in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Unpack, overload

from l0.calibration.api import CalibrationProblem
from l0.calibration.options import Options, takes_options
from l0.calibration.results.frontier import Frontier
from l0.data.tables import FrameT, Kind


@overload
def frontier(
    records: str | os.PathLike[str],
    targets: Any,
    *,
    n_records: Sequence[int],
    key: str | None = None,
    weight: str | None = None,
    members: Mapping[str, Any] | None = None,
    kind: Kind | None = None,
    **options: Unpack[Options],
) -> Frontier[Any]: ...
@overload
def frontier(
    records: FrameT,
    targets: Any,
    *,
    n_records: Sequence[int],
    key: str | None = None,
    weight: str | None = None,
    members: Mapping[str, Any] | None = None,
    kind: None = None,
    **options: Unpack[Options],
) -> Frontier[FrameT]: ...
@overload
def frontier(
    records: Any,
    targets: Any,
    *,
    n_records: Sequence[int],
    key: str | None = None,
    weight: str | None = None,
    members: Mapping[str, Any] | None = None,
    kind: Kind,
    **options: Unpack[Options],
) -> Frontier[Any]: ...
@takes_options
def frontier(
    records: Any,
    targets: Any,
    *,
    n_records: Sequence[int],
    key: str | None = None,
    weight: str | None = None,
    members: Mapping[str, Any] | None = None,
    kind: Kind | None = None,
    **options: Unpack[Options],
) -> Frontier[Any]:
    """Trace loss, untargeted error and effective sample size over budgets, in one pass of the path.

    The path comes down through all budgets once; the records left at each are refitted.

    Parameters
    ----------
    records, targets, key, weight, members, kind
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
    problem = CalibrationProblem.from_frames(
        records,
        targets,
        key=key,
        weight=weight,
        members=members,
        kind=kind,
    )
    return problem.frontier(n_records, **options)

"""`check`: what can be said about a survey and its targets before a fit. It needs no torch."""

from __future__ import annotations

import os
from typing import Any, Unpack, overload

from l0.calibration.diagnosis.budget import excluded_records, out_of_joint_reach
from l0.calibration.diagnosis.columns import left_out, repeated, useless_columns
from l0.calibration.diagnosis.contradictions import contradictions
from l0.calibration.diagnosis.discrepancies import discrepancies
from l0.calibration.diagnosis.groups import group_table
from l0.calibration.diagnosis.report import CheckReport, findings_table
from l0.calibration.diagnosis.support import few_records, out_of_reach, without_records
from l0.calibration.findings import Finding
from l0.calibration.options import TableOptions, takes
from l0.calibration.preconditions import check_n_records, check_reachable, check_scale
from l0.calibration.problem.core import Problem
from l0.calibration.problem.limits import read_bounds
from l0.calibration.reading import read_tables
from l0.calibration.sampling.stratification import SharedTargetsStratification
from l0.common.validation import positive
from l0.data.tables import FrameT, Kind, checked_kind

#: The seconds that the search for contradictions may take.
MAX_SECONDS = 1.5


@overload
def check(
    records: str | os.PathLike[str],
    targets: Any,
    *,
    n_records: int | None = None,
    bounds: Any = None,
    weight_bounds: Any = None,
    must_keep: Any = None,
    quotas: Any = None,
    max_seconds: float = MAX_SECONDS,
    kind: Kind | None = None,
    **options: Unpack[TableOptions],
) -> CheckReport[Any]: ...
@overload
def check(
    records: FrameT,
    targets: Any,
    *,
    n_records: int | None = None,
    bounds: Any = None,
    weight_bounds: Any = None,
    must_keep: Any = None,
    quotas: Any = None,
    max_seconds: float = MAX_SECONDS,
    kind: None = None,
    **options: Unpack[TableOptions],
) -> CheckReport[FrameT]: ...
@overload
def check(
    records: Any,
    targets: Any,
    *,
    n_records: int | None = None,
    bounds: Any = None,
    weight_bounds: Any = None,
    must_keep: Any = None,
    quotas: Any = None,
    max_seconds: float = MAX_SECONDS,
    kind: Kind,
    **options: Unpack[TableOptions],
) -> CheckReport[Any]: ...
@takes(TableOptions)
def check(
    records: Any,
    targets: Any,
    *,
    n_records: int | None = None,
    bounds: Any = None,
    weight_bounds: Any = None,
    must_keep: Any = None,
    quotas: Any = None,
    max_seconds: float = MAX_SECONDS,
    kind: Kind | None = None,
    **options: Unpack[TableOptions],
) -> CheckReport[Any]:
    """Check a survey and its targets before a fit, and collect all that would stop or spoil it.

    The report has the records behind the targets, targets that are out of reach or contradict each
    other, levels that differ only in blanks or case, members without a record, repeated targets,
    values that are far from the survey's own estimates, and what a budget with its bounds, totals
    of 0, quotas and records to keep cannot do.

    Parameters
    ----------
    records, targets : frame or path
        As in `l0.calibrate`.
    n_records : int, optional
        The budget. Without it, all records are kept.
    bounds, weight_bounds, must_keep, quotas
        As in `l0.calibrate`.
    max_seconds : float, default 1.5
        The limit of time for the search for contradictions. The report says if it was reached.
    kind : {"pyarrow", "pandas", "polars"}, optional
        The kind of the frames in the report. The default is the kind of `records`, and pyarrow for
        a path.
    **options

    Returns
    -------
    CheckReport

    Raises
    ------
    InputError
        If the tables cannot be read: if a column is missing, for example, or a weight is negative.
    FileNotFoundError
        If there is no file at a path.

    Examples
    --------
    Half of the homes of area A have a blank after the letter:

    >>> import pyarrow as pa
    >>> from l0.calibration import check
    >>> homes = pa.table({"w": [10.0] * 400, "area": ["A", "A "] * 200})
    >>> targets = pa.table({"variable": ["count"], "area": ["A"], "value": [3900.0]})
    >>> report = check(homes, targets, weight="w")
    >>> report.table.column("severity").to_pylist(), report.table.column("about").to_pylist()
    (['error', 'warning'], ['levels', 'measured otherwise'])
    >>> report.ok
    False
    """
    findings: list[Finding] = []
    tables = read_tables(records, targets, options, findings.append)
    findings += useless_columns(tables.survey)
    findings += left_out(tables.survey)
    findings += repeated(tables.targets)
    problem = Problem(
        **tables.fields,
        # A check draws no sample.
        stratification=SharedTargetsStratification(tables.matrix),
        untargeted=None,
        kind=checked_kind(kind, tables.survey.kind),
        inputs=None,
    )
    return check_problem(
        problem, n_records, bounds, weight_bounds, must_keep, quotas, max_seconds, findings
    )


def check_problem(
    problem: Problem,
    n_records: int | None,
    bounds: Any,
    weight_bounds: Any,
    must_keep: Any,
    quotas: Any,
    max_seconds: float,
    findings: list[Finding],
) -> CheckReport[Any]:
    """Check a problem, and add what is found to the findings on its tables (see `check`)."""
    seconds = positive(max_seconds, "max_seconds")
    budget = None if n_records is None else check_n_records(n_records, problem)
    limits = read_bounds(problem, bounds, weight_bounds)
    found: list[Finding] = []
    k = budget or problem.n_records
    reasons = check_reachable(problem, limits, k, found.append)
    reachable = reasons == ""
    if not found:
        found += out_of_reach(problem, reasons, limits.active)
    check_scale(problem, reachable, found.append)
    off_scale = any(finding.about == "scale" for finding in found)
    found += excluded_records(problem, reachable, budget, must_keep, quotas)
    found += out_of_joint_reach(problem, limits, k, reachable)
    # A record that is not chosen has the weight 0, whatever the lower limit.
    chosen = limits if k == problem.n_records else limits.without_low()
    found += contradictions(problem, chosen, reachable, seconds)
    if not off_scale:  # else all targets are far from the survey
        found += discrepancies(problem, reachable)
    found += without_records(problem, reasons)
    found += few_records(problem)
    return CheckReport(
        findings_table([*findings, *found]),
        group_table(problem, reasons),
        problem.n_records,
        problem.n_targets,
        problem.kind,
    )

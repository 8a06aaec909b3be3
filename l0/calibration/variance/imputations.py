"""Estimates from several imputations, or several runs, combined to one by Rubin's rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.stats
from numpy.typing import NDArray

from l0.calibration.variance.question import COLUMNS
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted
from l0.common.validation import inner_share, positive
from l0.data.columns import as_numbers, as_text
from l0.data.tables import native, read_table

#: The columns that only a combination has.
ADDED = ("within_variance", "between_variance", "degrees", "fraction_missing")


def combine_imputations(
    frames: Sequence[Any], *, degrees: float | None = None, level: float = 0.95
) -> Any:
    r"""Combine estimates from several imputations of the missing data by Rubin's rules.

    With m estimates :math:`\hat q_i` of variances :math:`\hat u_i`, the combined estimate is the
    mean :math:`\bar q`, and its variance is

    .. math:: T = \bar u + (1 + 1/m) b

    with :math:`\bar u` the mean of the variances, and b the variance of the m estimates (Rubin
    1987, Multiple Imputation for Nonresponse in Surveys, chapter 3). The same holds for several
    runs that differ in their seed.

    Parameters
    ----------
    frames : sequence of frames
        At least two frames of `CalibrationResult.estimate`, one for each imputation, from the same
        question. Their rows may have any order.
    degrees : float, optional
        The degrees of freedom that the estimates would have without missing data: the number of
        replicates, less 1. The degrees of freedom are then those of Barnard & Rubin (1999,
        Biometrika 86, 948-955), and by default those of Rubin (1987).
    level : float
        The coverage that an interval should have.

    Returns
    -------
    frame
        Of the kind of the first frame, and with its rows: the label columns, `estimate`,
        `standard_error`, `low`, `high`, `effective_n`, `cv`, `n_records`, `few_records`,
        `within_variance` (the mean of the variances), `between_variance` (b), `degrees` of
        freedom (infinite if all estimates are equal, and `degrees` is None) and `fraction_missing`,
        the fraction of the information that is missing. The numbers of records are the smallest of
        all frames. What depends on a standard error that is null in a frame is null.

    Raises
    ------
    InputError
        If there are fewer than two frames; if a frame is no frame of estimates, or has more than
        one row for a domain; if frames have other domains than the first one; or if `degrees` or
        `level` is out of range.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.calibration import combine_imputations
    >>> def estimates(total):
    ...     return pa.table({
    ...         "estimate": [total], "standard_error": [2.0], "low": [0.0], "high": [0.0],
    ...         "effective_n": [90.0], "design_effect": [1.1], "cv": [0.2], "n_records": [99],
    ...         "few_records": [False],
    ...     })
    >>> found = combine_imputations([estimates(9.0), estimates(10.0), estimates(11.0)])
    >>> found.select(["estimate", "within_variance", "between_variance"]).to_pylist()
    [{'estimate': 10.0, 'within_variance': 4.0, 'between_variance': 1.0}]
    >>> round(found.column("standard_error")[0].as_py() ** 2, 6)
    5.333333
    """
    level = inner_share(level, "level")
    whole = None if degrees is None else positive(degrees, "degrees")
    if isinstance(frames, (str, bytes)) or not isinstance(frames, Sequence) or len(frames) < 2:
        raise InputError(
            "`frames` must be a list of at least two frames of estimates; pass one for each "
            "imputation"
        )
    tables, kind = _read(frames)
    by = tables[0].column_names[: -len(COLUMNS)]

    def column(name: str) -> NDArray[np.float64]:
        return np.array([as_numbers(table.column(name)) for table in tables])

    m, estimates = len(tables), column("estimate")
    estimate = estimates.mean(axis=0)
    within = (column("standard_error") ** 2).mean(axis=0)
    between = estimates.var(axis=0, ddof=1)
    added = (1 + 1 / m) * between
    error = np.sqrt(within + added)
    share = np.divide(added, within + added, out=np.zeros_like(added), where=added != 0)
    freedom = _degrees(share, m, whole)
    half = scipy.stats.t.ppf((1 + level) / 2, freedom) * error
    # (r + 2 / (freedom + 3)) / (r + 1), with r = share / (1 - share).
    # Without a standard error in one of the frames, the share and all that follows are unknown.
    missing = np.where(share == 0, 0.0, share + (1 - share) * 2 / (freedom + 3))
    nothing = np.full(len(estimate), np.nan)
    numbers = {
        "estimate": estimate,
        "standard_error": error,
        "low": estimate - half,
        "high": estimate + half,
        "effective_n": column("effective_n").min(axis=0),
        "cv": np.divide(error, np.abs(estimate), out=nothing, where=estimate != 0),
    }
    rubin = dict(zip(ADDED, (within, between, freedom, missing), strict=True))
    table = pa.table(
        {
            **{name: tables[0].column(name) for name in by},
            **{name: pa.array(values, from_pandas=True) for name, values in numbers.items()},
            "n_records": column("n_records").min(axis=0).astype(np.int64),
            "few_records": column("few_records").any(axis=0),
            **{name: pa.array(values, from_pandas=True) for name, values in rubin.items()},
        }
    )
    return native(table, kind)


def _degrees(share: NDArray[np.float64], m: int, whole: float | None) -> NDArray[np.float64]:
    """Compute the degrees of freedom, from the share that the imputations have of the variance."""
    rubin = np.full(len(share), np.inf)
    np.divide(m - 1, share**2, out=rubin, where=share != 0)
    if whole is None:
        return rubin
    observed = (whole + 1) / (whole + 3) * whole * (1 - share)
    with np.errstate(divide="ignore"):  # without a variance within imputations, nothing is observed
        return np.asarray(1 / (1 / rubin + 1 / observed))


def _read(frames: Sequence[Any]) -> tuple[list[pa.Table], Any]:
    """Read the frames, with the rows of all in the order of the first one."""
    tables = []
    for place, frame in enumerate(frames):
        table, kind = read_table(frame, f"frames[{place}]")
        names = table.column_names
        if tuple(names[-len(COLUMNS) :]) != COLUMNS:
            raise InputError(
                f"`frames[{place}]` has the columns {first_few(names)}; pass a frame as "
                "`CalibrationResult.estimate` gives it"
            )
        if place == 0:
            first_kind, by = kind, names[: -len(COLUMNS)]
            clash = [name for name in by if name in ADDED]
            if clash:
                raise InputError(
                    f"`frames` have the label columns {first_few(clash)}, which is also a column "
                    "of the combination; rename it in all of them"
                )
        if names[: -len(COLUMNS)] != by:
            raise InputError(
                f"`frames[{place}]` has the label columns {names[: -len(COLUMNS)]}, and the first "
                f"frame has {by}; estimate with the same `by`"
            )
        tables.append(table)
    rows = [_domains(table, by, f"frames[{place}]") for place, table in enumerate(tables)]
    for place, domains in enumerate(rows):
        other = rows[0].keys() ^ domains.keys()
        if other:
            shown = [", ".join(str(label) for label in domain) for domain in sorted(other, key=str)]
            raise InputError(
                f"`frames[{place}]` and the first frame do not have the same domains "
                f"({first_few(shown)} are in one of them); estimate them in all imputations"
            )
    order = list(rows[0])
    return [
        table.take(pa.array([domains[domain] for domain in order], pa.int64()))
        for table, domains in zip(tables, rows, strict=True)
    ], first_kind


def _domains(table: pa.Table, by: list[str], argument: str) -> dict[tuple[str | None, ...], int]:
    """Give the row of each domain. Two rows for one are those of two questions."""
    columns = [as_text(table.column(name)) for name in by]
    found = list(zip(*columns, strict=True)) if by else [()] * table.num_rows
    twice = [domain for domain, times in Counter(found).items() if times > 1]
    if twice:
        shown = [", ".join(map(str, domain)) or "all rows" for domain in twice]
        raise InputError(
            f"`{argument}` has more than one row for {counted(len(twice), 'domain')} "
            f"({first_few(shown)}); combine the frames of one question at a time"
        )
    return {domain: row for row, domain in enumerate(found)}

"""What is asked of a result: a statistic of an amount, in domains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from l0.calibration.inputs.kinds import COUNT, MEAN, RATIO, SHARE, TOTAL
from l0.common.errors import InputError, closest, first_few
from l0.common.validation import inner_share
from l0.data.tables import checked_name

QUANTILE, GINI = "quantile", "gini"
STATISTICS = (TOTAL, MEAN, SHARE, RATIO, QUANTILE, GINI)
#: The columns of a frame of estimates, after the label columns.
COLUMNS = (
    "estimate", "standard_error", "low", "high", "effective_n", "design_effect", "cv", "n_records",
    "few_records",
)  # fmt: skip


class Asked(TypedDict, total=False):
    """The arguments of `CalibrationResult.estimate` that may be left out."""

    by: str | Sequence[str]
    statistic: str
    denominator: str | None
    within: str | Sequence[str] | None
    q: float | None
    level: float
    compared_with: Mapping[str, Any] | None


@dataclass(frozen=True)
class Question:
    """A checked question. Names of columns are not looked up yet.

    Attributes
    ----------
    of : str
        A column, or ``count`` for the number of rows.
    by : tuple of str
    statistic : str
        One of `STATISTICS`.
    denominator : str
        A column or ``count``; "" if the statistic is no ratio.
    within : tuple of str
    q : float
        0 if the statistic is no quantile.
    level : float
    compared_with : dict of str to object
        Empty if no difference is asked for.
    """

    of: str
    by: tuple[str, ...]
    statistic: str
    denominator: str
    within: tuple[str, ...]
    q: float
    level: float
    compared_with: dict[str, Any]


def read_question(
    of: str | None,
    by: str | Sequence[str],
    statistic: str,
    denominator: str | None,
    within: str | Sequence[str] | None,
    q: float | None,
    level: float,
    compared_with: Mapping[str, Any] | None,
) -> Question:
    """Check the arguments of `CalibrationResult.estimate`.

    Raises
    ------
    InputError
        If one is wrong, missing, or of another statistic.

    Examples
    --------
    >>> from l0.calibration.variance.question import read_question
    >>> read_question("income", "state", "gini", None, None, None, 1.5, None)
    Traceback (most recent call last):
    l0.common.errors.InputError: `level` must be a number above 0 and below 1, got 1.5
    """
    if statistic not in STATISTICS:
        raise InputError(
            f"`statistic` is {statistic!r}; it must be {', '.join(STATISTICS[:-1])} or "
            f"{STATISTICS[-1]} (the median is the quantile with q=0.5)"
        )
    variable = COUNT if of is None else checked_name(of, "of")
    if variable == COUNT and statistic in (MEAN, QUANTILE, GINI):
        raise InputError(
            f"`of` is {of!r}, the number of rows, which has no {statistic}; name a column"
        )
    labels = _names(by, "by")
    clash = [name for name in labels if name in COLUMNS]
    if clash:
        raise InputError(
            f"`by` names {first_few(clash)}, which is also a column of the estimates; rename it "
            "in `table`"
        )
    for argument, given, needed in (
        ("denominator", denominator, RATIO), ("within", within, SHARE), ("q", q, QUANTILE)
    ):  # fmt: skip
        if given is not None and statistic != needed:
            raise InputError(
                f"`{argument}` belongs to `statistic={needed!r}`, and `statistic` is "
                f"{statistic!r}; pass one of the two"
            )
    if statistic == RATIO and denominator is None:
        raise InputError("a ratio needs `denominator`; name a column, or 'count' for rows")
    if statistic == QUANTILE and q is None:
        raise InputError("a quantile needs `q`; pass 0.5 for the median, for example")
    if compared_with is not None and not isinstance(compared_with, Mapping):
        raise InputError(
            f"`compared_with` is {compared_with!r}; pass a dictionary, such as {{'state': 'VT'}}"
        )
    compared = dict(compared_with or {})
    kept = _names(within or (), "within")
    for argument, names in (("within", kept), ("compared_with", tuple(compared))):
        lost = [name for name in names if name not in labels]
        if lost:
            raise InputError(
                f"`{argument}` names {first_few(lost)}, which `by` does not; "
                f"{closest(lost[0], labels)}"
            )
    return Question(
        of=variable,
        by=labels,
        statistic=statistic,
        denominator="" if denominator is None else checked_name(denominator, "denominator"),
        within=kept,
        q=0.0 if q is None else inner_share(q, "q"),
        level=inner_share(level, "level"),
        compared_with=compared,
    )


def _names(names: str | Sequence[str], argument: str) -> tuple[str, ...]:
    """Take a name or several, each once."""
    if not isinstance(names, Iterable):
        raise InputError(
            f"`{argument}` is {names!r}; pass the name of a column or a list of names, or leave it "
            "out"
        )
    found = tuple(
        checked_name(name, argument) for name in ([names] if isinstance(names, str) else names)
    )
    repeated = [name for place, name in enumerate(found) if name in found[:place]]
    if repeated:
        raise InputError(f"`{argument}` names {first_few(repeated)} more than once; name it once")
    return found

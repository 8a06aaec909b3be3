"""What a target states: a total, a mean, a ratio or a share, and its value or its limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l0.common.errors import InputError, closest, first_few

TOTAL, MEAN, RATIO, SHARE = STATISTICS = ("total", "mean", "ratio", "share")
#: The variable that means the number of rows.
COUNT = "count"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Statement:
    """What a row of the table of targets states.

    Attributes
    ----------
    statistic : str
        One of `STATISTICS`.
    entity, variable : str
    labels : tuple of (str, str)
        The cell, ``((column, level), ...)``.
    denominator : str
        The variable in the denominator of a ratio, and "" for all other statistics.
    within : tuple of str
        The label columns of the cell that a share is a part of.
    value : float
        NaN if the target has limits.
    at_least, at_most : float
        The limits; -infinity and infinity where there is none. Both are the value if there is one.
    """

    statistic: str
    entity: str
    variable: str
    labels: Labels
    denominator: str = ""
    within: tuple[str, ...] = ()
    value: float = math.nan
    at_least: float = -math.inf
    at_most: float = math.inf

    @property
    def form(self) -> str:
        """How the target is stated: "" for a value, else which limits it has."""
        if not math.isnan(self.value):
            return ""
        if math.isinf(self.at_most):
            return "at least"
        return "at most" if math.isinf(self.at_least) else "within limits"

    @property
    def definition(self) -> tuple[object, ...]:
        """What is stated, without the numbers."""
        return (
            self.entity, self.variable, self.labels, self.statistic, self.denominator,
            tuple(sorted(self.within)), self.form,
        )  # fmt: skip

    @property
    def denominator_total(self) -> Statement:
        """The total in the denominator of a mean, a ratio or a share, with a value of 0."""
        labels = self.labels
        if self.statistic == SHARE:
            labels = tuple(pair for pair in labels if pair[0] in self.within)
        variable = {MEAN: COUNT, RATIO: self.denominator, SHARE: self.variable}[self.statistic]
        return Statement(TOTAL, self.entity, variable, labels, value=0.0)

    @property
    def is_possible_share(self) -> bool:
        """Whether the value, or each limit, is from 0 to 1."""
        limits = (side for side in (self.at_least, self.at_most) if math.isfinite(side))
        return all(0 <= limit <= 1 for limit in limits)

    @property
    def numbers(self) -> str:
        """The value or the limits, for messages."""
        if not self.form:
            return f"{self.value:,g}"
        if self.form == "within limits":
            return f"{self.at_least:,g} to {self.at_most:,g}"
        return f"{self.form} {self.at_least if self.form == 'at least' else self.at_most:,g}"


def subject(statistic: str, variable: str, denominator: str = "") -> str:
    """Write what is measured, without the cell.

    Examples
    --------
    >>> from l0.calibration.inputs.kinds import subject
    >>> subject("total", "income"), subject("mean", "income"), subject("ratio", "tax", "income")
    ('income', 'mean income', 'ratio of tax to income')
    """
    return {
        TOTAL: variable,
        MEAN: f"mean {variable}",
        RATIO: f"ratio of {variable} to {denominator}",
        SHARE: f"share of {variable}",
    }.get(statistic, statistic)


def describe(
    entity: str, what: str, labels: Sequence[tuple[str, str]], within: Sequence[str] = ()
) -> str:
    """Write the definition of a target as a name: ``person count by state=AL, age_band=25-29``.

    Parameters
    ----------
    entity : str
    what : str
        The variable, or what `subject` gives.
    labels : sequence of (str, str)
    within : sequence of str
        The label columns of the cell that a share is a part of.
    """
    by = ", ".join(f"{name}={level}" if level else name for name, level in labels)
    inside = f"within {', '.join(within)}" if within else ""
    parts = (entity, what, by and f"by {by}", inside)
    return " ".join(part for part in parts if part)


def check_statistics(statistics: Sequence[str]) -> None:
    """Check the column `statistic`, in which an empty cell means a total."""
    wrong = [row for row, statistic in enumerate(statistics) if statistic not in STATISTICS]
    if wrong:
        unknown = dict.fromkeys(statistics[row] for row in wrong)
        raise InputError(
            f"`targets` column 'statistic' has {first_few(unknown)} (rows {first_few(wrong)}); it "
            f"must be one of {first_few(STATISTICS)}, or empty for a total"
        )


#: What a row of the table may not state, why, and what to do about it.
_WRONG: tuple[tuple[Callable[[Statement], bool], str, str], ...] = (
    (
        lambda of: of.statistic == RATIO and not of.denominator,
        "no `denominator` for some ratios",
        "name the column whose total is the denominator, or 'count'",
    ),
    (
        lambda of: of.statistic != RATIO and bool(of.denominator),
        "a `denominator` where the `statistic` is not ratio",
        "write ratio, or leave the cell empty",
    ),
    (
        lambda of: of.statistic != SHARE and bool(of.within),
        "labels in `within` where the `statistic` is not share",
        "write share, or leave the cell empty",
    ),
    (
        lambda of: of.statistic == MEAN and of.variable == COUNT,
        "the mean of 'count', which is always 1",
        "name the column whose mean is meant, or write total",
    ),
    (
        lambda of: of.statistic == RATIO and of.denominator == of.variable,
        "ratios of a column to itself, which are always 1",
        "name another `denominator`",
    ),
    (
        lambda of: of.statistic == SHARE and not of.labels,
        "shares of all rows, which are always 1",
        "give them labels; `within` names those that the larger cell keeps",
    ),
    (
        lambda of: of.statistic == SHARE and {name for name, _ in of.labels} <= {*of.within},
        "shares of a cell in itself, which are always 1",
        "leave at least one of their labels out of `within`",
    ),
    (
        lambda of: of.statistic == SHARE and not of.is_possible_share,
        "shares outside of 0 to 1",
        "write 0.25 for 25%",
    ),
)


def check_statements(statements: Sequence[Statement], names: Sequence[str]) -> None:
    """Check that each statistic has the columns that it needs, and no others."""
    for of, name in zip(statements, names, strict=True):
        own = [column for column, _ in of.labels]
        lost = [column for column in of.within if column not in own]
        if of.statistic == SHARE and own and lost:
            raise InputError(
                f"`targets` column 'within' names {first_few(lost)} for {name!r}, which has no "
                "such label; name label columns of the row, with commas between them; for "
                f"{lost[0]!r}, {closest(lost[0], own)}"
            )
    for wrong, what, remedy in _WRONG:
        found = [name for of, name in zip(statements, names, strict=True) if wrong(of)]
        if found:
            raise InputError(f"`targets` have {what} ({first_few(found)}); {remedy}")


def check_limits(
    values: NDArray[np.float64],
    at_least: NDArray[np.float64],
    at_most: NDArray[np.float64],
    names: Sequence[str],
) -> None:
    """Check that each target has a value or limits. NaN is an empty cell."""
    stated = ~np.isnan(values)
    limited = ~np.isnan(at_least) | ~np.isnan(at_most)
    for wrong, what, remedy in (
        (
            ~stated & ~limited,
            "neither a `value` nor a limit",
            "give each a number in `value`, `at_least` or `at_most`, or drop the row",
        ),
        (
            stated & limited,
            "a `value` and a limit",
            "leave `value` empty, or `at_least` and `at_most`; a `tolerance` says how far an "
            "estimate may be from the value",
        ),
        (
            at_least > at_most,
            "limits that cross: `at_least` is above `at_most`",
            "exchange or correct them",
        ),
    ):
        if wrong.any():
            found = [names[row] for row in np.flatnonzero(wrong).tolist()]
            raise InputError(f"`targets` have {what} ({first_few(found)}); {remedy}")

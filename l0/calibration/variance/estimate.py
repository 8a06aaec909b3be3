"""Estimates of a statistic in domains, with their standard errors: a question -> a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.inputs.kinds import COUNT, MEAN, RATIO, SHARE, TOTAL
from l0.calibration.variance.differences import difference
from l0.calibration.variance.distribution import gini, quantile
from l0.calibration.variance.domains import Domains, find_domains
from l0.calibration.variance.question import GINI, Question
from l0.calibration.variance.replicates import Replicates
from l0.calibration.variance.statistics import Estimates, Sample, ratio, share, total
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted
from l0.data.columns import as_numbers, is_number, not_a_number
from l0.data.tables import column

#: An estimate with fewer records has the flag `few_records`.
FEW = 30


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """A table, and its rows that belong to chosen records.

    Attributes
    ----------
    table : pyarrow.Table
    places : ndarray of int64, shape (n,)
        The positions of these rows.
    record : ndarray of int64, shape (n,)
        The position of each row's record among the weights.
    """

    table: pa.Table
    places: NDArray[np.int64]
    record: NDArray[np.int64]

    def amounts(self, name: str, argument: str) -> NDArray[np.float64]:
        """Take the amounts of these rows. The count of a row is 1."""
        if name == COUNT:
            return np.ones(len(self.places))
        values = column(self.table, name, "table", f"`{argument}`")
        if not is_number(values.type):
            raise InputError(
                f"`{argument}` names the column {name!r}, which is {not_a_number(values)}; name "
                "a numeric column, or None for the number of rows"
            )
        numbers = as_numbers(values)[self.places]
        missing = self.places[~np.isfinite(numbers)]
        if missing.size:
            raise InputError(
                f"`table` column {name!r} is null, NaN or infinite in "
                f"{counted(missing.size, 'row')} of chosen records (rows "
                f"{first_few(missing.tolist())}); fill them, or leave these rows out of `table` to "
                "estimate over the others"
            )
        return numbers


def estimate(
    question: Question, rows: ChosenRows, weights: NDArray[np.float64], replicates: Replicates
) -> pa.Table:
    """Answer a question.

    Parameters
    ----------
    question : Question
    rows : ChosenRows
    weights : ndarray of float64, shape (k,)
        The main weights.
    replicates : Replicates

    Returns
    -------
    pyarrow.Table
        The label columns, and `COLUMNS`, with a row for each domain.

    Raises
    ------
    InputError
        If a column is missing or has missing values, if a domain has no chosen record, or if a
        statistic is not defined in a domain.
    """
    domains = _domains(question, rows)
    columns = np.column_stack([weights, replicates.weights])
    sample = Sample(columns, rows.record, domains.codes, domains.size)
    found = _estimates(question, rows, sample, domains, replicates)
    undefined = np.flatnonzero(np.isnan(found.values[:, 0]))
    if undefined.size:
        reason = "total that is not above 0" if question.statistic == GINI else "denominator of 0"
        raise InputError(
            f"the {question.statistic} has a {reason} in {counted(undefined.size, 'domain')} "
            f"({first_few([domains.named(each) or 'all rows' for each in undefined])}); leave "
            "their rows out of `table`, or use coarser labels in `by`"
        )
    if question.compared_with:
        domains, found = difference(domains, found, question.compared_with)
    return _table(question, domains, found, replicates)


def _domains(question: Question, rows: ChosenRows) -> Domains:
    """Find the domains of the chosen rows. A domain of the table without any is an error."""
    domains = find_domains(rows.table, question.by)
    codes = domains.codes[rows.places]
    lost: NDArray[np.int64] = np.setdiff1d(np.arange(domains.size), codes)
    if lost.size:
        have = counted(lost.size, "domain of `by` has", "domains of `by` have")
        raise InputError(
            f"{have} no chosen record "
            f"({first_few([domains.named(each) for each in lost])}), so that nothing is known of "
            "them; pass `result.select(table)` to leave them out, use coarser labels, or calibrate "
            "with `quotas` for them"
        )
    return replace(domains, codes=codes)


def _estimates(
    question: Question,
    rows: ChosenRows,
    sample: Sample,
    domains: Domains,
    replicates: Replicates,
) -> Estimates:
    amounts = rows.amounts(question.of, "of")
    if question.statistic == TOTAL:
        return total(sample, amounts)
    if question.statistic == MEAN:
        return ratio(sample, amounts, np.ones(len(amounts)))
    if question.statistic == RATIO:
        return ratio(sample, amounts, rows.amounts(question.denominator, "denominator"))
    if question.statistic == SHARE:
        return share(sample, amounts, domains.within(question.within))
    negative = int((sample.weights[sample.record] < 0).any(axis=1).sum())
    if negative:
        raise InputError(
            f"`statistic={question.statistic!r}` needs weights of at least 0, and "
            f"{counted(negative, 'row has', 'rows have')} a negative one; calibrate with "
            "`distance='raking'`"
        )
    if question.statistic == GINI:
        return gini(sample, amounts)
    return quantile(sample, amounts, question.q, replicates, question.level)


def _table(
    question: Question, domains: Domains, found: Estimates, replicates: Replicates
) -> pa.Table:
    main = found.values[:, 0]
    variance = replicates.variance(found.values[:, 1:].T, main)
    # Without a record that has an amount, all columns give 0: the error is unknown, and not 0.
    variance[found.n_amounts == 0] = np.nan
    error = np.sqrt(variance)
    half = replicates.t(question.level, found.n_records) * error
    low, high = found.interval or (main - half, main + half)
    positive = found.simple_variance > 0
    nothing = np.full(len(main), np.nan)
    numbers = {
        "estimate": main,
        "standard_error": error,
        "low": low,
        "high": high,
        "effective_n": found.effective_n,
        "design_effect": np.divide(
            variance, found.simple_variance, out=nothing.copy(), where=positive
        ),
        "cv": np.divide(error, np.abs(main), out=nothing.copy(), where=main != 0),
    }
    table = pa.table(
        {
            **{name: pa.array(values, from_pandas=True) for name, values in numbers.items()},
            "n_records": found.n_records,
            "few_records": found.n_records < FEW,
        }
    )
    for place, (field, values) in enumerate(zip(domains.fields, domains.columns, strict=True)):
        table = table.add_column(place, field, values)
    return table

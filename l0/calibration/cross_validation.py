"""Cross-validation: hold out one family of targets after the other, and see how far each ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import pyarrow as pa

from l0.calibration.holdout import hold_out
from l0.calibration.options import (
    NOT_OF_A_CROSS_VALIDATION,
    Options,
    refuse,
    with_defaults,
)
from l0.calibration.problem.core import Problem
from l0.calibration.problem.losses import score
from l0.calibration.selection import Selector
from l0.calibration.solve import solve
from l0.common.errors import InputError, first_few
from l0.common.formatting import join_names


def cross_validate(
    problem: Problem,
    families: object,
    n_records: int | None,
    method: str | Selector,
    options: Options,
) -> pa.Table:
    """Hold out each family in turn (see `CalibrationProblem.cross_validate`)."""
    options = with_defaults(options, Options)
    refuse(options, NOT_OF_A_CROSS_VALIDATION)
    # All patterns are checked before the first fit.
    listed = _checked(families)
    named = {_name(each): each for each in listed}
    _check_distinct(list(map(_name, listed)))
    parts = {name: hold_out(problem, each, "families").held_out for name, each in named.items()}
    together = solve(problem, n_records, method, options)
    error = together.tables["targets"].column("relative_error").to_numpy()
    rows = []
    for name, held in parts.items():
        assert held is not None
        patterns = named[name]
        found = solve(problem, n_records, method, {**options, "holdout": patterns})
        before = held.relative_errors(held.errors(held.design_estimates))
        rows.append(
            {
                "family": name,
                "n_targets": held.n_targets,
                "held_out_error": found.metrics["holdout_capped_error"],
                "fitted_error": score(error[held.target_order], held.importance),
                "design_error": score(before, held.importance),
                "n_records": found.metrics["n_records"],
                "seconds": found.metrics["seconds"],
            }
        )
    return pa.Table.from_pylist(rows)


def _checked(families: object) -> Sequence[str | Sequence[str]]:
    """Check that families are a list, in which each is a pattern or a list of patterns."""
    if isinstance(families, str) or not isinstance(families, Sequence) or not families:
        raise InputError(
            f"`families` is {families!r}; pass a list of patterns, such as ['snap/*', "
            "'group:income by state'], or of lists of patterns"
        )
    if any(not isinstance(each, (str, Sequence)) or not each for each in families):
        raise InputError(f"`families` is {families!r}; each must be a pattern, or a list of some")
    return cast("Sequence[str | Sequence[str]]", families)


def _check_distinct(names: Sequence[str]) -> None:
    """Check that no two families have the same name, by which the rows of the table are known."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InputError(
            f"`families` has several families with the name {first_few(twice)}; drop the repeated "
            "ones, or write the patterns of one in another order"
        )


def _name(family: Any) -> str:
    """Write the patterns of a family; in a list, one with a comma is in quotes."""
    return family if isinstance(family, str) else join_names(map(str, family))

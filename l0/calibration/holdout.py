"""Hold targets out of a fit: by patterns on their names, or on their groups.

A fit without some targets is the fit of a table that never had them. Nothing that depends on their
values may reach it: not the shares of the other targets in the loss, not the size of a denominator,
not the design weight that stands for a missing one. Only which columns are labels is decided by the
whole table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from l0.calibration.evaluation.untargeted import SurveyStatistics
from l0.calibration.inputs.targets import Targets, shares_among
from l0.calibration.problem.core import Problem
from l0.calibration.problem.kinds import Kinds
from l0.calibration.reading import even_weights
from l0.calibration.sampling.stratification import SharedTargetsStratification
from l0.common.errors import InputError, closest, first_few

#: What a pattern on groups begins with.
GROUP = "group:"


def hold_out(problem: Problem, patterns: object, argument: str = "holdout") -> Problem:
    """Take the targets that match any of the patterns out of a problem.

    Parameters
    ----------
    problem : Problem
    patterns : str, sequence of str, or None
        Patterns of `fnmatch`, on the names of the targets. One that begins with ``group:`` is on
        their groups. A pattern also matches a name that is the same text.
    argument : str
        Its name, for the messages.

    Returns
    -------
    Problem
        The same problem if there is no pattern. Else the problem of the other targets, with these
        as `held_out`.

    Raises
    ------
    InputError
        If a pattern matches nothing, or if no target that counts is left.
    """
    wanted = _checked(patterns, argument)
    if not wanted:
        return problem
    found = np.zeros(problem.n_targets, dtype=bool)
    for pattern in wanted:
        found |= _matched(problem, pattern, argument)
    kept, held = np.flatnonzero(~found), np.flatnonzero(found)
    if not problem.importance[kept].any():
        every = "the only target" if len(held) == 1 else f"all {len(held):,} targets"
        raise InputError(
            f"`{argument}` ({first_few(wanted)}) holds out {every} with an importance above 0, "
            "and nothing is left to fit; name fewer"
        )
    fitted = _of_targets(problem, kept)
    held_out = replace(
        _rows_of(problem, held), design_weights=fitted.design_weights, untargeted=None
    )
    return replace(fitted, held_out=held_out)


def _checked(patterns: object, argument: str) -> list[str]:
    """Check the form of the patterns."""
    if patterns is None:
        return []
    listed = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(listed, Sequence) or not all(isinstance(each, str) for each in listed):
        raise InputError(
            f"`{argument}` is {patterns!r}; pass a list of patterns, such as ['snap/*', "
            "'group:income by state']"
        )
    return list(listed)


def _matched(problem: Problem, pattern: str, argument: str) -> NDArray[np.bool_]:
    """Find the targets that match a pattern, shape (m,)."""
    texts, where, asked = problem.names, "name", pattern
    if pattern.startswith(GROUP) and pattern not in problem.names:
        texts, where, asked = problem.groups, "group", pattern.removeprefix(GROUP)
    # The name of a target may have brackets, which a pattern takes for a set of letters.
    same = {text: text == asked or fnmatchcase(text, asked) for text in set(texts)}
    found = np.array([same[text] for text in texts])
    if not found.any():
        begin = GROUP if where == "group" else ""
        other = ", or of a group with 'group:' before it" if where == "name" else ""
        raise InputError(
            f"`{argument}` has the pattern {pattern!r}, which matches the {where} of no target; "
            f"{closest(pattern, [begin + text for text in same])}; write the {where} of a target"
            f"{other}, with * for any text"
        )
    return found


def _rows_of(problem: Problem, rows: NDArray[np.int64]) -> Problem:
    """Take some targets of a problem, with their shares of the loss among themselves."""
    names, groups, variables = (
        [texts[row] for row in rows] for texts in (problem.names, problem.groups, problem.variables)
    )
    importance = shares_among(problem.importance, problem.groups, problem.grouped, rows)
    if not importance.any():  # of held-out targets, which do not count in the fit anyway
        importance = np.full(len(rows), 1 / len(rows))
    return replace(
        problem,
        matrix=problem.matrix[rows],
        values=problem.values[rows],
        names=names,
        groups=groups,
        variables=variables,
        importance=importance,
        tolerance=problem.tolerance[rows],
        target_order=problem.target_order[rows],
        kinds=None if problem.kinds is None else problem.kinds.of(rows),
        labels=None if problem.labels is None else problem.labels.take(rows),
    )


def _of_targets(problem: Problem, rows: NDArray[np.int64]) -> Problem:
    """Make the problem of some targets, as if there had never been others."""
    found = _rows_of(problem, rows)
    if isinstance(problem.stratification, SharedTargetsStratification):
        found = replace(found, stratification=SharedTargetsStratification(found.matrix))
    if not isinstance(problem.untargeted, SurveyStatistics):
        return found
    table = problem.untargeted.targets.of(found.target_order)
    weights = found.design_weights
    if found.survey is not None and found.survey.weights is None:
        weights = even_weights(found.matrix, table)
    kinds = found.kinds and _with_sizes(found.kinds, table, weights)
    statistics = replace(problem.untargeted, targets=table)
    return replace(found, design_weights=weights, kinds=kinds, untargeted=statistics)


def _with_sizes(kinds: Kinds, table: Targets, weights: NDArray[np.float64]) -> Kinds | None:
    """Compute the sizes of the denominators again: a published one may be held out.

    None if all of these targets are totals with a value.
    """
    if kinds.is_total.all():
        return None if (kinds.at_least == kinds.at_most).all() else kinds
    published = table.denominators().values
    totals = (kinds.denominators @ weights)[table.ratios]
    sizes = kinds.sizes.copy()
    sizes[table.ratios] = np.where(published > 0, published, totals)
    return replace(kinds, sizes=sizes)

"""Read the arguments `coef_bounds`, `nonnegative` and `at_most_one`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from l0.common.errors import InputError, first_few
from l0.common.validation import real_numbers
from l0.linear_model.design import Positions
from l0.linear_model.exclusive_swap import Exclusive
from l0.linear_model.statistics import Matrix
from l0.linear_model.units import positions


@dataclass(frozen=True)
class Limits:
    """What a choice and its coefficients must meet, as it was passed.

    Attributes
    ----------
    nonnegative : bool
    coef_bounds : array of shape (p, 2), dict, frame, or None
    at_most_one : iterable of iterables of int or str, or None
    """

    nonnegative: bool = False
    coef_bounds: Any = None
    at_most_one: Any = None

    def bounds(self, names: Sequence[str] | None, n_columns: int) -> Matrix | None:
        """Return the least and the largest coefficient of each column, (p, 2); None for no bounds.

        Raises
        ------
        InputError
            If `coef_bounds` has not two numbers for each column (booleans are none), if 0 is not
            between them, or if it names a column that does not exist.
        """
        if self.coef_bounds is None:
            return np.tile([0.0, np.inf], (n_columns, 1)) if self.nonnegative else None
        if self.nonnegative:
            raise InputError(
                "`nonnegative` and `coef_bounds` both bound the coefficients; pass one of them"
            )
        named = _by_name(self.coef_bounds)
        if named is not None:
            keys, pairs = named
            found = np.tile([-np.inf, np.inf], (n_columns, 1))
            columns = positions(keys, names, n_columns, "coef_bounds")
            twice = [key for key, c in zip(keys, columns, strict=True) if columns.count(c) > 1]
            if twice:
                raise InputError(
                    f"`coef_bounds` has several bounds for a column: {first_few(twice)}; pass one"
                )
            for key, column, pair in zip(keys, columns, pairs, strict=True):
                found[column] = _pair(pair, key)
        else:
            found = _numbers(self.coef_bounds)
            if found.shape != (n_columns, 2):
                raise InputError(
                    f"`coef_bounds` has shape {found.shape}; pass the least and the largest "
                    f"coefficient of each of the {n_columns:,} columns, or a dict"
                )
        _check(found, names)
        return found

    def exclusive(
        self,
        names: Sequence[str] | None,
        n_columns: int,
        members: list[Positions] | None,
        kept: Positions,
    ) -> Exclusive | None:
        """Return the sets of units of which at most one may be chosen; None for no sets.

        Raises
        ------
        InputError
            If `at_most_one` is no list of lists of columns, if a set has several columns of a
            group, or if `must_keep` has several units of a set.
        """
        if self.at_most_one is None:
            return None
        sets = []
        for number, asked in enumerate(_listed(self.at_most_one, "a list of lists")):
            what = f"set {number} of `at_most_one`"
            columns = positions(_listed(asked, "lists in a list"), names, n_columns, "at_most_one")
            if len(set(columns)) < max(len(columns), 2):
                raise InputError(
                    f"{what} is {first_few(asked) or 'empty'}; list two or more columns, each once"
                )
            units = np.array(columns, np.int64)
            if members is not None:
                units = np.array(
                    [g for g, m in enumerate(members) for column in m if column in set(columns)],
                    np.int64,
                )
                if len(np.unique(units)) < len(units):
                    raise InputError(
                        f"{what} has several columns of a group, which come in together: "
                        f"{first_few(asked)}; list one column of each group"
                    )
            if np.isin(units, kept).sum() > 1:
                raise InputError(
                    f"`must_keep` has several columns of {what}: {first_few(asked)}; "
                    "leave all but one out"
                )
            sets.append(units)
        return Exclusive(n_columns if members is None else len(members), sets)


def _listed(values: Any, what: str) -> list[Any]:
    if isinstance(values, (str, Mapping, Iterator)) or not isinstance(values, Iterable):
        raise InputError(f"`at_most_one` has {values!r}; pass {what} of columns")
    return list(values)


def _by_name(bounds: Any) -> tuple[list[Any], list[Any]] | None:
    """Return the columns and their pairs, where a dict or the index of a frame names columns."""
    if isinstance(bounds, Mapping):
        return list(bounds), list(bounds.values())
    if callable(getattr(bounds, "index", callable)):  # a method of lists
        return None
    keys = list(bounds.index)
    if not any(isinstance(key, str) for key in keys):
        return None  # numbers of rows: the order is that of the columns
    return keys, list(np.asarray(bounds))


def _numbers(values: Any) -> Matrix:
    numbers = np.asarray(real_numbers(values, "coef_bounds"), np.float64)
    if _has_booleans(values):
        raise InputError(
            "`coef_bounds` has True or False where numbers belong; pass the least and the largest "
            "coefficient of each column, and `nonnegative=True` if none may be negative"
        )
    return numbers


def _has_booleans(values: Any) -> bool:
    """Tell whether any value is True or False, which numpy would take as 1 or 0."""
    if isinstance(values, (list, tuple)):
        return any(map(_has_booleans, values))
    if isinstance(values, bool):
        return True
    types = np.asarray(getattr(values, "dtypes", ()), object)  # those of the columns of a frame
    if any(str(each).lower().startswith("bool") for each in np.atleast_1d(types)):
        return True
    array = np.asarray(values)
    return array.dtype.kind == "b" or (
        array.dtype.kind == "O" and any(isinstance(each, (bool, np.bool_)) for each in array.flat)
    )


def _pair(values: Any, key: object) -> Matrix:
    pair = _numbers(values)
    if pair.shape != (2,):
        raise InputError(
            f"`coef_bounds` has {values!r} for the column {key!r}; pass the least and the largest "
            "coefficient"
        )
    return pair


def _check(bounds: Matrix, names: Sequence[str] | None) -> None:
    lower, upper = bounds.T

    def refuse(wrong: Any, problem: str, remedy: str) -> None:
        columns = np.flatnonzero(wrong).tolist()
        if columns:
            named = [column if names is None else names[column] for column in columns]
            raise InputError(
                f"`coef_bounds` {problem}, for the columns {first_few(named)}; {remedy}"
            )

    refuse(np.isnan(bounds).any(axis=1), "is NaN", "pass -inf or inf for no bound")
    refuse(lower > upper, "has a lower bound above the upper one", "swap them")
    refuse(
        (lower > 0) | (upper < 0),
        "does not contain 0, which is the coefficient of a column that is not chosen",
        "put 0 between the bounds, and force a column in by `must_keep`",
    )
    refuse(lower == upper, "allows only 0", "leave these columns out of `X`")
    refuse(np.isposinf(lower) | np.isneginf(upper), "is infinite on the wrong side", "swap them")

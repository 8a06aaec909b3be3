"""Untargeted statistics: what a result does to counts and totals that are not targets.

The statistics come from the tables alone, and a user of the file might compute them. The reference
is the calibrated full file, with all records. The small file can be held to some of them (see
`SoftTargets`): weighted counts, and weighted totals of each amount, over all rows of a table and by
the levels of each of its label columns. All others are held out: no fit ever sees them, so that
they tell what happens to questions that nobody listed. These are

* counts and totals by two and by three label columns,
* counts and totals of member tables by a label of the members and a label of the records,
* shares: how many of the units with an amount have at most a quartile of it,
* means of the amounts that are not 0.

The effective number of records of a statistic is (sum c)^2 / sum c^2, where c = w x is the
contribution of a unit. This is Kish's effective sample size (Kish 1965, Survey Sampling, section
11.7) of the contributions in place of the weights. A Poisson sample that expects a share f of the
records has the coefficient of variation sqrt((1 - f) / f / effective_n).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TypeVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import UntargetedMetrics
from l0.calibration.evaluation.units import Cells, Measure, Units
from l0.calibration.inputs.column_types import ColumnTypes, Labels
from l0.calibration.inputs.kinds import describe
from l0.calibration.inputs.survey import Survey
from l0.calibration.inputs.targets import Targets
from l0.calibration.problem.losses import capped_error
from l0.calibration.problem.matrix import cells as cells_of_targets
from l0.calibration.problem.matrix import patterns
from l0.calibration.problem.representation import Represent, SoftTargets, kept
from l0.common.errors import InputError, closest, first_few

#: A statistic counts if its effective number of records is at least this. A sample of half of the
#: records then estimates it with a coefficient of variation of at most 10%.
LEAST_EFFECTIVE_N = 100.0
#: The largest number of label columns that form pairs, of triples of them, and of amounts that are
#: added up. Columns that a target uses come first, then the first columns of the file. The work
#: grows with the square of the first number times the last, and a file may have a hundred replicate
#: weights.
PAIRED_LABELS, TRIPLES = 10, 10
AMOUNTS = 20
#: The shares of the units with an amount that the thresholds of an amount leave below them.
QUANTILES = (0.25, 0.5, 0.75)

T = TypeVar("T")


@dataclass(frozen=True)
class SurveyStatistics:
    """Counts, totals, shares and means by labels, made from the tables of a survey.

    A null, NaN or infinite amount counts as 0: totals are over the units with a known amount. At
    most `PAIRED_LABELS` label columns form pairs, and at most `AMOUNTS` amounts are added up.

    Some statistics are left out: sets of columns with more cells than units, cells with an
    effective number of records below `LEAST_EFFECTIVE_N`, and cells that the targets determine. The
    targets determine a cell if each of its units is in a target of the same variable, and these
    targets have the same label columns, which include those of the cell. Only totals with a value
    determine a cell.

    Parameters
    ----------
    survey : Survey
    column_types : dict of str to ColumnTypes
        By the name of the table; "" for the records, which come first.
    targets : Targets
    """

    survey: Survey
    column_types: dict[str, ColumnTypes]
    targets: Targets

    @cached_property
    def units(self) -> list[Units]:
        """The tables, with the amounts that are added up."""
        statements = self.targets.statements
        used = {name for of in statements for name in (of.variable, of.denominator)}
        found = []
        for entity, types in self.column_types.items():
            of = self.survey.members[entity] if entity else self.survey.records
            amounts = _first(types.amounts, lambda name: name in used, AMOUNTS)
            rows = np.arange(of.table.num_rows)
            found.append(Units(entity, of.record, of.table, types.labels, amounts, rows))
        return [units.in_order() if units.entity else units for units in found]

    def compare(
        self,
        reference: NDArray[np.float64],
        weights: NDArray[np.float64],
        trained: AbstractSet[str] = frozenset(),
    ) -> pa.Table:
        """See `UntargetedStatistics.compare`."""
        parts = [
            _rows(units, found)
            for units in self.units
            for found in self._found(units, units.spread(reference), units.spread(weights))
        ]
        return _flagged(pa.concat_tables(parts), trained)

    def estimates(
        self,
        reference: NDArray[np.float64],
        records: NDArray[np.int64],
        columns: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """See `UntargetedStatistics.estimates`."""
        chosen, place = np.zeros(len(reference)), np.zeros(len(reference), dtype=np.int64)
        chosen[records], place[records] = 1.0, np.arange(len(records))
        parts = [
            found.estimates(place[units.record], columns)
            for units in self.units
            for found in self._found(units, units.spread(reference), units.spread(chosen))
        ]
        return np.vstack(parts)

    def soft_targets(
        self, reference: NDArray[np.float64], represent: Represent, most: int
    ) -> SoftTargets | None:
        """See `UntargetedStatistics.soft_targets`."""
        names: list[str] = []
        blocks: list[sp.csr_array] = []
        values: list[NDArray[np.float64]] = []
        support: list[NDArray[np.float64]] = []
        for units, columns in self._asked(represent):
            weights = units.spread(reference)
            cells = units.cells(columns)
            for measure in units.measures:
                sums = _Sums.of(measure, weights)
                total, effective_n = sums.totals(cells)
                shown = np.flatnonzero(self._shown(units, cells, measure, effective_n))
                blocks.append(units.rows(cells, measure, shown, len(reference)))
                names += [
                    describe(units.entity, measure.name, cell) for cell in cells.labels(shown)
                ]
                values.append(total[shown])
                support.append(effective_n[shown])
        if not names:
            return None
        return kept(
            SoftTargets(sp.vstack(blocks, format="csr"), np.concatenate(values), names),
            np.concatenate(support),
            most,
        )

    def _asked(self, represent: Represent) -> Iterator[tuple[Units, tuple[Labels, ...]]]:
        """List what `represent` asks for: tables, and label columns of them."""
        if represent is True:
            for units in self.units:
                yield units, ()
                for column in units.labels:
                    yield units, (column,)
            return
        assert not isinstance(represent, bool)
        known = {column.name for units in self.units for column in units.labels}
        listed: set[tuple[str, tuple[str, ...]]] = set()
        for item in represent:
            names = item if isinstance(item, tuple) else (str(item),)
            lost = [name for name in names if name not in known]
            if lost:
                are = "is" if len(lost) == 1 else "are"
                raise InputError(
                    f"`represent` names {first_few(lost)}, which {are} no label column of the "
                    f"tables; for {lost[0]!r}, {closest(lost[0], known)}"
                )
            found = False
            for units in self.units:
                labels = {column.name: column for column in self._labels(units)}
                own = any(column.name in names for column in units.labels)
                if own and all(name in labels for name in names):
                    found = True
                    # In the order of the table, so that statistics have the names of `compare`.
                    columns = tuple(labels[name] for name in labels if name in names)
                    asked = (units.entity, tuple(column.name for column in columns))
                    if asked not in listed:
                        listed.add(asked)
                        yield units, columns
            if not found:
                raise InputError(
                    f"`represent` names the pair {names!r}, whose columns are in two member tables"
                    "; name two columns of one table, or of a member table and the records"
                )

    def _labels(self, units: Units) -> list[Labels]:
        """Give the label columns of units, and those of their records."""
        own = {column.name for column in units.labels}
        inherited = [
            Labels(column.name, column.codes[units.record], column.levels)
            for column in (self.units[0].labels if units.entity else [])
            if column.name not in own
        ]
        return [*units.labels, *inherited]

    def _groups(self, units: Units) -> Iterator[tuple[tuple[Labels, ...], bool]]:
        """List the sets of label columns, and whether their cells are held out."""
        yield (), False
        for column in units.labels:
            yield (column,), False
        used = {name for of in self.targets.labels for name, _ in of}
        own = {column.name for column in units.labels}
        paired = _first(self._labels(units), lambda column: column.name in used, PAIRED_LABELS)
        pairs = [pair for pair in combinations(paired, 2) if any(one.name in own for one in pair)]
        triples = list(combinations(paired, 3))[:TRIPLES] if not units.entity else []
        for columns in (*pairs, *triples):
            if np.prod([len(column.levels) for column in columns], dtype=float) <= units.size:
                yield columns, True

    def _found(
        self, units: Units, reference: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> Iterator[_Found]:
        """Find the statistics of a table, in their order."""
        sums = [_Sums.of(measure, reference, weights) for measure in units.measures]
        ratios = [_Ratios.of(measure, reference, weights) for measure in units.measures[1:]]
        parts: list[list[_Found]] = [[] for _ in sums]
        # The loop over measures is inside, so that the cells are computed once for all of them.
        for columns, held_out in self._groups(units):
            cells = units.cells(columns)
            if columns and np.bincount(cells.codes).max() < LEAST_EFFECTIVE_N:
                continue  # the effective number is at most the number of units
            for part, measure, of in zip(parts, units.measures, sums, strict=True):
                total, effective_n = of.totals(cells)
                shown = np.flatnonzero(self._shown(units, cells, measure, effective_n))
                part.append(_Found(measure.name, cells, shown, total, effective_n, held_out, of))
            if held_out:
                continue
            for part, of_ratios in zip(parts[1:], ratios, strict=True):
                part.extend(of_ratios.found(cells))
        for of_measure in parts:
            yield from of_measure

    def _shown(
        self, units: Units, cells: Cells, measure: Measure, effective_n: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Tell which cells have support and are not determined by the targets."""
        shown = effective_n >= LEAST_EFFECTIVE_N
        names = {column.name for column in cells.columns}
        for of_target, inside in self._targeted.get((units.entity, measure.name), ()):
            if of_target >= names:
                shown &= np.bincount(cells.codes, ~inside, cells.size) > 0
        return shown

    @cached_property
    def _targeted(
        self,
    ) -> dict[tuple[str, str], list[tuple[frozenset[str], NDArray[np.bool_]]]]:
        """The label columns of targets, and the units in a target, by table and variable."""
        found: dict[tuple[str, str], list[tuple[frozenset[str], NDArray[np.bool_]]]] = {}
        orders = {units.entity: units.order for units in self.units}
        for (entity, names), rows in patterns(self.targets).items():
            of_variable: dict[str, list[int]] = {}
            for row in filter(self.targets.is_published, rows):
                of_variable.setdefault(self.targets.variables[row], []).append(row)
            table = self.survey.members[entity] if entity else self.survey.records
            for variable, asked in of_variable.items():
                _, cell_of_unit = cells_of_targets(self.targets, asked, names, table, self.survey)
                found.setdefault((entity, variable), []).append(
                    (frozenset(names), (cell_of_unit >= 0)[orders[entity]])
                )
        return found


@dataclass(frozen=True)
class MatrixStatistics:
    """Statistics from the rows of a matrix.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (p, n)
    """

    matrix: sp.csr_array

    def compare(
        self,
        reference: NDArray[np.float64],
        weights: NDArray[np.float64],
        trained: AbstractSet[str] = frozenset(),
    ) -> pa.Table:
        """See `UntargetedStatistics.compare`."""
        total, estimate = self.matrix @ reference, self.matrix @ weights
        squares = self.matrix.multiply(self.matrix) @ reference**2
        p = len(total)
        names, none, everyone = [f"statistic {row}" for row in range(p)], [""] * p, np.ones(p, bool)
        effective_n = _effective_n(total, squares)
        table = _table(names, none, none, total, estimate, effective_n, held_out=everyone)
        return _flagged(table, trained)

    def estimates(
        self,
        reference: NDArray[np.float64],
        records: NDArray[np.int64],
        columns: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """See `UntargetedStatistics.estimates`."""
        return np.asarray(self.matrix[:, records] @ columns)

    def soft_targets(
        self, reference: NDArray[np.float64], represent: Represent, most: int
    ) -> SoftTargets | None:
        """See `UntargetedStatistics.soft_targets`. By default, no row is trained on."""
        p = self.matrix.shape[0]
        rows = range(p) if represent is True else represent
        assert not isinstance(rows, bool)
        wrong = [row for row in rows if not (isinstance(row, int) and 0 <= row < p)]
        if wrong:
            raise InputError(
                f"`represent` holds {first_few(wrong)}; of a problem from a matrix, it is a list "
                f"of rows of `untargeted`, from 0 to {p - 1}"
            )
        chosen = np.array(sorted(set(rows)), dtype=np.int64)
        if not len(chosen):
            return None
        matrix = self.matrix[chosen]
        total = matrix @ reference
        support = _effective_n(total, matrix.multiply(matrix) @ reference**2)
        names = [f"statistic {row}" for row in chosen]
        return kept(SoftTargets(matrix, total, names), support, most)


def untargeted_metrics(table: pa.Table | None) -> UntargetedMetrics:
    """Compute the median and the mean capped relative error; None if there is no statistic."""
    found: UntargetedMetrics = {
        "untargeted_median_error": None,
        "untargeted_capped_error": None,
        "represented_capped_error": None,
    }
    if table is None:
        return found
    error = table.column("relative_error").to_numpy()
    held_out, trained = (table.column(name).to_numpy() for name in ("held_out", "trained"))
    if held_out.any():
        found["untargeted_median_error"] = float(np.median(np.abs(error[held_out])))
        found["untargeted_capped_error"] = float(capped_error(error[held_out]).mean())
    if trained.any():
        found["represented_capped_error"] = float(capped_error(error[trained]).mean())
    return found


@dataclass(frozen=True, eq=False)
class _Sums:
    """A measure under the reference weights, and under the weights of a result.

    Attributes
    ----------
    places : ndarray of int64, shape (p,)
        The positions of the units with a number.
    contributions : ndarray of float64, shape (p,)
        Under the reference weights.
    places_now : ndarray of int64, shape (q,)
        Of the units that the result keeps.
    contributions_now : ndarray of float64, shape (q,)
    """

    places: NDArray[np.int64]
    contributions: NDArray[np.float64]
    squares: NDArray[np.float64]
    places_now: NDArray[np.int64]
    contributions_now: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        measure: Measure,
        reference: NDArray[np.float64],
        weights: NDArray[np.float64] | None = None,
    ) -> _Sums:
        contributions = reference[measure.places] * measure.values
        now = np.zeros(0) if weights is None else weights[measure.places] * measure.values
        chosen = np.flatnonzero(now)
        return cls(
            measure.places,
            contributions,
            contributions**2,
            measure.places[chosen],
            now[chosen],
        )

    def totals(self, cells: Cells) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the reference, and the effective number of records, of each cell."""
        codes = cells.codes[self.places]
        total = _add_up(codes, self.contributions, cells.size)
        return total, _effective_n(total, _add_up(codes, self.squares, cells.size))

    def estimates(self, cells: Cells) -> NDArray[np.float64]:
        """Compute the totals of the result."""
        return _add_up(cells.codes[self.places_now], self.contributions_now, cells.size)

    def under(
        self,
        cells: Cells,
        shown: NDArray[np.int64],
        record: NDArray[np.int64],
        columns: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Compute the totals of some cells, where the units have these weights beside their own."""
        row = np.full(cells.size, -1)
        row[shown] = np.arange(len(shown))
        row = row[cells.codes[self.places_now]]
        inside = row >= 0
        entries = (row[inside], record[self.places_now[inside]])
        shape = (len(shown), len(columns))
        sums = sp.coo_array((self.contributions_now[inside], entries), shape=shape).tocsr()
        return np.asarray(sums @ columns)


@dataclass(frozen=True, eq=False)
class _Ratios:
    """The mean of an amount where it is not 0, and the shares of units up to its quartiles.

    Attributes
    ----------
    holders : _Sums
        The number of units whose amount is not 0.
    numerators : list of (str, _Sums)
        By the names of the ratios.
    """

    holders: _Sums
    numerators: list[tuple[str, _Sums]]

    @classmethod
    def of(
        cls, measure: Measure, reference: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> _Ratios:
        everyone = measure.part(np.ones(len(measure.places), dtype=bool))
        numerators = [(f"mean {measure.name} where not 0", _Sums.of(measure, reference, weights))]
        for threshold in _thresholds(measure, reference):
            part = measure.part(measure.values <= threshold)
            name = f"share with {measure.name} up to {threshold:,.6g} where not 0"
            numerators.append((name, _Sums.of(part, reference, weights)))
        return cls(_Sums.of(everyone, reference, weights), numerators)

    def found(self, cells: Cells) -> Iterator[_Found]:
        """Find the ratios in some cells."""
        total, least_n = self.holders.totals(cells)
        for name, numerator in self.numerators:
            of_numerator, effective_n = numerator.totals(cells)
            effective_n = np.minimum(effective_n, least_n)
            shown = np.flatnonzero(effective_n >= LEAST_EFFECTIVE_N)
            reference = _divided(of_numerator, total)
            yield _Found(name, cells, shown, reference, effective_n, True, numerator, self.holders)


@dataclass(frozen=True, eq=False)
class _Found:
    """A statistic in cells of the same label columns.

    Attributes
    ----------
    name : str
    cells : Cells
    shown : ndarray of int64, shape (c,)
        The cells that count.
    reference, effective_n : ndarray of float64, shape (cells.size,)
    held_out : bool
    numerator : _Sums
    denominator : _Sums or None
    """

    name: str
    cells: Cells
    shown: NDArray[np.int64]
    reference: NDArray[np.float64]
    effective_n: NDArray[np.float64]
    held_out: bool
    numerator: _Sums
    denominator: _Sums | None = None

    def estimate(self) -> NDArray[np.float64]:
        """Compute the statistic of the result in each cell that counts, shape (c,)."""
        top = self.numerator.estimates(self.cells)[self.shown]
        if self.denominator is None:
            return top
        return _divided(top, self.denominator.estimates(self.cells)[self.shown])

    def estimates(
        self, record: NDArray[np.int64], columns: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Compute it under columns of weights, shape (k, C), which a unit has by its record."""
        top = self.numerator.under(self.cells, self.shown, record, columns)
        if self.denominator is None:
            return top
        return _divided(top, self.denominator.under(self.cells, self.shown, record, columns))


def _thresholds(measure: Measure, reference: NDArray[np.float64]) -> list[float]:
    """Find the weighted quartiles of the numbers that are not 0, without repetitions."""
    if not len(measure.places):
        return []
    order = np.argsort(measure.values, kind="stable")
    cumulated = np.cumsum(reference[measure.places][order])
    at = np.searchsorted(cumulated, np.array(QUANTILES) * cumulated[-1])
    found = measure.values[order][at.clip(max=len(order) - 1)]
    return [float(value) for value in np.unique(found) if value < measure.values.max()]


def _divided(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


def _first(items: list[T], wanted: Callable[[T], bool], most: int) -> list[T]:
    """Take at most so many items, in their order. The wanted ones have priority."""
    places = sorted(range(len(items)), key=lambda place: not wanted(items[place]))[:most]
    return [items[place] for place in sorted(places)]


def _effective_n(total: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the effective number of records, (sum c)^2 / sum c^2, or 0 if all c are 0."""
    return np.divide(total**2, squares, out=np.zeros(len(total)), where=squares > 0)


def _add_up(
    codes: NDArray[np.int64], amounts: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    return np.bincount(codes, amounts, size).astype(np.float64, copy=False)


def _flagged(table: pa.Table, trained: AbstractSet[str]) -> pa.Table:
    """Flag the statistics that were trained on. They are not held out."""
    is_trained = np.isin(table.column("statistic").to_pylist(), list(trained))
    held_out = table.column("held_out").to_numpy() & ~is_trained
    place = table.column_names.index("held_out")
    table = table.set_column(place, "held_out", pa.array(held_out))
    return table.append_column("trained", pa.array(is_trained))


def _rows(units: Units, found: _Found) -> pa.Table:
    shown = found.shown
    return _table(
        [describe(units.entity, found.name, cell) for cell in found.cells.labels(shown)],
        [found.name] * len(shown),
        [found.cells.by] * len(shown),
        found.reference[shown],
        found.estimate(),
        found.effective_n[shown],
        np.full(len(shown), found.held_out),
    )


def _table(
    names: list[str],
    variables: list[str],
    by: list[str],
    total: NDArray[np.float64],
    estimate: NDArray[np.float64],
    effective_n: NDArray[np.float64],
    held_out: NDArray[np.bool_],
) -> pa.Table:
    difference = estimate - total
    return pa.table(
        {
            "statistic": pa.array(names, pa.string()),
            "variable": pa.array(variables, pa.string()),
            "by": pa.array(by, pa.string()),
            "reference": total,
            "estimate": estimate,
            "relative_error": np.divide(
                difference, np.abs(total), out=np.sign(difference), where=total != 0
            ),
            "effective_n": effective_n,
            "held_out": held_out,
        }
    )

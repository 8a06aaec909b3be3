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

from l0.calibration.evaluation.comparison import comparison_table, flagged
from l0.calibration.evaluation.sums import Found, Ratios, Sums, supported
from l0.calibration.evaluation.units import Cells, Measure, Units
from l0.calibration.inputs.column_types import ColumnTypes, Labels
from l0.calibration.inputs.kinds import describe
from l0.calibration.inputs.survey import Survey
from l0.calibration.inputs.targets import Targets
from l0.calibration.problem.matrix import cells as cells_of_targets
from l0.calibration.problem.matrix import patterns
from l0.calibration.problem.representation import Represent, SoftTargets, kept
from l0.common.errors import InputError, closest, first_few

#: The largest number of label columns that form pairs, of triples of them, and of amounts that are
#: added up. Columns that a target uses come first, then the first columns of the file. The work
#: grows with the square of the first number times the last, and a file may have a hundred replicate
#: weights.
PAIRED_LABELS, TRIPLES = 10, 10
AMOUNTS = 20

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
        return flagged(pa.concat_tables(parts), trained)

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
                sums = Sums.of(measure, weights)
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
    ) -> Iterator[Found]:
        """Find the statistics of a table, in their order."""
        sums = [Sums.of(measure, reference, weights) for measure in units.measures]
        ratios = [Ratios.of(measure, reference, weights) for measure in units.measures[1:]]
        parts: list[list[Found]] = [[] for _ in sums]
        # The loop over measures is inside, so that the cells are computed once for all of them.
        for columns, held_out in self._groups(units):
            cells = units.cells(columns)
            if columns and not supported(np.bincount(cells.codes)).any():
                continue  # the effective number is at most the number of units
            for part, measure, of in zip(parts, units.measures, sums, strict=True):
                total, effective_n = of.totals(cells)
                shown = np.flatnonzero(self._shown(units, cells, measure, effective_n))
                part.append(Found(measure.name, cells, shown, total, effective_n, held_out, of))
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
        shown = supported(effective_n)
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


def _rows(units: Units, found: Found) -> pa.Table:
    shown = found.shown
    return comparison_table(
        [describe(units.entity, found.name, cell) for cell in found.cells.labels(shown)],
        [found.name] * len(shown),
        [found.cells.by] * len(shown),
        found.reference[shown],
        found.estimate(),
        found.effective_n[shown],
        np.full(len(shown), found.held_out),
    )


def _first(items: list[T], wanted: Callable[[T], bool], most: int) -> list[T]:
    """Take at most so many items, in their order. The wanted ones have priority."""
    places = sorted(range(len(items)), key=lambda place: not wanted(items[place]))[:most]
    return [items[place] for place in sorted(places)]

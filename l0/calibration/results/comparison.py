"""`compare`: two results side by side, on what they share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from textwrap import fill
from typing import Any, Generic, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from l0.calibration.problem.core import HELD_OUT
from l0.calibration.problem.losses import capped_error
from l0.calibration.results.matching import (
    OUTCOMES,
    Shared,
    described,
    matched_records,
    shared_statistics,
    shared_targets,
)
from l0.calibration.results.report.comparison import render
from l0.calibration.results.result import CalibrationResult
from l0.calibration.results.summary import HEADLINES, Rows, stated
from l0.common.atomic_files import whole_file
from l0.common.errors import InputError
from l0.common.formatting import counted, percent, signed
from l0.common.text_tables import TERMINAL, Row, as_html, as_text
from l0.common.validation import check_path
from l0.data.tables import FrameT, Kind, native

#: The largest number of targets in each table of a summary.
MOST = 5
FOOTNOTE = (
    "* On statistics that no fit is trained on, each against the full file of its\n"
    "  own run. All errors are relative and count at most 100%."
)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Generic[FrameT]):
    """Two results side by side (see `compare`).

    `print` shows the main metrics and what was won and lost, and a notebook shows the same.

    Attributes
    ----------
    metrics : dict
        The numbers, as the notes describe.
    notes : list of str
        Sentences on what the two do not share.
    tables : dict of str to pyarrow.Table
        The tables behind the frames: ``targets``, ``untargeted`` (if both have such statistics) and
        ``records``.
    runs : pair of dict
        The runs of A and of B, as in `CalibrationResult`.
    folders : pair of str
        The folders that A and B were read from; "" for a result in memory.
    kind : {"pandas", "polars", "pyarrow"}
        The kind of the frames: that of A.

    Notes
    -----
    The metrics are:

    * `a`, `b`: the metrics of each result.
    * `n_targets`: the number of targets that both have. `n_targets_only_a`, `n_targets_only_b` and
      `n_targets_changed` count those of one alone, and those that state something else in the other
      one. They are left out.
    * `targets_won`, `targets_lost`, `targets_alike`: how many of them are nearer in B, nearer in A,
      or have errors that differ by at most 0.1 percentage points.
    * `targets_error_a`, `targets_error_b`: their mean capped relative errors. Each counts the same,
      also those that are out of reach or were held out.
    * `n_untargeted`, `untargeted_won`, `untargeted_lost`, `untargeted_alike`, `untargeted_error_a`,
      `untargeted_error_b`: the same for the statistics that are held out in both. The errors are
      None if there are none.
    * `n_records`, `n_records_only_a`, `n_records_only_b`: the numbers of records that both have,
      and one alone.
    * `weight_share_a`, `weight_share_b`: the share of the sum of the weights that the common
      records have.
    * `median_weight_ratio`: the median of a weight in B over the one in A, of the common records,
      or None.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem, compare
    >>> A = np.array([[1.0, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]])
    >>> loose = CalibrationProblem.from_matrix(A, [60, 40, 60], np.full(4, 10.0))
    >>> comparison = compare(loose.solve(2, "random"), loose.solve())
    >>> comparison
    <Comparison: 3 common targets, 1 won, 0 lost, 2 common records>
    """

    metrics: dict[str, Any]
    notes: list[str]
    tables: dict[str, pa.Table]
    runs: tuple[dict[str, Any], dict[str, Any]]
    folders: tuple[str, str] = ("", "")
    kind: Kind = "pyarrow"

    @property
    def targets(self) -> FrameT:
        """A frame of the targets that both have, in the order of A.

        Its columns are `name`, `group`, what the target states (as in `targets` of a result),
        `estimate_a`, `relative_error_a`, `status_a`, `estimate_b`, `relative_error_b`, `status_b`,
        and `outcome`: ``A is nearer``, ``B is nearer`` or ``alike``.
        """
        return self._frame("targets")

    @property
    def untargeted(self) -> FrameT | None:
        """A frame of the statistics that are held out in both, or None if there are none.

        Its columns are `statistic`, `variable`, `by`, `reference_a`, `reference_b`,
        `relative_error_a`, `relative_error_b` and `outcome`.
        """
        return self._frame("untargeted") if "untargeted" in self.tables else None

    @property
    def records(self) -> FrameT:
        """A frame of the records that either has: the key, and the weights in both.

        Its columns are the key, `weight_a`, `weight_b`, `design_weight_a` and `design_weight_b`,
        which are null for a record that a result does not have.
        """
        return self._frame("records")

    def summary(self) -> str:
        """Return what `print` shows, and up to five targets that were lost and won by most.

        Returns
        -------
        str
        """
        parts = [str(self)]
        for title, outcome in (("Lost by most", OUTCOMES[0]), ("Won by most", OUTCOMES[2])):
            head, rows = self._farthest(title, outcome)
            if rows:
                parts.append(as_text(head, rows))
        return "\n\n".join(parts)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the comparison as one HTML file that needs no network.

        Parameters
        ----------
        path : str or Path
            The file to write. An existing file is replaced.

        Raises
        ------
        OSError
            If there is no room or no permission. Then an existing file does not change.
        """
        check_path(path, "path", "the file to write")
        page = render(
            self.metrics, self.tables, self.runs, self.folders,
            self._rows(), self._sentences(), self.notes,
        )  # fmt: skip
        with whole_file(path) as draft:
            draft.write_text(page, encoding="utf-8")

    def __str__(self) -> str:
        # A path stays whole, so that it can be copied.
        remarks = [
            fill(text, TERMINAL, break_long_words=False, break_on_hyphens=False)
            for text in (*self._sentences(), *self.notes)
        ]
        return "\n\n".join([f"{as_text(*self._rows())}\n{FOOTNOTE}", *remarks])

    def __repr__(self) -> str:
        m = self.metrics
        return (
            f"<Comparison: {counted(m['n_targets'], 'common target')}, {m['targets_won']:,} won, "
            f"{m['targets_lost']:,} lost, {counted(m['n_records'], 'common record')}>"
        )

    def _repr_html_(self) -> str:
        remarks = "".join(f"<p>{escape(text)}</p>" for text in (*self._sentences(), *self.notes))
        return as_html(*self._rows()) + remarks

    def _rows(self) -> Rows:
        """Make the table of the metrics."""
        m = self.metrics
        common: list[Row] = [
            (f"Mean error on {counted(m['n_targets'], 'common target')}",
             *(percent(m[f"targets_error_{side}"]) for side in "ab")),
        ]  # fmt: skip
        if m["n_untargeted"]:
            common.append(
                (f"Mean error on {m['n_untargeted']:,} common statistics*",
                 *(percent(m[f"untargeted_error_{side}"]) for side in "ab"))
            )  # fmt: skip
        rows: list[Row] = [("Method", *(_method(run) for run in self.runs))]
        for name, (title, write) in HEADLINES.items():
            numbers = [m[side][name] for side in "ab"]
            if any(number is not None for number in numbers):
                cells = ("not known" if number is None else write(number) for number in numbers)
                rows.append((title, *cells))
        return ("", "A", "B"), [*rows, *common]

    def _sentences(self) -> list[str]:
        """Say what is compared, what was won and lost, and which records both have."""
        m, found = self.metrics, []
        if any(self.folders):
            named = (f"the result in {name}" if name else "a result in memory"
                     for name in self.folders)  # fmt: skip
            found.append("A is {}, and B is {}.".format(*named))
        found.append(_outcome(m, "targets", "common target", "common targets"))
        if m["n_untargeted"]:
            found.append(_outcome(m, "untargeted", "untargeted statistic", "untargeted statistics"))
        shares = (percent(m[f"weight_share_{side}"]) for side in "ab")
        text = (
            f"{counted(m['n_records'], 'record is', 'records are')} in both, "
            f"{m['n_records_only_a']:,} in A alone and {m['n_records_only_b']:,} in B alone"
        )
        if m["n_records"]:
            text += "; those in both have {} of all weight in A and {} in B".format(*shares)
        return [*found, text + "."]

    def _farthest(self, title: str, outcome: str) -> Rows:
        table = self.tables["targets"]
        a, b = (table.column(f"relative_error_{side}").to_numpy() for side in "ab")
        rows = np.flatnonzero(np.array(table.column("outcome").to_pylist()) == outcome)
        order = rows[np.argsort(-np.abs(np.abs(a) - np.abs(b))[rows], kind="stable")][:MOST]
        return (title, "Value", "Error in A", "Error in B"), [
            (row["name"], stated(row), signed(row["relative_error_a"]),
             signed(row["relative_error_b"]))
            for row in table.take(order).to_pylist()
        ]  # fmt: skip

    def _frame(self, name: str) -> FrameT:
        return cast(FrameT, native(self.tables[name], self.kind))


def compare(
    a: CalibrationResult[FrameT] | str | os.PathLike[str],
    b: CalibrationResult[Any] | str | os.PathLike[str],
) -> Comparison[FrameT]:
    """Compare two results on what they share: targets, untargeted statistics, weights, records.

    Targets are matched by name, and records by key. A result may come from another table of targets
    or another file of records: what only one of them has is left out, and named in the notes.

    Parameters
    ----------
    a, b : CalibrationResult or path
        Results in memory, or folders that `save` wrote. B is judged against A: a target that is
        nearer in B is won.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If there is no common target, if the records have different keys, or if a folder has no
        saved result.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem, compare
    >>> A = np.random.default_rng(0).uniform(size=(2, 100))
    >>> problem = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100))
    >>> comparison = compare(problem.solve(20, "random"), problem.solve(20, epochs=200))
    >>> comparison.metrics["n_targets"], comparison.targets.column_names[:2]
    (2, ['name', 'group'])
    """
    folders = _folder(a), _folder(b)
    a, b = _result(a, "a"), _result(b, "b")
    targets = shared_targets(a.tables["targets"], b.tables["targets"])
    statistics = shared_statistics(a.tables.get("untargeted"), b.tables.get("untargeted"))
    by_row = a.run["key"] is None, b.run["key"] is None
    weights = a.tables["weights"], b.tables["weights"]
    records = matched_records(*weights, by_row, _same_rows(a, b))
    tables = {"targets": targets.table, "records": records}
    if statistics is not None:
        tables["untargeted"] = statistics.table
    metrics = {
        "a": dict(a.metrics),
        "b": dict(b.metrics),
        "n_targets": targets.table.num_rows,
        "n_targets_only_a": len(targets.only_a),
        "n_targets_only_b": len(targets.only_b),
        "n_targets_changed": len(targets.changed),
        **_counted("targets", targets),
        "n_untargeted": 0 if statistics is None else statistics.table.num_rows,
        **_counted("untargeted", statistics),
        **_of_records(records),
    }
    return Comparison(
        metrics, _notes(targets, statistics, records), tables, (a.run, b.run), folders, a.kind
    )


def _folder(given: Any) -> str:
    """Name the folder of a saved result as the user did; "" for a result in memory."""
    return str(given) if isinstance(given, (str, os.PathLike)) else ""


def _result(given: Any, argument: str) -> CalibrationResult[Any]:
    if isinstance(given, CalibrationResult):
        return given
    if isinstance(given, (str, os.PathLike)):
        return CalibrationResult.load(given)
    raise InputError(
        f"`{argument}` is {type(given).__name__}; pass a result, or the folder of a saved one"
    )


def _same_rows(a: CalibrationResult[Any], b: CalibrationResult[Any]) -> bool:
    """Tell whether a row number may mean the same record in both results, as far as is known."""
    one, other = (result.run.get("inputs", {}).get("records", {}) for result in (a, b))
    for name in ("sha256", "shape"):
        if name in one and name in other:
            return bool(one[name] == other[name])
    return bool(one) == bool(other) and a.metrics["n_candidates"] == b.metrics["n_candidates"]


def _counted(name: str, shared: Shared | None) -> dict[str, Any]:
    """Count what was won and lost, and compute the mean errors."""
    if shared is None:
        none: dict[str, Any] = {f"{name}_{outcome}": 0 for outcome in ("won", "lost", "alike")}
        return none | {f"{name}_error_{side}": None for side in "ab"}
    found = shared.table.column("outcome").to_pylist()
    lost, alike, won = (found.count(outcome) for outcome in OUTCOMES)
    errors = {
        f"{name}_error_{side}": float(
            capped_error(shared.table.column(f"relative_error_{side}").to_numpy()).mean()
        )
        for side in "ab"
    }
    return {f"{name}_won": won, f"{name}_lost": lost, f"{name}_alike": alike, **errors}


def _of_records(records: pa.Table) -> dict[str, Any]:
    """Count the records, and compare the weights of those that both have."""
    a, b = (records.column(f"weight_{side}") for side in "ab")
    both = records.filter(pc.and_(a.is_valid(), b.is_valid()))
    of_both = [
        both.column(f"weight_{side}").to_numpy().astype(np.float64, copy=False) for side in "ab"
    ]
    shares = {
        f"weight_share_{side}": float(part.sum() / pc.sum(whole).as_py())
        for side, part, whole in zip("ab", of_both, (a, b), strict=True)
    }
    n = both.num_rows
    return {
        "n_records": n,
        "n_records_only_a": len(a) - a.null_count - n,
        "n_records_only_b": len(b) - b.null_count - n,
        **shares,
        "median_weight_ratio": float(np.median(of_both[1] / of_both[0])) if n else None,
    }


def _notes(targets: Shared, statistics: Shared | None, records: pa.Table) -> list[str]:
    """Name what the two results do not share."""
    found = []
    for side, names in (("A", targets.only_a), ("B", targets.only_b)):
        if names:
            found.append(f"Targets of {side} alone, which do not count here: {described(names)}.")
    for side in "ab":
        status = targets.table.column(f"status_{side}")
        names = targets.table.filter(pc.equal(status, HELD_OUT)).column("name").to_pylist()
        if names:
            fit = f"the fit of {side.upper()}"
            found.append(f"Common targets that {fit} held out: {described(names)}.")
    if targets.changed:
        found.append(
            "Targets that state another value in B, and do not count here: "
            f"{described(targets.changed)}."
        )
    if statistics is None:
        found.append(
            "Untargeted statistics are not compared: at least one of the two results has none that "
            "the other has too."
        )
    else:
        for side, names in (("A", statistics.only_a), ("B", statistics.only_b)):
            if names:
                found.append(f"Untargeted statistics of {side} alone: {described(names)}.")
    a, b = (records.column(f"design_weight_{side}") for side in "ab")
    moved = pc.sum(pc.not_equal(a, b)).as_py() or 0
    if moved:
        have = counted(moved, "record has", "records have")
        found.append(f"{have} another design weight in B than in A.")
    return found


def _outcome(m: dict[str, Any], name: str, one: str, more: str) -> str:
    n = m[f"n_{name}"]
    return (
        f"Of {n:,} {one if n == 1 else more}, B is nearer to {m[f'{name}_won']:,} and A to "
        f"{m[f'{name}_lost']:,}; {m[f'{name}_alike']:,} are alike (within 0.1 percentage points)."
    )


def _method(run: dict[str, Any]) -> str:
    arguments = run["arguments"]
    if arguments.get("n_records") is None:
        return "all records"
    return str(arguments["method"]).partition("(")[0]

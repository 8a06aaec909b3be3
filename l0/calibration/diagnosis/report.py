"""What a check of a problem found, as a table, a text and a page of a notebook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import fill
from typing import Any, Generic, cast

import pyarrow as pa

from l0.calibration.findings import NOTE, SEVERITIES, Finding
from l0.common.formatting import counted, percent
from l0.common.text_tables import TERMINAL, Row, as_html, as_text
from l0.data.tables import FrameT, Kind, native

#: The largest number of groups in the text.
GROUPS = 20
COLUMNS = pa.schema(
    {
        "severity": pa.string(),
        "about": pa.string(),
        "what": pa.string(),
        "remedy": pa.string(),
        "names": pa.list_(pa.string()),
        "count": pa.int64(),
    }
)


@dataclass(frozen=True, eq=False, repr=False)
class CheckReport(Generic[FrameT]):
    """What a check found before a fit (see `l0.calibration.check`).

    `print` shows the groups of targets and all findings, and a notebook shows the same.

    Attributes
    ----------
    table : pyarrow.Table
        One row for each finding, the worst first. Its columns are `severity` (``error``: a fit
        stops; ``warning``: it is spoiled; ``note``: good to know), `about`, `what`, `remedy`,
        `names` (up to five of the targets, columns or keys concerned) and `count` (of all of them).
    group_table : pyarrow.Table
        One row for each group of targets, the largest share of the loss first: `group`,
        `n_targets`, `share`, `fewest_records` and `median_records` (behind a target), `design_loss`
        (the mean error under the design weights, each counted as at most 100%), `n_unreachable`.
    n_records, n_targets : int
    kind : {"pandas", "polars", "pyarrow"}
        The kind of the frames that `to_frame` and `groups` give.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> A = np.array([[1.0] * 4, [1, 1, 0, 0], [0, 0, 1, 1]])
    >>> problem = CalibrationProblem.from_matrix(
    ...     A, [40, 20, 25], np.full(4, 10.0), names=["all", "men", "women"]
    ... )
    >>> report = problem.check()
    >>> report
    <CheckReport: 1 warning, 1 note>
    >>> report.ok
    False
    >>> report.table.column("what")[0].as_py()
    'all, women and men contradict each other by 12.5%'
    """

    table: pa.Table
    group_table: pa.Table
    n_records: int
    n_targets: int
    kind: Kind = "pyarrow"

    @property
    def ok(self) -> bool:
        """Whether nothing stops or spoils a fit: there are neither errors nor warnings."""
        return all(severity == NOTE for severity in self.table.column("severity").to_pylist())

    @property
    def groups(self) -> FrameT:
        """The table of the groups, as a frame of the kind of the records."""
        return cast(FrameT, native(self.group_table, self.kind))

    def to_frame(self) -> FrameT:
        """Return the findings as a frame of the kind of the records.

        Returns
        -------
        frame

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A, weights = np.ones((1, 40)), np.full(40, 10.0)
        >>> problem = CalibrationProblem.from_matrix(A, [400], weights)
        >>> problem.check().to_frame().num_rows
        0
        """
        return cast(FrameT, native(self.table, self.kind))

    def summary(self) -> str:
        """Return the groups and the findings as text. `print` shows the same.

        Returns
        -------
        str

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A, weights = np.ones((1, 40)), np.full(40, 10.0)
        >>> problem = CalibrationProblem.from_matrix(A, [400], weights)
        >>> print(problem.check().summary())
        40 records, 1 target: no findings
        <BLANKLINE>
        Group  Targets  Share of loss  Records, fewest  Median  Error before
        all          1           100%               40      40            0%
        """
        lines = [self._headline(), as_text(*self._rows())]
        if self.group_table.num_rows > GROUPS:
            lines[-1] += f"\nand {counted(self.group_table.num_rows - GROUPS, 'more group')}"
        for row in self.table.to_pylist():
            title = f"{row['severity'].upper()} ({row['about']})"
            lines.append("\n".join([title, _indented(f"{row['what']}."), _indented(_remedy(row))]))
        return "\n\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<CheckReport: {self._counts()}>"

    def _repr_html_(self) -> str:
        rows: list[Row] = [
            (row["severity"], row["about"], f"{row['what']}.", _remedy(row))
            for row in self.table.to_pylist()
        ]
        found = as_html(("Severity", "About", "Finding", "What to do"), rows) if rows else ""
        return f"<p>{escape(self._headline())}</p>{as_html(*self._rows())}{found}"

    def _counts(self) -> str:
        counts = Counter(self.table.column("severity").to_pylist())
        told = [counted(counts[name], name) for name in SEVERITIES if counts[name]]
        return ", ".join(told) or "no findings"

    def _headline(self) -> str:
        records, targets = counted(self.n_records, "record"), counted(self.n_targets, "target")
        return f"{records}, {targets}: {self._counts()}"

    def _rows(self) -> tuple[Row, list[Row]]:
        head = ("Group", "Targets", "Share of loss", "Records, fewest", "Median", "Error before")
        return head, [
            (
                row["group"], f"{row['n_targets']:,}", percent(row["share"]),
                f"{row['fewest_records']:,}", f"{row['median_records']:,.0f}",
                percent(row["design_loss"]),
            )
            for row in self.group_table.slice(0, GROUPS).to_pylist()
        ]  # fmt: skip


def findings_table(findings: Sequence[Finding]) -> pa.Table:
    """Make the table of findings, the worst first."""
    ordered = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    rows: list[dict[str, Any]] = [
        {name: getattr(finding, name) for name in COLUMNS.names} for finding in ordered
    ]
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def _remedy(row: dict[str, Any]) -> str:
    return f"What to do: {row['remedy']}."


def _indented(text: str) -> str:
    return fill(text, TERMINAL, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)

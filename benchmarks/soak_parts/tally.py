"""What a part of the soak tried, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from l0.common.text_tables import as_text


@dataclass
class Tally:
    """The tries of one kind.

    Attributes
    ----------
    what : str
        What was tried.
    tries : int
    refused : int
        How many ended with a documented error, in words.
    faults : list of str
        What must not happen, each with the seed that repeats it.
    note : str
        Figures of the part, or why it was skipped.
    """

    what: str
    tries: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    note: str = ""

    def line(self) -> str:
        """Write it in a line."""
        mark = "FAULT" if self.faults else "ok   " if self.tries else "skip "
        return (
            f"{mark} {self.what}: {self.tries:,} tries, {self.refused:,} refused in words, "
            f"{len(self.faults):,} faults{f'; {self.note}' if self.note else ''}"
        )


def table(tallies: Sequence[Tally]) -> str:
    """Write the tallies as a table."""
    return as_text(
        ("What", "Tries", "Refused in words", "Faults"),
        [
            (each.what, f"{each.tries:,}", f"{each.refused:,}", f"{len(each.faults):,}")
            for each in tallies
        ],
    )

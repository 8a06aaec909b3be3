"""What the command found: a row for each thing it did, printed at once and kept as JSON."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

#: A note of one line, and numbers for the JSON.
Found = tuple[str, dict[str, Any]]


class SkippedError(Exception):
    """Something that cannot be done here; the message says why."""


@dataclass(frozen=True)
class Row:
    """One thing that was done.

    Attributes
    ----------
    part, name : str
    status : {"ok", "FAIL", "skipped"}
    note : str
        What was found, the error or the reason, in one line.
    seconds : float
        What it took, preparations included.
    values : dict
        The numbers behind the note.
    traceback : str
        Of an error.
    """

    part: str
    name: str
    status: str
    note: str = ""
    seconds: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)
    traceback: str = ""


class Clock:
    """Divide the time there is among the parts; what one part leaves, the later ones share.

    Parameters
    ----------
    seconds : float
        For all parts.
    shares : dict of str to float
        Of each part that will run, at any scale.
    """

    def __init__(self, seconds: float, shares: dict[str, float]) -> None:
        self._end = perf_counter() + seconds
        self._shares = dict(shares)
        self._part_end = self._end

    def begin(self, part: str) -> None:
        """Give a part its share of the time that is left."""
        now = perf_counter()
        share = self._shares[part] / sum(self._shares.values())
        del self._shares[part]
        self._part_end = now + max(0.0, share * (self._end - now))

    def left(self) -> float:
        """Seconds left of the part's share."""
        return self._part_end - perf_counter()


class Report:
    """The rows so far.

    Parameters
    ----------
    about : dict
        The machine, the versions and the options.
    clock : Clock
    file : Path, optional
        Where the JSON goes. It is written after every row: a run that is killed leaves the rest.
    """

    def __init__(self, about: dict[str, Any], clock: Clock, file: Path | None) -> None:
        self._about = about
        self._file = file
        self._part = ""
        self.clock = clock
        self.rows: list[Row] = []

    @property
    def failed(self) -> int:
        """How many rows are errors."""
        return sum(row.status == "FAIL" for row in self.rows)

    def begin(self, part: str, title: str) -> None:
        """Start a part: its heading, and its share of the time."""
        self._part = part
        self.clock.begin(part)
        print(f"\n{title} (at most {max(0.0, self.clock.left()):.0f} s)", flush=True)

    def attempt(self, name: str, action: Callable[[], Found], needs: float = 0.0) -> bool:
        """Do something, and add a row for it whatever happens; say whether it went well.

        Parameters
        ----------
        name : str
        action : callable
            Gives a note and numbers; raises `SkippedError` where it cannot run here.
        needs : float
            Seconds it takes, roughly. It is skipped where the part has less left.
        """
        left = self.clock.left()
        if left < needs or left <= 0:
            reason = f"no time: {max(left, 0):.0f} s left, about {math.ceil(needs)} s needed"
            self.add(Row(self._part, name, "skipped", reason))
            return False
        started = perf_counter()

        def row(status: str, note: str, **more: Any) -> Row:
            return Row(self._part, name, status, note, perf_counter() - started, **more)

        try:
            note, values = action()
        except SkippedError as reason:
            self.add(row("skipped", str(reason)))
            return False
        except ModuleNotFoundError as error:
            if (error.name or "l0").partition(".")[0] == "l0":
                self.add(row("FAIL", one_line(error), traceback=traceback.format_exc()))
            else:
                self.add(row("skipped", f"needs the package {error.name} (`--packages FOLDER`)"))
            return False
        except Exception as error:
            self.add(row("FAIL", one_line(error), traceback=traceback.format_exc()))
            return False
        self.add(row("ok", note, values=values))
        return True

    def skip(self, name: str, reason: str) -> None:
        """Add a row for something that is not even tried."""
        self.add(Row(self._part, name, "skipped", reason))

    def add(self, row: Row) -> None:
        """Print a row and keep it."""
        self.rows.append(row)
        print(
            f"{row.status:<8}{row.seconds:>6.1f} s  {row.name:<58}{row.note}".rstrip(), flush=True
        )
        if self._file is not None:
            content = {"about": self._about, "rows": [asdict(row) for row in self.rows]}
            self._file.write_text(json.dumps(content, indent=2, default=str) + "\n")


def one_line(error: Exception) -> str:
    """Write the type of an error and the first line of its message, at most 200 characters."""
    message = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {message}"[:200]

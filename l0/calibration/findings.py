"""What a check of the input found, and what to do about it.

Code that reads the input hands each finding to a function. The default, `refuse`, makes it an
error. A check that wants to know all of them passes a function that collects them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from l0.common.errors import InputError

#: An error stops a fit, a warning spoils it, and a note is good to know.
ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """Something that stops or spoils a fit, or that is good to know before it.

    Attributes
    ----------
    severity : {"error", "warning", "note"}
    about : str
        The subject in a word or two, such as ``levels``.
    what : str
        What was found, with the first names and numbers.
    remedy : str
        What to do about it.
    names : tuple of str
        The targets, columns or keys that it is about.
    count : int
        How many of them there are, if `names` has only the first ones.
    """

    severity: str
    about: str
    what: str
    remedy: str
    names: tuple[str, ...] = ()
    count: int = 0

    @property
    def text(self) -> str:
        """The finding and the remedy, as one sentence."""
        return f"{self.what}; {self.remedy}"


Complain = Callable[[Finding], None]


def refuse(finding: Finding) -> NoReturn:
    """Raise a finding as an error.

    Examples
    --------
    >>> from l0.calibration.findings import ERROR, Finding, refuse
    >>> try:
    ...     refuse(Finding(ERROR, "levels", "`targets` ask for 'A '", "drop the blank"))
    ... except ValueError as error:
    ...     print(error)
    `targets` ask for 'A '; drop the blank
    """
    raise InputError(finding.text)

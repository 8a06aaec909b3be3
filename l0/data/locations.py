"""Where a table is: a path, and after ``#`` a sheet or the form of the file."""

from __future__ import annotations

import codecs
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from l0.common.errors import InputError, closest


@dataclass(frozen=True)
class Location:
    """The place of a table.

    Attributes
    ----------
    path : Path
        A file, or a folder of parquet files.
    part : str
        What follows ``#``: the name of a sheet, or options such as ``separator=semicolon``.
    """

    path: Path
    part: str = ""

    def __str__(self) -> str:
        return f"{self.path}#{self.part}" if self.part else str(self.path)

    @property
    def name(self) -> str:
        """The name of the file in small letters, by which its reader is found."""
        return self.path.name.lower()


def locate(source: str | os.PathLike[str]) -> Location:
    """Split the text that names a table. A ``#`` in the name of an existing file stays there.

    Examples
    --------
    >>> from l0.data.locations import locate
    >>> locate("totals.xlsx#Sheet 1").part
    'Sheet 1'
    """
    text = os.fspath(source)
    cuts = [place for place, sign in enumerate(text) if sign == "#"]
    if not cuts or Path(text).exists():
        return Location(Path(text))
    cut = next((each for each in cuts if Path(text[:each]).exists()), cuts[0])
    return Location(Path(text[:cut]), text[cut + 1 :])


def options_of(location: Location, argument: str, known: Collection[str]) -> dict[str, str]:
    """Read the options ``name=value,name=value`` of a location.

    Parameters
    ----------
    location : Location
    argument : str
        The name of the source in error messages.
    known : collection of str
        The names of the options that this kind of file has.

    Raises
    ------
    InputError
        If the text is not of this form, or if a name is unknown or occurs twice.
    """
    found: dict[str, str] = {}
    for part in location.part.split(",") if location.part else []:
        name, equals, value = (text.strip() for text in part.partition("="))
        if not known:
            raise InputError(
                f"`{argument}`: {location.path.suffix} files have no options, and "
                f"{str(location)!r} has {location.part!r}; leave out the part after #"
            )
        if not (equals and value) or name not in known or name in found:
            raise InputError(
                f"`{argument}`: {part!r} in {str(location)!r} is no option of this file; write "
                f"name=value once for each, with commas between them; {closest(name, known)}"
            )
        found[name] = value
    return found


def checked_encoding(word: str, argument: str) -> str:
    """Check the name of an encoding, and write it as Python does."""
    try:
        return codecs.lookup(word).name
    except LookupError:
        raise InputError(
            f"`{argument}`: {word!r} is no known encoding; write utf-8, latin-1, cp1252 or "
            "utf-16, for example"
        ) from None

"""Cells of a sheet that a reader takes for empty although something stands there.

The library that reads sheets gives no value for a cell with an error (``#N/A``), for a formula that
was never computed, and for all but the first of merged cells. An empty label of a target stands for
all units, so that such a cell must not pass. The XML of the file tells which cells these are.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

#: Cells of Excel with an error, and those with a formula that has no value. A formula whose result
#: is an empty text has the type ``str``.
_ERROR = re.compile(rb'<(?:\w+:)?c\b(?=[^>]*\bt="e")[^>]*\br="([A-Z]+\d+)"')
_UNCOMPUTED = re.compile(
    rb'<(?:\w+:)?c\b(?![^>]*\bt="str")[^>]*\br="([A-Z]+\d+)"[^>]*>\s*'
    rb"<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
#: What the parts of a damaged archive raise: no such part, no such sheet, or unreadable bytes.
DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, KeyError, StopIteration, ElementTree.ParseError,
    NotImplementedError, RuntimeError,
)  # fmt: skip
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*\bref="([A-Z]+\d+:[A-Z]+\d+)"')
#: What OpenDocument writes for such cells. Without any of them, the file need not be parsed.
_OPEN_DOCUMENT = re.compile(rb'value-type="error"|covered-table-cell|table:formula=')


def address(row: int, column: int) -> str:
    """Write the address of a cell as the program shows it.

    Examples
    --------
    >>> from l0.data.readers.sheet_xml import address
    >>> address(6, 1), address(0, 27)
    ('B7', 'AB1')
    """
    letters, place = "", column + 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{row + 1}"


def lost_cells(path: Path, sheet: str) -> dict[str, list[str]]:
    """List the addresses of cells that are read as empty, by what stands there.

    Parameters
    ----------
    path : Path
        An ``.xlsx`` or ``.ods`` file.
    sheet : str
        The name of the sheet.

    Returns
    -------
    dict of str to list of str
        The keys are ``errors``, ``formulas`` (without a value) and ``merged`` (ranges, or in
        OpenDocument their first cells).

    Raises
    ------
    OSError
        If the file is damaged in a part that the reader of the cells makes up for.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if path.suffix.lower() == ".ods":
                return _of_open_document(archive.read("content.xml"), sheet)
            content = archive.read(_part_of(archive, sheet))
    except DAMAGE as error:
        raise OSError(f"it is damaged: {error or type(error).__name__}") from None
    patterns = {"errors": _ERROR, "formulas": _UNCOMPUTED, "merged": _MERGED}
    return {
        what: [found.decode() for found in pattern.findall(content)]
        for what, pattern in patterns.items()
    }


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """Find the part of an Excel file with a sheet."""
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    named = next(each for each in book.iter() if _is(each, "sheet") and each.get("name") == sheet)
    wanted = next(value for name, value in named.items() if name.endswith("}id"))
    links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    target = next(each.get("Target", "") for each in links if each.get("Id") == wanted)
    path = posixpath.normpath(posixpath.join("/xl", target)).lstrip("/").lower()
    return next(name for name in archive.namelist() if name.lower() == path)


def _of_open_document(content: bytes, sheet: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"errors": [], "formulas": [], "merged": []}
    if not _OPEN_DOCUMENT.search(content):
        return found
    tree = ElementTree.fromstring(content)
    table = next(each for each in tree.iter() if _is(each, "table") and _of(each, "name") == sheet)
    for row, column, cell in _cells(table):
        if _of(cell, "number-rows-spanned", "1") != "1" or (
            _of(cell, "number-columns-spanned", "1") != "1"
        ):
            found["merged"].append(address(row, column))
        if any(value == "error" for name, value in cell.items() if name.endswith("value-type")):
            found["errors"].append(address(row, column))
        elif _of(cell, "formula") and not _of(cell, "value-type"):
            found["formulas"].append(address(row, column))
    return found


def _cells(table: ElementTree.Element) -> Iterator[tuple[int, int, ElementTree.Element]]:
    """Go through the cells of a table of OpenDocument, with their rows and columns."""
    row = 0
    for line in (each for each in table.iter() if _is(each, "table-row")):
        column = 0
        for cell in line:
            if _is(cell, "table-cell"):
                yield row, column, cell
            column += int(_of(cell, "number-columns-repeated", "1"))
        row += int(_of(line, "number-rows-repeated", "1"))


def _is(element: ElementTree.Element, name: str) -> bool:
    return element.tag.rpartition("}")[2] == name


def _of(element: ElementTree.Element, name: str, default: str = "") -> str:
    """Take an attribute, in whatever namespace it is."""
    return next((value for key, value in element.items() if key.endswith("}" + name)), default)

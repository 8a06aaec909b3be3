"""Writers of files, one for each kind of file. The suffix decides.

A new writer is a function in a file of its own, and an entry in `WRITERS`. Its arguments are an
Arrow table, whose fields may have a `Coding`, the wanted location, the path of a draft, and the
form of a CSV file. It returns notes on what the file cannot hold, and raises `InputError` for a
table that it cannot hold at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa

from l0.common.atomic_files import whole_file
from l0.common.errors import InputError, first_few
from l0.common.validation import check_path
from l0.data.codings import coding_of, without_missing_codes
from l0.data.locations import Location, locate
from l0.data.packages import package_for
from l0.data.readers import READ
from l0.data.readers.csv_form import SUFFIXES, CsvForm
from l0.data.writers.arrow_files import write_feather, write_parquet
from l0.data.writers.csv_files import write_csv
from l0.data.writers.sheets import write_sheet
from l0.data.writers.stat_files import PROGRAMS, write_stat

Writer = Callable[[pa.Table, Location, Path, CsvForm | None], list[str]]

#: The suffixes, each with its writer and the packages that it needs.
WRITERS: dict[str, tuple[Writer, tuple[str, ...]]] = {
    **dict.fromkeys((".parquet", ".pq"), (write_parquet, ())),
    ".feather": (write_feather, ()),
    **dict.fromkeys(SUFFIXES, (write_csv, ())),
    **dict.fromkeys(PROGRAMS, (write_stat, ("pyreadstat", "pandas"))),
    ".xlsx": (write_sheet, ("xlsxwriter",)),
}
#: The suffixes of files that keep value labels.
LABELLED = (".parquet", ".pq", ".feather", *PROGRAMS)


def writer_of(path: str | os.PathLike[str], argument: str) -> Writer:
    """Find the writer of a file. Call this before a long computation.

    Raises
    ------
    InputError
        If this is no path, if no writer has its suffix, or if the package is missing.
    """
    check_path(path, argument, "the file to write")
    location = locate(path)
    found = next((found for end, found in WRITERS.items() if location.name.endswith(end)), None)
    if found is None:
        known = next((end for end in READ if location.name.endswith(end)), None)
        why = f"{known} files are read only" if known else "its suffix is unknown"
        raise InputError(
            f"`{argument}`: cannot write {str(location)!r}: {why}; name one of {', '.join(WRITERS)}"
        )
    write, packages = found
    for package in packages:
        package_for(package, f"`{argument}`: writing", location)
    if location.path.is_dir():
        raise InputError(f"`{argument}`: {str(location)!r} is a folder; name a file to write")
    return write


def check_apart(
    path: str | os.PathLike[str], sources: Iterable[str | os.PathLike[str]], argument: str
) -> None:
    """Refuse a path that would replace a file that is read, or join a folder that is read."""
    wanted = locate(path).path.resolve()
    for source in sources:
        read = locate(source).path.resolve()
        if wanted == read:
            raise InputError(
                f"`{argument}`: {str(path)!r} is a file that is read; write to another one"
            )
        if read in wanted.parents:
            raise InputError(
                f"`{argument}`: {str(path)!r} is inside of the folder {str(source)!r}, which is "
                "read as one table; write to another place"
            )


def check_new_file(path: str | os.PathLike[str], argument: str) -> None:
    """Refuse a path that is taken, or for which there is no writer (see `writer_of`)."""
    writer_of(path, argument)
    if locate(path).path.exists():
        raise InputError(
            f"`{argument}`: there is a file {str(path)!r} already; name another, or move it"
        )


def write_table(
    table: pa.Table,
    path: str | os.PathLike[str],
    argument: str,
    form: CsvForm | None = None,
) -> list[str]:
    """Write a table to a file, whole or not at all.

    Parameters
    ----------
    table : pyarrow.Table
        Missing codes are in it (see `read_file`, `keep_codes`).
    path : str or Path
        Where to write. An existing file is replaced.
    argument : str
        The name of the path in error messages.
    form : CsvForm, optional
        For a CSV file: the form to write. The default is comma-separated UTF-8.

    Returns
    -------
    list of str
        Notes on what the file cannot hold: value labels, or missing codes.
    """
    write = writer_of(path, argument)
    location = locate(path)
    codings = [coding_of(field) for field in table.schema]
    program = PROGRAMS.get(location.path.suffix.lower())
    notes = []
    if any(coding is not None and coding.program != program for coding in codings):
        table = without_missing_codes(table)
    lost = [field.name for field in table.schema if (coding := coding_of(field)) and coding.found]
    if lost:
        notes.append(f"missing codes of {first_few(lost)} are empty cells")
    labelled = [
        field.name for field in table.schema if (coding := coding_of(field)) and coding.values
    ]
    if labelled and not location.name.endswith(LABELLED):
        notes.append(f"{first_few(labelled)} have codes, without their value labels")
    try:
        with whole_file(location.path) as draft:
            notes += write(table, location, draft, form)
    except (pa.ArrowException, UnicodeError) as error:
        raise InputError(
            f"`{argument}`: cannot write {str(location)!r}: {error}; write .parquet instead"
        ) from None
    return [f"{location.path.name}: {note}" for note in notes]

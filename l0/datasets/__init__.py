"""The bundled survey: US tax units from the CPS, their members, and published totals.

`README.md` in this folder has the sources and the limits of the data.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from l0.data.tables import Kind, checked_kind, native, read_table

__all__ = ["CPS", "cps_paths", "load_cps"]


class CPS(NamedTuple):
    """The three tables of `load_cps`, or their paths.

    Attributes
    ----------
    tax_units, persons, targets : frame or Path

    Examples
    --------
    >>> import l0
    >>> cps = l0.datasets.load_cps()
    >>> cps.targets.num_rows
    1776
    """

    tax_units: Any
    persons: Any
    targets: Any


def cps_paths() -> CPS:
    """Return the paths of the bundled files.

    Returns
    -------
    tax_units, persons : Path
        Parquet files.
    targets : Path
        A CSV file.

    Examples
    --------
    >>> import l0
    >>> [path.name for path in l0.datasets.cps_paths()]
    ['cps_tax_units.parquet', 'cps_persons.parquet', 'us_targets.csv']
    """
    folder = Path(str(files("l0.datasets")))
    return CPS(
        folder / "cps_tax_units.parquet", folder / "cps_persons.parquet", folder / "us_targets.csv"
    )


def load_cps(kind: Kind = "pyarrow") -> CPS:
    """Load 277,262 US tax units, their 539,425 members and 1,776 published totals.

    Parameters
    ----------
    kind : {"pyarrow", "pandas", "polars"}
        The kind of the frames.

    Returns
    -------
    tax_units : frame, 277,262 rows
        From the Current Population Survey 2013-2015, in 2022 dollars a year. `tax_unit_id` is the
        key. `weight` is the number of tax units that a row represents.
    persons : frame, 539,425 rows
        Heads, spouses and dependents with an age band, and the `tax_unit_id` of their tax unit.
    targets : frame, 1,776 rows
        Totals that the Census Bureau, the IRS and the USDA published, each with its source.

    Raises
    ------
    InputError
        If `kind` is none of these.
    ImportError
        If the package of that kind is not installed.

    Examples
    --------
    >>> import l0
    >>> tax_units, persons, targets = l0.datasets.load_cps("pandas")
    >>> vermont = tax_units[tax_units["state"] == "VT"]
    >>> print(f"{len(vermont):,} rows represent {vermont['weight'].sum():,.0f} tax units")
    3,265 rows represent 411,647 tax units
    """
    kind = checked_kind(kind, "pyarrow")
    paths = cps_paths()
    return CPS(
        tax_units=native(read_table(paths.tax_units, "tax_units")[0], kind),
        persons=native(read_table(paths.persons, "persons")[0], kind),
        targets=native(read_table(paths.targets, "targets", {"value": pa.float64()})[0], kind),
    )

"""The bundled survey: CPS tax units, their members, and published totals (README.md beside it)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from l0.data.tables import Kind, checked_kind, native, read_table

__all__ = ["CPS", "cps_paths", "load_cps"]


class CPS(NamedTuple):
    """The three tables of `load_cps`."""

    tax_units: Any
    persons: Any
    targets: Any


def cps_paths() -> CPS:
    """Paths of the bundled files.

    Returns
    -------
    tax_units, persons : Path
        Parquet files.
    targets : Path
        A CSV file.
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
        Kind of the frames.

    Returns
    -------
    tax_units : frame, 277,262 rows
        From the Current Population Survey 2013-2015, in 2022 dollars a year; `weight` is the
        number of tax units that a row stands for, `tax_unit_id` the key.
    persons : frame, 539,425 rows
        Head, spouse and dependents with an age band, tied by `tax_unit_id`.
    targets : frame, 1,776 rows
        Totals published by the Census Bureau, the IRS and the USDA, each with its source.

    Raises
    ------
    InputError
        Where `kind` is none of these.
    ImportError
        Where the package of that kind is not installed.
    """
    kind = checked_kind(kind, "pyarrow")
    paths = cps_paths()
    return CPS(
        tax_units=native(read_table(paths.tax_units, "tax_units")[0], kind),
        persons=native(read_table(paths.persons, "persons")[0], kind),
        targets=native(read_table(paths.targets, "targets", {"value": pa.float64()})[0], kind),
    )

"""Rows of a table on their way from one file to another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.data.codings import coding_of, without_missing_codes
from l0.data.readers.csv_files import csv_file
from l0.data.readers.csv_form import CsvForm, form_of
from l0.data.tables import is_path, read_file, read_table, take_weighted_rows


def source_of(
    table: Any, argument: str, key: str | None, as_text: bool
) -> tuple[pa.Table, pa.Table, CsvForm | None]:
    """Read a table twice: as it is to be written, and as it is understood.

    Parameters
    ----------
    table : frame or path
    argument : str
        The name of the table in error messages.
    key : str or None
        The column that identifies its rows.
    as_text : bool
        Whether the cells of a CSV file are to be written to another one, as the text that they are.

    Returns
    -------
    source : pyarrow.Table
        The cells as they are in the file, with missing codes.
    rows : pyarrow.Table
        The same as `read_table` reads it.
    form : CsvForm or None
        The form of a CSV file.
    """
    if not is_path(table):
        rows, _ = read_table(table, argument)
        return rows, rows, None
    location = csv_file(table)
    if location is None:
        source = read_file(table, argument, keep_codes=True)
        return source, read_table(without_missing_codes(source), argument)[0], None
    rows, _ = read_table(table, argument, key=key)
    source = read_file(table, argument, column_types={}) if as_text else rows
    return source, rows, form_of(location, argument)


def reweighted(
    source: pa.Table, places: NDArray[np.int64], name: str, weights: NDArray[Any]
) -> pa.Table:
    """Take rows and give them weights, in a column that keeps its place and its label."""
    taken = take_weighted_rows(source, places, name, weights)
    fields = []
    for field in taken.schema:
        before = source.schema.field(field.name) if field.name in source.column_names else field
        coding = coding_of(before)
        if field.name == name and coding is not None:  # the others are of the old weights
            coding = replace(coding, values=[], missing=[], integer=False, format=None, found={})
        fields.append(field if coding is None else coding.on(field))
    return taken.cast(pa.schema(fields, metadata=source.schema.metadata))

"""CSV files. Text is written as it is, so that codes keep their digits."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.compute as pc

from l0.common.errors import InputError
from l0.data.columns import plain
from l0.data.locations import Location, options_of
from l0.data.readers.csv_form import CsvForm
from l0.data.writers.unwritable import check_types


def write_csv(table: pa.Table, location: Location, draft: Path, form: CsvForm | None) -> list[str]:
    """Write a CSV file of a form, by default comma-separated UTF-8. Null is an empty cell.

    A ``.tsv`` file has tabs between its cells, whatever the form says.
    """
    options_of(location, "table", ())
    check_types(table, location)
    form = form or CsvForm()
    if ".tsv" in location.name:
        form = replace(form, separator="\t")
    elif form.separator == "\t":
        form = replace(form, separator=",")
    cells = [_texts(table.column(place), form) for place in range(table.num_columns)]
    opened = gzip.open if location.name.endswith(".gz") else open
    with opened(draft, "wb") as file:
        try:
            text = io.TextIOWrapper(file, form.encoding, newline="")
            writer = csv.writer(_Lines(text), delimiter=form.separator)
            writer.writerow(table.column_names)
            writer.writerows(zip(*cells, strict=True))
            text.flush()
            text.detach()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{str(location)!r} is written as {form.encoding}, like the table that came in, "
                f"which has no {error.object[error.start : error.end]!r}; write .parquet instead"
            ) from None
    return []


class _Lines:
    """Ends lines with a line feed. `csv` quotes the signs of its own line end, and only those."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n") + "\n")


def _texts(values: pa.ChunkedArray, form: CsvForm) -> list[str | None]:
    texts = plain(values)
    if pa.types.is_floating(texts.type):
        texts = pc.if_else(pc.is_nan(texts), None, texts)
    if not pa.types.is_string(texts.type):
        numeric = pa.types.is_floating(texts.type) or pa.types.is_decimal(texts.type)
        texts = texts.cast(pa.string())
        if numeric and form.decimal != ".":
            texts = pc.replace_substring(texts, ".", form.decimal)
    found: list[str | None] = texts.to_pylist()
    return found

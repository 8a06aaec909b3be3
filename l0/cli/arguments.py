"""Arguments and options that several commands have, and how their texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from l0.calibration.options import read_pairs
from l0.common.errors import InputError


def whole_numbers(text: str) -> list[int]:
    """Read an option of the form K,K,...

    Examples
    --------
    >>> from l0.cli.arguments import whole_numbers
    >>> whole_numbers("1000,5000")
    [1000, 5000]
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of whole numbers; write 1000,5000,20000, for example"
        ) from None


def labels(text: str) -> dict[str, str]:
    """Read an option of the form COLUMN=LABEL,...

    Examples
    --------
    >>> from l0.cli.arguments import labels
    >>> labels("state=VT,year=2020")
    {'state': 'VT', 'year': '2020'}
    """
    try:
        return read_pairs(text, "COLUMN=LABEL; write state=VT, for example")
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


Records = Annotated[
    Path,
    typer.Argument(
        metavar="RECORDS", help="Survey file, such as .csv, .dta or .sav.", show_default=False
    ),
]
Targets = Annotated[
    Path,
    typer.Argument(
        metavar="TARGETS",
        help="Table of published totals, one in each row, such as totals.csv or book.xlsx#Sheet.",
        show_default=False,
    ),
]
Result = Annotated[
    Path, typer.Argument(metavar="RESULT", help="Folder of an earlier run.", show_default=False)
]
NRecords = Annotated[
    int | None,
    typer.Option(metavar="K", help="Records to keep. Without it, all are kept and calibrated."),
]
Budgets = Annotated[
    Any,
    typer.Option(parser=whole_numbers, metavar="K,K,...", help="Numbers of records to keep."),
]
Method = Annotated[
    str,
    typer.Option(help="How to choose records: hybrid, path, hard_concrete, random, pps or cube."),
]
MaxUntargeted = Annotated[
    float | None,
    typer.Option(
        metavar="E",
        help="Look for the smallest number of records whose mean error on untargeted statistics "
        "is at most E, such as 0.15.",
    ),
]
MaxLoss = Annotated[
    float | None,
    typer.Option(
        metavar="E",
        help="Look for the smallest number of records whose mean error on the targets is at most "
        "E.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        metavar="FOLDER",
        help="Folder to write: new, empty, or of an earlier run, which is replaced.",
    ),
]
Write = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]FILE",
        help="Also write the chosen rows of RECORDS, or of the member table NAME, with the new "
        "weights: .csv, .parquet, .feather, .dta, .sav or .xlsx. May be repeated.",
    ),
]
Log = Annotated[
    str | None,
    typer.Option(
        metavar="all|none",
        help="Whether to write calibration_log.csv, a row for each target and snapshot; by "
        "default it is written up to 10 MB.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress and no table.")]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")]

"""Commands on saved results: `l0 report`, `compare`, `select` and `estimate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from l0.cli.app import app
from l0.cli.arguments import Json, Quiet, Result, labels
from l0.cli.output import conclude, say, summary_of
from l0.common.formatting import split_names


@app.command()
def report(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Folder of an earlier run.", show_default=False),
    ],
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the report of a saved result again."""
    from l0.calibration import CalibrationResult

    result = CalibrationResult.load(folder)
    result.to_html(folder / "report.html")
    conclude(result.metrics, summary_of(result), folder / "report.html", quiet, as_json)


@app.command()
def compare(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="Folder of an earlier run.", show_default=False)
    ],
    b: Annotated[
        Path, typer.Argument(metavar="B", help="Folder of another run.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The page to write. An existing one is replaced.")
    ] = Path("l0-comparison.html"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare two saved results: targets won and lost, weights, records in common.

    Targets are matched by name, and records by key.
    """
    from l0.calibration import compare as run_compare
    from l0.output_files import check_page

    check_page(out, [a, b], "--out")
    found: Any = run_compare(a, b)
    found.to_html(out)
    conclude(found.metrics, found.summary(), out, quiet, as_json)


@app.command()
def select(
    folder: Result,
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="The records, a member table, or any other file with the key.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="File to write: .csv, .parquet, .feather, .dta, .sav or .xlsx.",
            show_default=False,
        ),
    ],
    weight: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column for the new weights; the default is that of the design weights.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the rows of TABLE that belong to the chosen records, with the new weights."""
    from l0.calibration import CalibrationResult
    from l0.output_files import Output, check_outputs

    check_outputs([Output(table, out)], [table], folder, None, "OUT")
    notes = CalibrationResult.load(folder).write(table, out, weight)
    say(notes)
    if not quiet:
        typer.echo(f"Written to {out}")


@app.command()
def estimate(
    folder: Result,
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="Records, members, or another file with the key.",
            show_default=False,
        ),
    ],
    of: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The amount. Without it, rows are counted.")
    ] = None,
    by: Annotated[
        Any,
        typer.Option(
            parser=split_names, metavar="COLUMN,...", help="Label columns of the domains."
        ),
    ] = None,
    statistic: Annotated[
        str, typer.Option(help="total, mean, share, ratio, quantile or gini.")
    ] = "total",
    denominator: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The denominator of a ratio.")
    ] = None,
    within: Annotated[
        Any,
        typer.Option(
            parser=split_names,
            metavar="COLUMN,...",
            help="Those of --by that a share adds up within.",
        ),
    ] = None,
    q: Annotated[
        float | None, typer.Option(metavar="SHARE", help="The share below a quantile.")
    ] = None,
    level: Annotated[float, typer.Option(help="The level of the intervals.")] = 0.95,
    compared_with: Annotated[
        Any,
        typer.Option(
            parser=labels,
            metavar="COLUMN=LABEL,...",
            help="Show differences from the domain with these labels.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the table: .csv, .xlsx, .parquet, .dta, ..."),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Estimate a statistic from a saved result, with standard errors.

    The result needs replicate weights.
    """
    from l0.calibration import CalibrationResult
    from l0.calibration.results.summary import FEW_RECORDS, estimate_rows
    from l0.common.text_tables import as_text
    from l0.data.writers import write_table
    from l0.output_files import Output, check_outputs

    if out is not None:
        check_outputs([Output(table, out)], [table], folder, None, "--out")
    found = CalibrationResult.load(folder).estimate(
        table, of, by=by or (), statistic=statistic, denominator=denominator, within=within, q=q,
        level=level, compared_with=compared_with,
    )  # fmt: skip
    if out is not None:
        say(write_table(found, out, "--out"))
    if as_json:
        typer.echo(json.dumps(found.to_pylist(), allow_nan=False, default=str))
    elif not quiet:
        typer.echo(as_text(*estimate_rows(found)))
        if any(found.column("few_records").to_pylist()):
            typer.echo(FEW_RECORDS)
        if out is not None:
            typer.echo(f"\nWritten to {out}")

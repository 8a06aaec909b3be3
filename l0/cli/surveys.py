"""Commands on a survey before any fit, without torch: `l0 check` and `l0 targets`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from l0.cli.app import FOUND_SOMETHING, app
from l0.cli.arguments import NRecords, Records, Targets
from l0.cli.options import takes_some, with_members
from l0.cli.output import say
from l0.cli.wording import as_options, options_of
from l0.common.formatting import counted, split_names


@app.command()
@takes_some("bounds", "weight_bounds", "must_keep", "quotas")
def check(
    ctx: typer.Context,
    records: Records,
    targets: Targets,
    n_records: NRecords = None,
    max_seconds: Annotated[
        float, typer.Option(metavar="S", help="Seconds for the search for contradictions.")
    ] = 1.5,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as one JSON object.")
    ] = False,
    **options: Any,
) -> None:
    """Say before a fit what would stop or spoil it.

    The exit status is 0 if there is nothing but notes, 1 if there are errors or warnings, and 2 if
    the tables cannot be read.
    """
    from l0.calibration import check as run_check

    found = run_check(
        records, targets, n_records=n_records, max_seconds=max_seconds, **with_members(options)
    )
    found = _in_options(found, ctx)
    if as_json:
        tables = {"findings": found.table.to_pylist(), "groups": found.group_table.to_pylist()}
        sizes = {"n_records": found.n_records, "n_targets": found.n_targets}
        typer.echo(json.dumps({"ok": found.ok, **sizes, **tables}, allow_nan=False))
    elif not quiet:
        typer.echo(found.summary())
    if not found.ok:
        raise typer.Exit(FOUND_SOMETHING)


def _in_options(found: Any, ctx: typer.Context) -> Any:
    """Write the findings of a check in the words of the command line."""
    import pyarrow as pa

    application: Any = ctx.parent
    words = options_of(ctx.command, application.command.commands["calibrate"])
    table = found.table
    for name in ("what", "remedy"):
        texts = [as_options(text, words) for text in table.column(name).to_pylist()]
        column = pa.array(texts, pa.string())
        table = table.set_column(table.column_names.index(name), name, column)
    return replace(found, table=table)


@app.command("targets")
@takes_some()
def write_targets(
    records: Records,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN,...",
            help="Label columns of a margin. Repeat it for several margins. Without it, the "
            "totals are over all rows.",
        ),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option(
            "--variable",
            metavar="COLUMN",
            help="Column to add up, or count, the default, for the number of rows. May be "
            "repeated.",
        ),
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Table of --members to count. Default: the records."),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="New file to write: .csv, .xlsx, .parquet, ...")
    ] = Path("targets.csv"),
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing.")] = False,
    **options: Any,
) -> None:
    """Write a table of targets to fill in, with the totals of RECORDS under the design weights."""
    from l0.calibration import targets_template
    from l0.data.writers import check_apart, check_new_file, write_table

    check_new_file(out, "--out")
    asked = with_members(options)
    check_apart(out, [records, *asked["members"].values()], "--out")
    table = targets_template(
        records,
        by=[_margin(text) for text in by or []],
        variables=variables or ["count"],
        entity=entity,
        kind="pyarrow",
        **asked,
    )
    say(write_table(table, out, "--out"))
    if not quiet:
        typer.echo(f"{counted(table.num_rows, 'target')} to fill in\n\nWritten to {out}")


def _margin(text: str) -> list[str]:
    """Read the label columns of a margin."""
    margin = split_names(text)
    if not margin:
        raise typer.BadParameter(
            f"--by {text!r} names no column; write --by state,age, for example, or leave it out"
        )
    return margin

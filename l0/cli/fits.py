"""Commands that fit: `l0 demo`, `calibrate`, `frontier` and `rerun`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from l0.calibration.options import NOT_OF_A_FRONTIER
from l0.calibration.progress import progress_bar
from l0.cli.app import FOUND_SOMETHING, app
from l0.cli.arguments import (
    Budgets,
    Json,
    Log,
    MaxLoss,
    MaxUntargeted,
    Method,
    NRecords,
    Out,
    Quiet,
    Records,
    Targets,
    Write,
)
from l0.cli.options import takes_options, with_members
from l0.cli.output import conclude, say, summary_of, worded
from l0.cli.ranks import are_several, process_group
from l0.common.atomic_files import are_apart, check_replaceable, whole_folder
from l0.common.errors import InputError
from l0.common.ranks import RankLost

#: All files that `l0 frontier` writes.
FRONTIER_FILES = ("frontier.csv", "frontier.png")


@app.command()
def demo(
    n_records: NRecords = 5545,
    out: Out = Path("l0-demo"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Choose 5,545 of the 277,262 bundled CPS tax units, and hit 1,776 published totals."""
    from l0.datasets import cps_paths

    tax_units, persons, targets = cps_paths()
    _calibrate(
        tax_units, targets, out, quiet, as_json, [], None,
        n_records=n_records, key="tax_unit_id", weight="weight", members={"person": persons},
    )  # fmt: skip


@app.command()
@takes_options()
def calibrate(
    records: Records,
    targets: Targets,
    n_records: NRecords = None,
    method: Method = "hybrid",
    out: Out = Path("l0-result"),
    write: Write = None,
    log: Log = None,
    quiet: Quiet = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Choose exactly K records of RECORDS, and give them weights that hit TARGETS."""
    _calibrate(
        records, targets, out, quiet, as_json, write or [], log,
        n_records=n_records, method=method, **with_members(options),
    )  # fmt: skip


@app.command()
@takes_options(hidden=NOT_OF_A_FRONTIER)
def frontier(
    records: Records,
    targets: Targets,
    n_records: Budgets,
    method: Method = "hybrid",
    max_untargeted: MaxUntargeted = None,
    max_loss: MaxLoss = None,
    out: Out = Path("l0-frontier"),
    quiet: Quiet = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Compare several numbers of records: fit, representation and effective sample size.

    With a limit, further numbers are tried, until the smallest one within it is known up to 5%. The
    method `path` passes all numbers in one run. The command writes frontier.csv, and frontier.png
    if matplotlib is installed.
    """
    from l0.calibration import frontier as run_frontier
    from l0.calibration.results.search import checked_limits

    check_replaceable(out, FRONTIER_FILES)
    limits: dict[str, float] = {}
    if max_untargeted is not None or max_loss is not None:
        limits = checked_limits(max_untargeted=max_untargeted, max_loss=max_loss)
    shown: dict[str, Any] = {}
    with progress_bar(not quiet) as listener:
        result = run_frontier(
            records, targets, n_records=n_records, method=method, progress=listener,
            **with_members(options),
        )  # fmt: skip
        # What is known so far is not lost if no budget is within the limits.
        written = _write_frontier(result, out)
        reason = ""
        if limits:
            found = result.smallest(**limits)
            result = found.frontier
            written = _write_frontier(result, out)
            reason = f"\n\n{replace(found, reason=worded(found.reason))}"
            shown = {"smallest": found.n_records}
    notes = {budget: [worded(note) for note in of] for budget, of in result.notes.items()}
    text = f"{replace(result, notes=notes)}{reason}"
    named = {str(budget): of_budget for budget, of_budget in notes.items()}
    metrics = {"budgets": result.table.to_pylist(), "notes": named, **shown}
    conclude(metrics, text, written, quiet, as_json)


def _write_frontier(result: Any, out: Path) -> Path:
    """Write the files of a frontier, and return the path of the one to look at."""
    import pyarrow.csv

    with whole_folder(out, FRONTIER_FILES) as draft:
        pyarrow.csv.write_csv(result.table, draft / FRONTIER_FILES[0])
        try:
            result.plot(draft / FRONTIER_FILES[1])
        except ImportError:
            return out / FRONTIER_FILES[0]
    return out / FRONTIER_FILES[1]


@app.command()
def rerun(
    saved: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT", help="Folder of an earlier run, or its run.json.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write the new result.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Repeat a run that was made from files, and compare. The exit status is 1 if they differ."""
    from l0.calibration.rerun import rerun as run_again
    from l0.calibration.results.storage import RESULT_FILES

    if out is not None:
        check_replaceable(out, RESULT_FILES)
        if not are_apart(out, saved if saved.is_dir() else saved.parent):
            raise InputError(
                f"`--out`: the folder {str(out)!r} would replace the run that is repeated; name "
                "another one"
            )
    with progress_bar(not quiet) as listener:
        result, comparison = run_again(saved, listener)
        if out is not None:
            result.save(out)
    if not quiet:
        typer.echo("\n".join(comparison.sentences))
    if not comparison.same:
        raise typer.Exit(FOUND_SOMETHING)


def _calibrate(
    records: Path,
    targets: Path,
    out: Path,
    quiet: bool,
    as_json: bool,
    write: list[str],
    log: str | None,
    **options: Any,
) -> None:
    from l0.calibration import calibrate
    from l0.calibration.checkpoints.opening import check_checkpoint_apart
    from l0.calibration.results.storage import RESULT_FILES, check_log
    from l0.output_files import check_outputs, outputs_of

    check_log(log)
    members = options["members"]
    outputs = outputs_of(write, records, members)
    quotas = [options["quotas"]] if options.get("quotas") else []
    with process_group() as rank:
        if rank == 0:  # the only one that writes
            check_replaceable(out, RESULT_FILES)
            if options.get("checkpoint"):
                check_checkpoint_apart(Path(options["checkpoint"]), out)
            inputs = [records, targets, *members.values(), *quotas]
            check_outputs(outputs, inputs, out, options["key"])
        with progress_bar(not quiet and rank == 0) as listener:
            try:
                result = calibrate(
                    records, targets, progress=listener, distributed=are_several(), **options
                )
            except RankLost as error:
                if not options.get("checkpoint"):
                    raise
                raise RankLost(f"{error}; start it again with --resume to go on") from error
            if rank:
                return
            result.save(out, log)
    for output in outputs:
        say(result.write(output.source, output.path))
    conclude(result.metrics, summary_of(result), out / "report.html", quiet, as_json)

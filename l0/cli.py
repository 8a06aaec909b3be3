"""The command line: `l0 demo`, `calibrate`, `frontier`, `estimate`, `report`, `compare`, ...

Commands import slow modules when they need them, so that `l0 --help` is fast.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from typer.core import TyperGroup

import l0
from l0.calibration.options import Option, Options, SurveyOptions, TableOptions, known
from l0.calibration.progress import progress_bar
from l0.common.atomic_files import check_replaceable, whole_file, whole_folder
from l0.common.errors import InputError

FOUND_SOMETHING, BAD_INPUT, INTERRUPTED = 1, 2, 130

#: All files that `l0 frontier` writes.
FRONTIER_FILES = ("frontier.csv", "frontier.png")


class Commands(TyperGroup):
    """The commands. An error in the input is one line on standard error, and not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _stop("interrupted", INTERRUPTED)
        except typer.BadParameter as error:
            _stop(error.format_message(), BAD_INPUT)
        except InputError as error:
            _stop(str(error), BAD_INPUT)
        except BrokenPipeError:  # the reader of the output has closed it: typer ends quietly
            raise
        except OSError as error:
            where = f": {str(error.filename)!r}" if error.filename else ""
            _stop(f"{error.strerror or error}{where}", BAD_INPUT)


def _stop(message: str, code: int) -> NoReturn:
    typer.echo("l0: " + " ".join(message.split()), err=True)
    raise typer.Exit(code)


app = typer.Typer(
    cls=Commands,
    help="Choose few records of a survey, and lose nothing that matters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def whole_numbers(text: str) -> list[int]:
    """Read an option of the form K,K,...

    Examples
    --------
    >>> from l0.cli import whole_numbers
    >>> whole_numbers("1000,5000")
    [1000, 5000]
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of whole numbers; write 1000,5000,20000, for example"
        ) from None


def names(text: str) -> list[str]:
    """Read an option of the form NAME,NAME,...

    Examples
    --------
    >>> from l0.cli import names
    >>> names("state, year")
    ['state', 'year']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def labels(text: str) -> dict[str, str]:
    """Read an option of the form COLUMN=LABEL,...

    Examples
    --------
    >>> from l0.cli import labels
    >>> labels("state=VT,year=2020")
    {'state': 'VT', 'year': '2020'}
    """
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(column and equals for column, equals, _ in pairs):
        raise typer.BadParameter(
            f"{text!r} is not of the form COLUMN=LABEL; write state=VT, for example"
        )
    return {column.strip(): label.strip() for column, _, label in pairs}


Records = Annotated[
    Path,
    typer.Argument(metavar="RECORDS", help="Survey file: .parquet or .csv.", show_default=False),
]
Targets = Annotated[
    Path,
    typer.Argument(
        metavar="TARGETS", help="Table of published totals, one in each row.", show_default=False
    ),
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
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress and no table.")]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")]


def _parser(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Make typer show the reason why a value cannot be read."""

    def parse(text: str) -> Any:
        try:
            return read(text)
        except InputError as error:
            raise typer.BadParameter(str(error)) from None

    return parse


Command = TypeVar("Command", bound=Callable[..., None])


def takes_options(command: Command) -> Command:
    """Give a command the options of a calibration in place of ``**options``."""
    return _with_options(command, known(SurveyOptions))


def takes_some(*names: str) -> Callable[[Command], Command]:
    """Give a command the options of tables, and those of a fit with these names."""
    asked = known(TableOptions) | {name: known(Options)[name] for name in names}
    return lambda command: _with_options(command, asked)


def _with_options(command: Command, options: Mapping[str, Option]) -> Command:
    signature = inspect.signature(command, eval_str=True)
    parameters = [each for each in signature.parameters.values() if each.name != "options"]
    for name, option in options.items():
        if option.read is None:
            continue
        plain = option.read in (int, str, bool)
        kind: Any = option.read if plain else Any
        if option.repeated:
            kind = list[kind]
        asked = typer.Option(
            help=option.text + (" May be repeated." if option.repeated else ""),
            metavar=option.metavar,
            parser=None if plain else _parser(option.read),
        )
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=Annotated[kind if option.default is not None else kind | None, asked],
            )
        )
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"l0 {l0.__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Choose few records of a survey, and lose nothing that matters."""
    # Torch reads this when it is imported, below. By default, OpenMP threads spin while they wait,
    # and take the cores of other threads: beside one busy process, a fit took five times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
        tax_units, targets, out, quiet, as_json,
        n_records=n_records, key="tax_unit_id", weight="weight", members={"person": persons},
    )  # fmt: skip


@app.command()
@takes_options
def calibrate(
    records: Records,
    targets: Targets,
    n_records: NRecords = None,
    method: Method = "hybrid",
    out: Out = Path("l0-result"),
    quiet: Quiet = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Choose exactly K records of RECORDS, and give them weights that hit TARGETS."""
    _calibrate(
        records, targets, out, quiet, as_json,
        n_records=n_records, method=method, **_with_members(options),
    )  # fmt: skip


@app.command()
@takes_options
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
            **_with_members(options),
        )  # fmt: skip
        # What is known so far is not lost if no budget is within the limits.
        written = _write_frontier(result, out)
        text = str(result)
        if limits:
            found = result.smallest(**limits)
            result = found.frontier
            written = _write_frontier(result, out)
            text = f"{result}\n\n{found}"
            shown = {"smallest": found.n_records}
    notes = {str(budget): of_budget for budget, of_budget in result.notes.items()}
    metrics = {"budgets": result.table.to_pylist(), "notes": notes, **shown}
    _conclude(metrics, text, written, quiet, as_json)


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
def estimate(
    folder: Annotated[
        Path,
        typer.Argument(metavar="RESULT", help="Folder of an earlier run.", show_default=False),
    ],
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
        Any, typer.Option(parser=names, metavar="COLUMN,...", help="Label columns of the domains.")
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
            parser=names, metavar="COLUMN,...", help="Those of --by that a share adds up within."
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
        Path | None, typer.Option(metavar="FILE", help="Write the table: .csv or .parquet.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Estimate a statistic from a saved result, with standard errors.

    The result needs replicate weights.
    """
    import pyarrow.csv
    import pyarrow.parquet

    from l0.calibration import CalibrationResult
    from l0.calibration.results.summary import FEW_RECORDS, estimate_rows
    from l0.common.text_tables import as_text

    writers = {".csv": pyarrow.csv.write_csv, ".parquet": pyarrow.parquet.write_table}
    if out is not None and out.suffix not in writers:
        raise InputError(f"`--out` is {str(out)!r}; name a .csv or .parquet file")
    found = CalibrationResult.load(folder).estimate(
        table, of, by=by or (), statistic=statistic, denominator=denominator, within=within, q=q,
        level=level, compared_with=compared_with,
    )  # fmt: skip
    if out is not None:
        with whole_file(out) as draft:
            writers[out.suffix](found, draft)
    if as_json:
        typer.echo(json.dumps(found.to_pylist(), allow_nan=False, default=str))
    elif not quiet:
        typer.echo(as_text(*estimate_rows(found)))
        if any(found.column("few_records").to_pylist()):
            typer.echo(FEW_RECORDS)
        if out is not None:
            typer.echo(f"\nWritten to {out}")


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
    _conclude(result.metrics, result.summary(), folder / "report.html", quiet, as_json)


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

    found: Any = run_compare(a, b)
    found.to_html(out)
    _conclude(found.metrics, found.summary(), out, quiet, as_json)


@app.command()
@takes_some("bounds", "weight_bounds", "must_keep", "quotas")
def check(
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
        records, targets, n_records=n_records, max_seconds=max_seconds, **_with_members(options)
    )
    if as_json:
        tables = {"findings": found.table.to_pylist(), "groups": found.group_table.to_pylist()}
        sizes = {"n_records": found.n_records, "n_targets": found.n_targets}
        typer.echo(json.dumps({"ok": found.ok, **sizes, **tables}, allow_nan=False))
    elif not quiet:
        typer.echo(found.summary())
    if not found.ok:
        raise typer.Exit(FOUND_SOMETHING)


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
    variable: Annotated[
        list[str] | None,
        typer.Option(
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
        Path, typer.Option(metavar="FILE", help="File to write: a new .csv or .parquet file.")
    ] = Path("targets.csv"),
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing.")] = False,
    **options: Any,
) -> None:
    """Write a table of targets to fill in, with the totals of RECORDS under the design weights."""
    from l0.calibration import targets_template
    from l0.data.writing import check_new_file, write_new_file

    check_new_file(out, "out")
    table = targets_template(
        records,
        by=[[name.strip() for name in margin.split(",")] for margin in by or []],
        variables=variable or ["count"],
        entity=entity,
        kind="pyarrow",
        **_with_members(options),
    )
    write_new_file(table, out)
    if not quiet:
        typer.echo(f"{table.num_rows:,} targets to fill in\n\nWritten to {out}")


def _with_members(options: dict[str, Any]) -> dict[str, Any]:
    """Make a dictionary of the tables that `--members` names one by one."""
    pairs = options["members"] or []
    if len(dict(pairs)) < len(pairs):
        raise InputError("`--members` has a name twice; give each table its own name")
    return {**options, "members": dict(pairs)}


def _calibrate(
    records: Path, targets: Path, out: Path, quiet: bool, as_json: bool, **options: Any
) -> None:
    from l0.calibration import calibrate
    from l0.calibration.results.storage import RESULT_FILES

    check_replaceable(out, RESULT_FILES)
    with progress_bar(not quiet) as listener:
        result = calibrate(records, targets, progress=listener, **options)
        result.save(out)
    _conclude(result.metrics, result.summary(), out / "report.html", quiet, as_json)


def _conclude(
    metrics: Mapping[str, Any], text: str, written: Path, quiet: bool, as_json: bool
) -> None:
    """Print the metrics as JSON, or a text, or nothing."""
    if as_json:
        typer.echo(json.dumps(metrics, allow_nan=False))
    elif not quiet:
        typer.echo(f"{text}\n\nWritten to {written}")

"""The application, and how its errors are shown."""

from __future__ import annotations

import os
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

import l0
from l0.cli.ranks import LOST, check_command
from l0.cli.wording import arguments_of, as_options, options_of
from l0.common.errors import InputError
from l0.common.ranks import RankLost

#: Exit statuses, beside 0 for success. `l0 check` and `l0 rerun` end with the first of them.
FOUND_SOMETHING, BAD_INPUT, INTERRUPTED = 1, 2, 130


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
            _stop(as_options(str(error), self._options(ctx)), BAD_INPUT)
        except RankLost as error:
            _stop(str(error), LOST)
        except BrokenPipeError:  # the reader of the output has closed it: typer ends quietly
            raise
        except OSError as error:
            where = f": {str(error.filename)!r}" if error.filename else ""
            _stop(as_options(f"{error.strerror or error}{where}", self._options(ctx)), BAD_INPUT)

    def _options(self, ctx: Any) -> dict[str, str]:
        """List what an error can mean: arguments and options of the command, options of a fit."""
        command = self.commands[ctx.invoked_subcommand]
        return options_of(command, self.commands["calibrate"]) | arguments_of(command)


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


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"l0 {l0.__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
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
    check_command(context.invoked_subcommand)
    import pyarrow as pa

    # Ctrl-C ends a command, and pyarrow would lose it now and then while it reads a small CSV file:
    # it has a handler of its own then. Without it, Python's handler comes once the file is read.
    pa.enable_signal_handlers(False)

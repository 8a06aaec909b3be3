"""A live line on the terminal for those who ask for one; the library itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from l0.calibration.fitting.history import Progress

STAGES = {
    "dense": "calibrating all records",
    "select": "choosing records",
    "refit": "weighing the chosen",
}


@contextmanager
def progress_bar(
    progress: bool | Callable[[Progress], None] | None,
) -> Iterator[Callable[[Progress], None] | None]:
    """Give the listener that `progress` asks for.

    Parameters
    ----------
    progress : bool, callable or None
        True draws a live line (stage, records left, loss, time) on standard error where that
        is a terminal; a callable is used as it is; None and False are silent.
    """
    if progress is not True:
        yield progress or None
        return
    from rich.console import Console
    from rich.progress import Progress as Display
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not (console.is_interactive or console.is_jupyter):
        yield None
        return
    columns = (
        SpinnerColumn("line"),
        TextColumn("{task.description:<24}"),
        TextColumn("{task.fields[state]:<35}"),
        TimeElapsedColumn(),
    )
    with Display(*columns, console=console, transient=True) as display:
        line = display.add_task("reading", total=None, state="")

        def listen(state: Progress) -> None:
            display.update(
                line,
                description=STAGES[state.stage],
                state=f"{state.n_records:>11,} records   loss {state.loss:>7.2%}",
            )

        yield listen

"""A live line on the terminal for those who ask for one; the library itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from l0.calibration.recorder import Progress

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
        True draws a live line (stage, records left, loss, time) on standard error; a callable
        is used as it is; None and False are silent.
    """
    if progress is not True:
        yield progress or None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Display

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TextColumn("{task.fields[n_records]:>11,} records  loss {task.fields[loss]:>6.2%}"),
        TimeElapsedColumn(),
    )
    with Display(*columns, console=Console(stderr=True), transient=True) as display:
        line = display.add_task("starting", total=None, n_records=0, loss=float("nan"))

        def listen(state: Progress) -> None:
            display.update(
                line, description=STAGES[state.stage], n_records=state.n_records, loss=state.loss
            )

        yield listen

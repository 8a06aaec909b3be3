"""The state of a fit, and a live line that shows it. The library itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from l0.common.errors import InputError
from l0.common.formatting import counted


@dataclass(frozen=True)
class Progress:
    """The state of a fit. A callable that is passed as `progress` is called with it.

    Attributes
    ----------
    stage : str
        ``"full"`` (the calibration of all records), ``"select"`` or ``"refit"``.
    iteration : int
        The iterations of the solver and the epochs of a selector so far, over all stages.
    n_records : int
        The number of records that still have a weight.
    loss : float
        The mean capped relative error over all targets.
    gap : float or None
        The relative duality gap of a fit: how far its objective can be from the best one. None
        before it is known, and while records are chosen.
    seconds : float
        The seconds since the start.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> problem = CalibrationProblem.from_matrix(np.eye(2), [3, 5], [1, 1])
    >>> states = []
    >>> result = problem.solve(progress=states.append)
    >>> states[-1].stage, states[-1].n_records
    ('full', 2)
    """

    stage: str
    iteration: int
    n_records: int
    loss: float
    gap: float | None
    seconds: float


Listener = Callable[[Progress], None]

#: The text of the live line for each stage.
STAGES = {
    "full": "calibrating all records",
    "select": "choosing records",
    "refit": "fitting their weights",
}


@contextmanager
def progress_bar(progress: bool | Listener | None) -> Iterator[Listener | None]:
    """Give the listener for an argument `progress`.

    Parameters
    ----------
    progress : bool, callable or None
        True shows a live line (stage, records left, loss, time) on standard error if that is a
        terminal. A callable is the listener itself. None and False show nothing.
    """
    if progress is None or progress is False:
        yield None
        return
    if callable(progress):
        yield progress
        return
    if progress is not True:
        raise InputError(f"`progress` is {progress!r}; pass True, False or a callable")
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
                description=STAGES.get(state.stage, state.stage),
                state=f"{counted(state.n_records, 'record'):>19}   loss {state.loss:>7.2%}",
            )

        yield listen

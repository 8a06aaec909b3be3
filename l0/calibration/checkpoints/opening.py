"""Open the checkpoint of a run: a new one, or that of an earlier attempt at the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from l0.calibration.checkpoints.fingerprint import (
    changed,
    describe_arguments,
    describe_problem,
    differences,
)
from l0.calibration.checkpoints.folder import Folder, NoFolder
from l0.calibration.checkpoints.shared import SharedStages, check_alike
from l0.calibration.checkpoints.stages import Changing, KeptStages, Stages
from l0.calibration.problem.core import Problem
from l0.common.atomic_files import are_apart
from l0.common.errors import SHOWN, InputError, first_few
from l0.common.ranks import Ranks
from l0.common.validation import check_path, flag

#: The layout of the entries. Another one cannot be read.
FORMAT = 1
#: What `run.json` says of a run, beside its format: texts by name.
DESCRIBED = ("arguments", "versions", "problem", "surroundings")
#: The version of this package, among the others.
OWN = "l0-python"


def check_checkpoint(checkpoint: Any, resume: Any) -> Path | None:
    """Check the form of the options `checkpoint` and `resume`."""
    resume = flag(resume, "resume")
    if checkpoint is None:
        if resume:
            raise InputError("`resume=True` needs a folder; pass `checkpoint` too")
        return None
    check_path(checkpoint, "checkpoint", "a folder")
    return Path(checkpoint)


def check_checkpoint_apart(checkpoint: Path, result: Path) -> None:
    """Check that neither the folder of a checkpoint nor that of a result contains the other."""
    if not are_apart(checkpoint, result):
        raise InputError(
            f"`checkpoint`: {str(checkpoint)!r} and the folder {str(result)!r} of the result must "
            "be apart, because the latter is replaced; name another folder"
        )


@contextmanager
def opened(
    path: Path | None,
    resume: bool,
    problem: Problem,
    described: Mapping[str, Any],
    generator: np.random.Generator,
    history: Changing,
    ranks: Ranks,
) -> Iterator[Stages]:
    """Open a checkpoint, and close it at the end. Without a path, nothing is kept.

    Parameters
    ----------
    path : Path or None
    resume : bool
        Whether to go on with what the folder has.
    problem : Problem
    described : mapping
        ``arguments``: all that the result depends on, beside the problem. ``versions`` of packages
        and ``threads``: if these are others than in the earlier attempt, the result is valid, and
        may differ in its last digits, which a note says. The version of this package must be the
        same.
    generator : numpy.random.Generator
    history : Changing
    ranks : Ranks
        Rank 0 has the folder.

    Raises
    ------
    InputError
        If the folder has the checkpoint of another run, or of an earlier attempt and `resume` is
        false. The message says what differs. Also if ranks have different problems, arguments,
        versions or numbers of threads.
    """
    if path is None and ranks.size == 1:
        yield Stages()
        return
    threads = str(described["threads"])
    run: dict[str, Any] = {
        "format": FORMAT,
        "arguments": describe_arguments(described["arguments"]),
        "versions": {OWN: described["versions"][OWN]},
        "problem": describe_problem(problem),
        "surroundings": {**described["versions"], "threads": threads},
    }
    check_alike(
        ranks, {**run, "versions": {**described["versions"], "the number of threads": threads}}
    )
    folder: Folder = NoFolder()
    notes: list[str] = []

    def begin() -> bytes:
        nonlocal folder
        if path is not None:
            folder = Folder(path)
            notes.extend(_begun(folder, resume, run))
        return b""

    try:
        ranks.of_first(begin)
        stages = (
            KeptStages(folder, generator, history)
            if ranks.size == 1
            else SharedStages(folder, generator, history, ranks)
        )
        for note in notes:
            stages.tell(note)
        yield stages
        stages.close()
    finally:
        folder.close()


def _begun(folder: Folder, resume: bool, run: dict[str, Any]) -> Iterator[str]:
    """Begin a run in a folder, or go on with it, and say what differs from the earlier attempt."""
    before = _earlier(folder, resume)
    if before is not None:
        _check_same(folder.path, before, run)
        others = changed(before["surroundings"], run["surroundings"], "{}: {old} -> {new}")
        if found := list(others):
            yield (
                f"The run was begun elsewhere and resumed here ({', '.join(found)}): its last "
                "digits may be others than those of a run in one go"
            )
    folder.write_run(run)


def _earlier(folder: Folder, resume: bool) -> dict[str, Any] | None:
    """Read what run the folder is of; None if it is of none."""
    shown = repr(str(folder.path))
    try:
        before = folder.read_run()
        if before is not None and before.get("format") == FORMAT:
            lost = [name for name in DESCRIBED if not isinstance(before.get(name), dict)]
            if lost:
                raise ValueError(f"it lacks {first_few(lost)}")
    except ValueError as error:
        raise InputError(
            f"`checkpoint`: 'run.json' in the folder {shown} is damaged ({error}), so that nobody "
            "can tell what run it is of; remove the folder, or name another one"
        ) from None
    entries = folder.entries()
    if not resume and (entries or before is not None):
        raise InputError(
            f"`checkpoint`: the folder {shown} has the checkpoint of an earlier run; pass "
            "`resume=True` to go on with it, remove it, or name another folder"
        )
    if before is None and entries:
        raise InputError(
            f"`checkpoint`: the folder {shown} has lost its 'run.json', so that nobody can tell "
            "what run it is of; remove the folder, or name another one"
        )
    return before


def _check_same(path: Path, before: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    shown = repr(str(path))
    if before.get("format") != FORMAT:
        raise InputError(
            f"`checkpoint`: another version of l0 wrote the folder {shown}; remove it, or name "
            "another one"
        )
    found = differences(before, run)
    if found:
        rest = f"; and {len(found) - SHOWN:,} more differences" if len(found) > SHOWN else ""
        raise InputError(
            f"`checkpoint`: the folder {shown} is of another run: "
            f"{'; '.join(found[:SHOWN])}{rest}. Calibrate as before to go on with it, remove it, "
            "or name another folder"
        )

"""Files that are written whole or not at all: beside their place first, then renamed into it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from l0.errors import InputError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside the wanted one, and move it there when the block ends well.

    Raises
    ------
    OSError
        Where there is no room or no permission; nothing is left behind.
    """
    target = Path(path)
    with _cleaned(target) as scratch:
        draft = scratch / target.name
        yield draft
        os.replace(draft, target)


@contextmanager
def whole_folder(path: str | os.PathLike[str], mark: str) -> Iterator[Path]:
    """Give a folder beside the wanted one, and move it there when the block ends well.

    Parameters
    ----------
    path : str or Path
        Where the folder goes. One that is there already must be empty or hold `mark`: it is
        what an earlier call wrote, and is replaced.
    mark : str
        Name of a file that tells such a folder from others.

    Raises
    ------
    InputError
        Where something else is in the way.
    OSError
        Where there is no room or no permission; nothing is left behind.
    """
    target = Path(path)
    check_replaceable(target, mark)
    with _cleaned(target) as scratch:
        draft = scratch / target.name
        draft.mkdir()
        yield draft
        if target.exists():
            os.replace(target, scratch / "earlier")
        os.replace(draft, target)


def check_replaceable(target: str | os.PathLike[str], mark: str) -> None:
    """Refuse a folder that holds somebody else's files (see `whole_folder`)."""
    target = Path(target)
    if target.exists() and not target.is_dir():
        raise InputError(f"{str(target)!r} is a file; name a folder to write to")
    if target.is_dir() and any(target.iterdir()) and not (target / mark).exists():
        raise InputError(
            f"the folder {str(target)!r} holds other files, and no {mark} of an earlier run; "
            "name a new or empty one"
        )


@contextmanager
def _cleaned(target: Path) -> Iterator[Path]:
    """A scratch folder on the same disk, removed whatever happens."""
    scratch = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        yield scratch
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                error.errno,
                f"no room on disk to write {str(target)!r}; free some or write elsewhere",
            ) from error
        raise
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)

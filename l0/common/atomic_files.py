"""Files that are written whole or not at all: beside their place first, then renamed into it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from l0.common.errors import InputError, first_few


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside the wanted one, and move it there when the block ends well.

    Raises
    ------
    OSError
        Where there is no room or no permission; nothing is left behind.
    """
    target = Path(path).resolve()
    with _cleaned(target) as scratch:
        draft = scratch / target.name
        yield draft
        os.replace(draft, target)


@contextmanager
def whole_folder(path: str | os.PathLike[str], names: Collection[str]) -> Iterator[Path]:
    """Give a folder beside the wanted one, and move it there when the block ends well.

    Parameters
    ----------
    path : str or Path
        Where the folder goes. One that is there already is replaced, but only where it holds
        nothing except files of these names.
    names : collection of str
        The files that are written to such folders.

    Raises
    ------
    InputError
        Where something else is in the way.
    OSError
        Where there is no room or no permission; nothing is left behind.
    """
    target = Path(path).resolve()
    check_replaceable(target, names)
    with _cleaned(target) as scratch:
        draft = scratch / target.name
        draft.mkdir()
        yield draft
        if not target.exists():
            os.replace(draft, target)
            return
        earlier = scratch / "earlier"
        os.replace(target, earlier)
        try:
            os.replace(draft, target)
        except BaseException:
            os.replace(earlier, target)
            raise


def check_replaceable(path: str | os.PathLike[str], names: Collection[str]) -> None:
    """Refuse, before any work is done, a folder that `whole_folder` could not write in the end.

    Raises
    ------
    InputError
        Where it holds somebody else's files, or cannot be moved or made.
    """
    target = Path(path).resolve()
    shown = repr(str(path))
    if target.exists() and not target.is_dir():
        raise InputError(f"{shown} is a file; name a folder to write to")
    if target.is_mount() or Path.cwd().is_relative_to(target):
        raise InputError(
            f"the folder {shown} is in use and cannot be replaced as a whole; "
            "name a folder inside it"
        )
    others = [] if not target.is_dir() else sorted({f.name for f in target.iterdir()} - {*names})
    if others:
        raise InputError(
            f"the folder {shown} would be replaced, and holds files of others "
            f"({first_few(others)}); name a new or empty one"
        )
    parent = next(folder for folder in target.parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        raise InputError(
            f"the folder {shown} cannot be made: {str(parent)!r} cannot be written to; "
            "name one elsewhere"
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

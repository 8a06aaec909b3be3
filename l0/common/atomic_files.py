"""Write files whole or not at all: to a temporary name first, which is then renamed.

The bytes are on the disk before the new name is, and both are when the block ends, as far as the
system says the truth about its disk. So a loss of power leaves the earlier file or the new one, and
never a new name with half of its bytes. Each file costs two waits for the disk, and each folder one
for each of its files and two more.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from l0.common.errors import InputError, first_few


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path, and rename it to the wanted path if the block has no error.

    After a loss of power, the path has the earlier file or the new one, whole. Once the block has
    ended it has the new one, for sure on POSIX: Windows cannot wait for a name to be on the disk.

    Raises
    ------
    OSError
        If there is no room or no permission, or if the path is a folder. No temporary file remains,
        and no folder that was made for it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from l0.common.atomic_files import whole_file
    >>> with TemporaryDirectory() as folder:
    ...     with whole_file(f"{folder}/numbers.txt") as draft:
    ...         _ = draft.write_text("1 2 3")
    ...     [path.name for path in Path(folder).iterdir()]
    ['numbers.txt']
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder has this name; name a file", str(path))
    with _cleaned(target) as scratch:
        draft = scratch / target.name
        yield draft
        flush_file(draft)
        os.replace(draft, target)


@contextmanager
def whole_folder(path: str | os.PathLike[str], names: Collection[str]) -> Iterator[Path]:
    """Give a temporary folder, and rename it to the wanted path if the block has no error.

    After a loss of power, a folder with this name is whole, the earlier one or the new one. An
    earlier folder is moved aside first: if the power is lost between the two renames, it is in a
    hidden folder beside, and nothing has its name. Once the block has ended, the path has the new
    folder, for sure on POSIX.

    Parameters
    ----------
    path : str or Path
        The wanted path. An existing folder is replaced, but only if all its files have these names.
    names : collection of str
        The names of the files in such folders.

    Raises
    ------
    InputError
        If the path is a file, or a folder with other files.
    OSError
        If there is no room or no permission. No temporary folder remains, and none that was made
        for it.
    """
    target = Path(path).resolve()
    check_replaceable(target, names)
    with _cleaned(target) as scratch:
        draft = scratch / target.name
        draft.mkdir()
        yield draft
        for place, _, files in os.walk(draft):
            for name in files:
                flush_file(Path(place, name))
            flush_folder(Path(place))
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
    """Refuse a folder that `whole_folder` could not write. Call this before a long computation.

    Raises
    ------
    InputError
        If the folder has other files, or cannot be moved or made.
    """
    target = Path(path).resolve()
    shown = repr(str(path))
    if target.exists() and not target.is_dir():
        raise InputError(f"{shown} is a file; name a folder to write to")
    if target.is_mount() or Path.cwd().is_relative_to(target):
        raise InputError(
            f"the folder {shown} is in use and cannot be replaced; name a folder inside it"
        )
    others = [] if not target.is_dir() else sorted({f.name for f in target.iterdir()} - {*names})
    if others:
        raise InputError(
            f"the folder {shown} would be replaced, and it contains other files "
            f"({first_few(others)}); name a new or empty one"
        )
    parent = next(folder for folder in target.parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        raise InputError(
            f"the folder {shown} cannot be made, because {str(parent)!r} is not a writable folder; "
            "name another one"
        )


@contextmanager
def made_folder(folder: Path) -> Iterator[list[Path]]:
    """Make a folder, and those it is in. Remove those that were made if the block has an error.

    A folder with files in it stays: someone else put them there.

    Yields
    ------
    list of Path
        The folders that were made, the innermost first.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from l0.common.atomic_files import made_folder
    >>> with TemporaryDirectory() as outer:
    ...     try:
    ...         with made_folder(Path(outer, "a", "b")) as made:
    ...             raise ValueError
    ...     except ValueError:
    ...         [path.name for path in made], list(Path(outer).iterdir())
    (['b', 'a'], [])
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield made
    except BaseException:
        for each in made:
            with suppress(OSError):
                each.rmdir()
        raise


def are_apart(one: Path, other: Path) -> bool:
    """Tell whether neither of two paths is the other one or lies in it."""
    one, other = one.resolve(), other.resolve()
    return not (one.is_relative_to(other) or other.is_relative_to(one))


def flush_file(path: Path) -> None:
    """Wait until the bytes of a file are on the disk."""
    with path.open("rb+") as file:  # Windows flushes only what may be written
        os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    if os.name != "posix":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some shared disks have no such call
            raise
    finally:
        os.close(folder)


@contextmanager
def _cleaned(target: Path) -> Iterator[Path]:
    """Make a temporary folder on the same disk, and remove it in any case.

    If the block has no error, the names that it made are then on the disk. If it has one, the
    folders that were made for the target are removed too.
    """
    try:
        with made_folder(target.parent) as made:
            scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            try:
                yield scratch
                for folder in (target.parent, *(each.parent for each in made)):
                    flush_folder(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                error.errno,
                f"no room on disk to write {str(target)!r}; make room or write elsewhere",
            ) from error
        raise

"""The files that the command line writes beside a result: checked before any work."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from l0.common.errors import InputError, closest
from l0.data.locations import locate
from l0.data.writers import check_apart, writer_of


@dataclass(frozen=True)
class Output:
    """A file to write.

    Attributes
    ----------
    source : Path
        The table whose rows are written.
    path : Path
        Where to write them.
    needs_key : bool
        Whether the table is not that of the records, whose rows are known by number too.
    """

    source: Path
    path: Path
    needs_key: bool = False


def outputs_of(texts: Sequence[str], records: Path, members: Mapping[str, str]) -> list[Output]:
    """Read values of `--write`: ``FILE`` for the records, ``NAME=FILE`` for a member table."""
    found = []
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or os.sep in name or "#" in name:
            found.append(Output(records, Path(text)))
        elif name in members and path:
            found.append(Output(Path(members[name]), Path(path), needs_key=True))
        else:
            raise InputError(
                f"`--write` is {text!r}, and `--members` names no table {name!r}; write FILE for "
                f"the records, or NAME=FILE; {closest(name, members)}"
            )
    return found


def check_outputs(
    outputs: Sequence[Output],
    inputs: Sequence[Path | str],
    folder: Path,
    key: str | None,
    argument: str = "--write",
) -> None:
    """Refuse files that cannot be written, before the time of a fit is spent.

    Parameters
    ----------
    outputs : sequence of Output
    inputs : sequence of Path or str
        The files and folders that are read, which must not change.
    folder : Path
        The folder of the result, which is replaced as a whole.
    key : str or None
        The key of the records. None means that only the records can be written.
    argument : str
        The name of the outputs in error messages.
    """
    written: set[Path] = set()
    for output in outputs:
        shown = str(output.path)
        path = locate(output.path).path.resolve()
        writer_of(output.path, argument)
        if output.needs_key and key is None:
            raise InputError(
                f"`--write` asks for the member table in {shown!r}, which needs the key of its "
                "records; name its column in `--key`"
            )
        check_apart(output.path, inputs, argument)
        if path in written:
            raise InputError(f"`{argument}`: {shown!r} is written twice; name another file")
        check_beside(output.path, folder, argument)
        parent = next(each for each in path.parents if each.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
            raise InputError(
                f"`{argument}`: {shown!r} cannot be written, because {str(parent)!r} is not a "
                "writable folder; name another place"
            )
        written.add(path)


def check_page(path: Path, folders: Sequence[Path], argument: str) -> None:
    """Refuse a page on results that is a folder, or inside of the folder of a result."""
    for folder in folders:
        check_beside(path, folder, argument)
    if path.is_dir():
        raise InputError(f"`{argument}`: {str(path)!r} is a folder; name a file")


def check_beside(path: Path, folder: Path, argument: str) -> None:
    """Refuse a file inside of the folder of a result, where it could replace a part of it."""
    if folder.resolve() in locate(path).path.resolve().parents:
        raise InputError(
            f"`{argument}`: {str(path)!r} is inside of the folder {str(folder)!r} of the result, "
            "which holds nothing else; write beside it"
        )

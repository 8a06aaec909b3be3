"""The folder of a checkpoint: one file for each entry, written whole, and checked when it is read.

The name of a file has the number of the entry, its stage, perhaps the loop within the stage, and a
digest of its bytes: ``00003-select-1.<digest>.npz``. A file whose bytes have another digest is
damaged. It is never used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from l0.calibration.checkpoints.packing import Packed, read_packed, write_packed
from l0.common.atomic_files import flush_folder
from l0.common.errors import InputError, first_few
from l0.common.file_locks import hold_lock

#: The files of a folder that are no entries.
RUN, LOCK = "run.json", "lock"
#: Digits of the digest in a name.
DIGITS = 32
_DRAFT = "draft-"
_NAME = re.compile(
    rf"(?P<number>\d{{5}})-(?P<stage>[a-z]+)(?:-(?P<loop>\d+))?\.(?P<digest>[0-9a-f]{{{DIGITS}}})\.npz"
)


@dataclass(frozen=True, order=True)
class Entry:
    """A file of the folder.

    Attributes
    ----------
    number : int
        Later entries have larger numbers.
    stage : str
    loop : int
        The place of a loop in its stage, from 1, if the entry is a state within it. It is 0 for
        the result of the stage.
    path : Path
    """

    number: int
    stage: str
    loop: int
    path: Path


class Folder:
    """A folder of entries, which one run at a time can use.

    Parameters
    ----------
    path : Path
        It is made if there is none.

    Raises
    ------
    InputError
        If the folder has files of another kind, or if another run uses it.
    OSError
        If the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise InputError(f"`checkpoint`: {str(path)!r} is a file; name a folder")
        path.mkdir(parents=True, exist_ok=True)
        there = {file.name for file in path.iterdir()}
        drafts = {name for name in there if name.startswith(_DRAFT)}
        others = {name for name in there - drafts - {RUN, LOCK} if not _NAME.fullmatch(name)}
        if others:
            raise InputError(
                f"`checkpoint`: the folder {str(path)!r} contains other files "
                f"({first_few(sorted(others))}); name a new or empty one"
            )
        lock = hold_lock(path / LOCK)
        if lock is None:
            raise InputError(
                f"`checkpoint`: another run uses the folder {str(path)!r}; wait for its end, or "
                "name another folder"
            )
        self._lock = lock
        for name in drafts:  # of a run that was killed while it wrote
            (path / name).unlink()

    def close(self) -> None:
        """Let other runs use the folder."""
        self._lock.close()

    def entries(self, stage: str | None = None, loop: int | None = None) -> list[Entry]:
        """List the entries, of a stage and of a loop if they are named, from the last one."""
        return sorted(
            (
                entry
                for entry in self._all()
                if stage in (None, entry.stage) and loop in (None, entry.loop)
            ),
            reverse=True,
        )

    def write(self, stage: str, loop: int, content: Packed) -> None:
        """Write an entry, after all others."""
        number = 1 + max((entry.number for entry in self._all()), default=0)
        place = f"{stage}-{loop}" if loop else stage
        self._put(
            lambda file: write_packed(file, content),
            lambda draft: f"{number:05}-{place}.{_digest(draft)}.npz",
        )

    def read(self, entry: Entry) -> Packed | None:
        """Read an entry; None if it is damaged."""
        try:
            if _digest(entry.path) != entry.path.name.split(".")[-2]:
                return None
            with entry.path.open("rb") as file:
                return read_packed(file)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def remove(self, entry: Entry) -> None:
        """Remove an entry."""
        entry.path.unlink(missing_ok=True)

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Write what the run is."""
        self._put(lambda file: file.write(json.dumps(run, indent=2).encode()), lambda _: RUN)

    def read_run(self) -> dict[str, Any] | None:
        """Read what the run is; None if there is no such file.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        try:
            text = (self.path / RUN).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        run = json.loads(text)
        if not isinstance(run, dict):
            raise ValueError("it is not a JSON object")
        return run

    def _all(self) -> Iterator[Entry]:
        for path in self.path.iterdir():
            if found := _NAME.fullmatch(path.name):
                yield Entry(int(found["number"]), found["stage"], int(found["loop"] or 0), path)

    def _put(self, write: Callable[[IO[bytes]], object], name: Callable[[Path], str]) -> None:
        """Write a file, and give it its name when it is whole; it is gone after an error."""
        descriptor, path = tempfile.mkstemp(dir=self.path, prefix=_DRAFT)
        draft = Path(path)
        try:
            with open(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path / name(draft))  # Windows renames no open file
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        flush_folder(self.path)  # the disk should keep the new name too


class NoFolder(Folder):
    """A folder that keeps nothing."""

    def __init__(self) -> None:
        pass

    def close(self) -> None:
        """See `Folder.close`."""

    def entries(self, stage: str | None = None, loop: int | None = None) -> list[Entry]:
        """See `Folder.entries`."""
        return []

    def write(self, stage: str, loop: int, content: Packed) -> None:
        """See `Folder.write`."""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]

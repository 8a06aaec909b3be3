"""Files of named arrays and tables, which are read by mapping them into memory.

A file begins with eight known bytes. The parts follow, each at a multiple of 64 bytes: an array as
its bytes, and a table as a file of Arrow. Then come the contents as JSON, and at last the length of
the contents, the SHA-256 digest of all that is before it, and the eight known bytes again. There is
no code in a file, and nothing that becomes code.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.common.atomic_files import whole_file
from l0.common.digested_files import DigestedFile
from l0.common.errors import InputError

MARK = b"l0-parts"
ALIGNMENT = 64
_LENGTH = struct.Struct("<Q")
#: The bytes after the contents.
_END = _LENGTH.size + hashlib.sha256().digest_size + len(MARK)
#: The kinds of numpy types that are written: boolean, whole and floating numbers.
_TYPES = "biuf"


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a file.

    Attributes
    ----------
    plain : dict
        What JSON can hold.
    arrays : mapping of str to ndarray
        Those of a file that was read cannot be changed: they are the file itself.
    tables : mapping of str to pyarrow.Table
    """

    plain: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    tables: Mapping[str, pa.Table]


def write_parts(path: str | os.PathLike[str], parts: Parts) -> None:
    """Write a file, whole or not at all. It is on the disk at the end (see `whole_file`).

    Raises
    ------
    OSError
        If there is no room or no permission.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from l0.data.part_files import Parts, read_parts, write_parts
    >>> with TemporaryDirectory() as folder:
    ...     write_parts(f"{folder}/file", Parts({"k": 3}, {"weights": np.ones(3)}, {}))
    ...     print(read_parts(f"{folder}/file", "path").arrays["weights"])
    [1. 1. 1.]
    """
    with whole_file(path) as draft, draft.open("wb") as file:
        out = DigestedFile(file)
        out.write(MARK)
        arrays, tables = {}, {}
        for name, array in parts.arrays.items():
            assert array.dtype.kind in _TYPES, name
            start = _align(out)
            out.write(np.ascontiguousarray(array).data)
            little = array.dtype.newbyteorder("<").str
            assert array.dtype.str == little or array.dtype.str[0] == "|", name
            arrays[name] = {"start": start, "type": array.dtype.str, "shape": array.shape}
        for name, table in parts.tables.items():
            start = _align(out)
            whole = table.unify_dictionaries()
            with (
                pa.PythonFile(out, mode="w") as sink,
                pa.ipc.new_file(sink, whole.schema) as writer,
            ):
                writer.write_table(whole)
            tables[name] = {"start": start, "bytes": out.written - start}
        contents = {"plain": parts.plain, "arrays": arrays, "tables": tables}
        text = json.dumps(contents).encode()
        out.write(text)
        out.write(_LENGTH.pack(len(text)))
        file.write(out.digest.digest() + MARK)


def read_parts(path: str | os.PathLike[str], argument: str) -> Parts:
    """Read a file, and check that it is whole.

    Parameters
    ----------
    path : str or Path
    argument : str
        Its name, for the messages.

    Raises
    ------
    InputError
        If the file is of another kind, or damaged.
    FileNotFoundError
        If there is no file.
    """
    shown = f"`{argument}`: {str(path)!r}"
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < len(MARK) or file.read(len(MARK)) != MARK:
            raise InputError(f"{shown} is not a file that `save` wrote; name one that is")
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    damaged = InputError(f"{shown} is damaged: {{}}; restore it, or make and save it again")
    if size < len(MARK) + _END or mapped[-len(MARK) :] != MARK:
        raise InputError(str(damaged).format("its end is missing"))
    before, digest = mapped[: -(_END - _LENGTH.size)], mapped[-(_END - _LENGTH.size) : -len(MARK)]
    if hashlib.sha256(before).digest() != digest:
        raise InputError(str(damaged).format("its bytes have changed"))
    (length,) = _LENGTH.unpack(before[-_LENGTH.size :])
    contents = json.loads(bytes(before[-_LENGTH.size - length : -_LENGTH.size]))
    return Parts(
        contents["plain"],
        {name: _array(mapped, **of) for name, of in contents["arrays"].items()},
        {name: _table(mapped, **of) for name, of in contents["tables"].items()},
    )


def _array(mapped: memoryview, start: int, type: str, shape: list[int]) -> NDArray[Any]:
    kind, count = np.dtype(type), int(np.prod(shape, dtype=np.int64))
    if not count:
        return np.empty(shape, kind)
    return np.frombuffer(mapped, kind, count, start).reshape(shape)


def _table(mapped: memoryview, start: int, bytes: int) -> pa.Table:
    return pa.ipc.open_file(pa.py_buffer(mapped[start : start + bytes])).read_all()


def _align(out: DigestedFile) -> int:
    """Go on to the next multiple of `ALIGNMENT`, and give this place."""
    out.write(bytes(-out.written % ALIGNMENT))
    return out.written

"""What a run is of: digests of all parts of its problem, and its arguments, to be compared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from l0.calibration.problem.core import Problem
from l0.common.digested_files import DigestedFile
from l0.common.formatting import as_lines

#: The parts of a problem that are arrays, and how a sentence names each.
_ARRAYS = {
    "matrix": "the matrix of targets by records",
    "values": "the values of the targets",
    "design_weights": "the design weights",
    "importance": "the importance of the targets",
    "tolerance": "the tolerances of the targets",
    "record_order": "the order of the records",
    "target_order": "the order of the targets",
}
_TEXTS = {
    "names": "the names of the targets",
    "groups": "the groups of the targets",
    "variables": "the variables of the targets",
}
_SCALARS = {"key": "`key`", "weight": "`weight`", "grouped": "`group`", "floor": "the least scale"}
#: The length of a digest in hexadecimal digits.
LENGTH = 32
#: Where an object is in memory, which its text may tell.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe_problem(problem: Problem) -> dict[str, str]:
    """Compute a digest of each part of a problem, by a name that a sentence can have."""
    found = {said: _digest(getattr(problem, name)) for name, said in _ARRAYS.items()}
    for name, said in _TEXTS.items():
        found[said] = _digest(as_lines(getattr(problem, name)).encode())
    for name, said in _SCALARS.items():
        found[said] = repr(getattr(problem, name))
    if problem.labels is not None:  # which columns are labels decides how records are drawn
        said = repr(problem.labels.to_pydict())
        found["the labels of the targets"] = _digest(said.encode())
    found["the keys of the records"] = _column(pa.chunked_array([problem.keys]))
    if (kinds := problem.kinds) is not None:
        parts = (kinds.denominators, kinds.at_least, kinds.at_most, kinds.sizes)
        found["the statistics and the limits of the targets"] = _digest(
            *parts, as_lines(kinds.statistics).encode()
        )
    if (survey := problem.survey) is not None:
        for entity in (survey.records, *survey.members.values()):
            found[f"the keys of `{entity.argument}`"] = _digest(entity.record)
            for name in entity.table.column_names:
                said = f"the column {name!r} of `{entity.argument}`"
                found[said] = _column(entity.table.column(name))
    elif problem.untargeted is not None:
        matrix = getattr(problem.untargeted, "matrix", None)
        found["`untargeted`"] = _digest(matrix)
    return found


def describe_arguments(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Write each argument as text. An object is the same object in another process."""
    return {name: _ADDRESS.sub("", repr(value)) for name, value in arguments.items()}


def differences(
    before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Say in words what differs between two runs.

    Parameters
    ----------
    before, now : mapping
        ``problem`` (see `describe_problem`), ``arguments`` and ``versions``.
    """
    return [
        *changed(before["arguments"], now["arguments"], "`{}` is {new}, and was {old}"),
        *changed(before["versions"], now["versions"], "{} is {new}, and was {old}"),
        *changed(before["problem"], now["problem"], "{} differ{s}"),
    ]


def changed(before: Mapping[str, str], now: Mapping[str, str], sentence: str) -> Iterator[str]:
    """Write a sentence on each entry that is not the same."""
    for name in dict.fromkeys([*now, *before]):
        old, new = before.get(name, "nothing"), now.get(name, "nothing")
        if old != new:
            head = name.partition(" of ")[0]
            plural = head.endswith("s") and not head.endswith("ss")
            yield sentence.format(name, old=old, new=new, s="" if plural else "s")


def _digest(*parts: Any) -> str:
    """Compute the digest of bytes, arrays and sparse matrices, of which no copies are made."""
    found = hashlib.sha256()
    for part in parts:
        if sp.issparse(part):
            for each in (part.indptr, part.indices, part.data):
                found.update(_digest(each).encode())
        elif isinstance(part, bytes):
            found.update(part)
        elif part is not None:
            array = np.ascontiguousarray(part)
            found.update(f"{array.dtype.str}{array.shape}".encode())
            found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()[:LENGTH]


def _column(column: pa.ChunkedArray) -> str:
    """Compute the digest of a column, however it is cut into chunks."""
    table = pa.table({"": column}).combine_chunks()
    sink = DigestedFile()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as writer:
        writer.write_table(table)
    return sink.digest.hexdigest()[:LENGTH]

"""Dataclasses as named arrays and plain values, which can be written without pickle."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import IO, Any, TypeVar, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

#: The plain values in a file, among its arrays.
PLAIN = "plain.json"


@dataclass(frozen=True)
class Packed:
    """Arrays, and everything else as JSON has it, by the names of the fields.

    A field of a dataclass in a dataclass has a dotted name, such as ``solution.gap``.

    Attributes
    ----------
    arrays : mapping of str to ndarray
    plain : mapping of str to object
    """

    arrays: Mapping[str, NDArray[Any]]
    plain: Mapping[str, Any]

    def part(self, name: str) -> Packed:
        """Take what a field holds that is a dataclass."""
        start = f"{name}."
        arrays, plain = (
            {key.removeprefix(start): value for key, value in of.items() if key.startswith(start)}
            for of in (self.arrays, self.plain)
        )
        return Packed(arrays, plain)


def packed(**values: Any) -> Packed:
    """Pack values: dataclasses, arrays, and what JSON has.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.checkpoints.packing import packed
    >>> from l0.calibration.progress import Progress
    >>> found = packed(state=Progress("full", 3, 10, 0.5, None, 1.0), weights=np.ones(2))
    >>> found.plain["state.iteration"], found.arrays["weights"]
    (3, array([1., 1.]))
    """
    arrays: dict[str, NDArray[Any]] = {}
    plain: dict[str, Any] = {}
    for name, value in values.items():
        if is_dataclass(value):
            inner = packed(**{field.name: getattr(value, field.name) for field in fields(value)})
            arrays |= {f"{name}.{key}": array for key, array in inner.arrays.items()}
            plain |= {f"{name}.{key}": each for key, each in inner.plain.items()}
        elif isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            plain[name] = value.item() if isinstance(value, np.generic) else value
    return Packed(arrays, plain)


def unpacked(kind: type[T], found: Packed) -> T:
    """Make a dataclass of what `packed` made of it.

    Raises
    ------
    KeyError
        If a field is missing.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        name = field.name
        if name in found.arrays:
            values[name] = found.arrays[name]
        elif name in found.plain:
            values[name] = found.plain[name]
        elif (inner := _dataclass_in(hints[name])) is not None:
            values[name] = unpacked(inner, found.part(name))
        else:
            raise KeyError(name)
    return kind(**values)


def _dataclass_in(hint: Any) -> type[Any] | None:
    """Find the dataclass that a field may hold."""
    kinds = [each for each in (hint, *get_args(hint)) if isinstance(each, type)]
    return next((each for each in kinds if is_dataclass(each)), None)


def write_packed(file: IO[bytes], content: Packed) -> None:
    """Write packed values in the format of `numpy.savez`."""
    plain = np.frombuffer(json.dumps(content.plain).encode(), dtype=np.uint8)
    np.savez(file, **{PLAIN: plain}, **content.arrays)  # type: ignore[arg-type]


def read_packed(file: IO[bytes]) -> Packed:
    """Read what `write_packed` wrote."""
    with np.load(file, allow_pickle=False) as found:
        arrays = dict(found)
    return Packed(arrays, json.loads(arrays.pop(PLAIN).tobytes()))


def to_bytes(content: Packed) -> bytes:
    """Give what `write_packed` writes. Equal values give equal bytes."""
    file = io.BytesIO()
    write_packed(file, content)
    return file.getvalue()


def from_bytes(content: bytes) -> Packed:
    """Read what `to_bytes` gave."""
    return read_packed(io.BytesIO(content))

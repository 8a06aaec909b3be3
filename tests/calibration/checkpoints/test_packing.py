import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from l0.calibration.checkpoints.packing import Packed, packed, unpacked


@dataclass
class Inner:
    numbers: np.ndarray
    gap: float


@dataclass
class Outer:
    inner: Inner
    other: Inner | None
    flags: np.ndarray | None
    count: int
    words: list[str]


NUMBERS = arrays.arrays(np.float64, st.integers(0, 4), elements=st.floats())
INNER = st.builds(Inner, NUMBERS, st.floats(allow_nan=False))
OUTER = st.builds(
    Outer,
    INNER,
    st.none() | INNER,
    st.none() | arrays.arrays(bool, st.integers(0, 3)),
    st.integers(),
    st.lists(st.text()),
)


def texts(value):
    """Write a dataclass with the bytes of its arrays."""
    return repr(
        {
            name: texts(part) if hasattr(part, "__dict__") else
            (part.dtype, part.shape, part.tobytes()) if isinstance(part, np.ndarray) else part
            for name, part in vars(value).items()
        }
    )  # fmt: skip


@given(OUTER)
def test_what_is_packed_comes_back_through_json(value):
    content = packed(result=value)
    there = Packed(content.arrays, json.loads(json.dumps(content.plain)))
    assert texts(unpacked(Outer, there.part("result"))) == texts(value)


def test_numbers_of_numpy_become_plain():
    assert packed(a=np.float64(0.1), b=np.bool_(True)).plain == {"a": 0.1, "b": True}


def test_a_missing_field_is_named():
    with pytest.raises(KeyError, match="gap"):
        unpacked(Inner, Packed({"numbers": np.ones(2)}, {}))

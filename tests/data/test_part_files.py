import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from l0.common.errors import InputError
from l0.data.part_files import Parts, read_parts, write_parts

TYPES = st.sampled_from([np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64])
ARRAYS = TYPES.flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=1, max_dims=2, min_side=0))
)
COLUMNS = st.one_of(
    st.lists(st.none() | st.text(), min_size=3, max_size=3),
    st.lists(st.none() | st.integers(-5, 5), min_size=3, max_size=3),
    st.lists(st.none() | st.booleans(), min_size=3, max_size=3),
)
TABLES = st.dictionaries(st.text(max_size=3), COLUMNS, max_size=3).map(
    lambda columns: pa.table({name: pa.array(column) for name, column in columns.items()})
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("parts") / "file"


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(), st.none() | st.floats(allow_nan=False) | st.text()),
    st.dictionaries(st.text(), ARRAYS, max_size=4),
    st.dictionaries(st.text(), TABLES, max_size=3),
)
def test_what_is_written_comes_back(place, plain, of_arrays, tables):
    write_parts(place, Parts(plain, of_arrays, tables))
    found = read_parts(place, "path")
    assert found.plain == plain
    assert list(found.arrays) == list(of_arrays)
    for name, array in of_arrays.items():
        same = found.arrays[name]
        assert (same.dtype, same.shape) == (array.dtype, array.shape)
        assert same.tobytes() == array.tobytes()
    assert list(found.tables) == list(tables)
    for name, table in tables.items():
        assert found.tables[name].equals(table)


def test_chunks_dictionaries_slices_and_metadata_come_back(place):
    words = pa.chunked_array(
        [pa.array(["a", "b"]).dictionary_encode(), pa.array(["c"]).dictionary_encode()]
    )
    field = pa.field("w", words.type, metadata={"labels": "x"})
    table = pa.table([words], schema=pa.schema([field])).slice(1)
    write_parts(place, Parts({}, {}, {"t": table}))
    found = read_parts(place, "path").tables["t"]
    assert found.column("w").to_pylist() == ["b", "c"]
    assert found.schema.field("w").metadata == {b"labels": b"x"}


def test_arrays_are_the_file_and_cannot_be_changed(place):
    write_parts(place, Parts({}, {"a": np.arange(3), "b": np.zeros((2, 2)).T}, {}))
    found = read_parts(place, "path").arrays
    with pytest.raises(ValueError, match="read-only"):
        found["a"][0] = 1
    assert found["a"].ctypes.data % 64 == found["b"].ctypes.data % 64 == 0


def test_any_changed_byte_and_any_shorter_file_is_found(tmp_path):
    path = tmp_path / "file"
    table = pa.table({"x": ["a", None]})
    write_parts(path, Parts({"k": 1}, {"a": np.arange(9)}, {"t": table}))
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        for damaged in (
            whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], whole[:place],
            whole[:place] + b"?" + whole[place:],
        ):  # fmt: skip
            path.write_bytes(damaged)
            said = "is damaged: its (end is missing|bytes have changed); restore it|is not a file"
            with pytest.raises(InputError, match=said):
                read_parts(path, "path")


def test_another_file_is_named(tmp_path):
    for content in (b"", b"id,weight\n1,2\n", b"PK\x03\x04" * 99):
        (tmp_path / "other.csv").write_bytes(content)
        with pytest.raises(InputError, match="`path`: '.*other.csv' is not a file that `save`"):
            read_parts(tmp_path / "other.csv", "path")
    with pytest.raises(FileNotFoundError):
        read_parts(tmp_path / "none", "path")


def test_a_file_that_is_replaced_while_it_is_in_use_stays_as_it_was(tmp_path):
    path = tmp_path / "file"
    write_parts(path, Parts({}, {"a": np.full(9, 1)}, {}))
    found = read_parts(path, "path").arrays["a"]
    write_parts(path, Parts({}, {"a": np.full(9, 2)}, {}))
    assert found.tolist() == [1] * 9
    assert read_parts(path, "path").arrays["a"].tolist() == [2] * 9


def test_the_file_is_mapped_and_not_read_into_memory(tmp_path):
    path = tmp_path / "file"
    write_parts(path, Parts({}, {"a": np.zeros(12_000_000)}, {}))  # 96 MB
    code = """
import json, sys
from l0.data.part_files import read_parts
def private():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1])
before = private()
found = read_parts(sys.argv[1], "path").arrays["a"]
total = float(found.sum())
print(json.dumps([total, private() - before]))
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    ended = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    total, kilobytes = json.loads(ended.stdout)
    assert total == 0
    assert kilobytes < 20_000

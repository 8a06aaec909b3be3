"""A pandas frame, and the files that pandas writes of it, have the same columns."""

import json
import re

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l0.common.errors import InputError
from l0.data.arrays import as_columns, as_vector, shape
from l0.data.mapped_tables import ParquetColumns
from l0.data.pandas_index import (
    is_nameless,
    named_range,
    unnamed_index,
    with_named_index,
    without_row_numbers,
)
from l0.data.tables import read_file, read_table, take_weighted_rows

FRAME = pd.DataFrame({"id": [3, 1, 2], "x": [0.5, -1.0, 2.0], "code": ["01", "NA", "b c"]})
KEYS = pd.Index([9, 8, 5], name="key")
#: Frames, and the columns that they have for every reader.
FRAMES = {
    "row numbers": (FRAME, ["id", "x", "code"]),
    "row numbers with a name": (FRAME.rename_axis("n"), ["id", "x", "code", "n"]),
    "a key that is a range": (FRAME.set_index(pd.RangeIndex(9, 3, -2, name="n")), [*FRAME, "n"]),
    "a range with the name of a column": (FRAME.rename_axis("x"), ["id", "x", "code"]),
    "moved rows": (FRAME.sort_values("id"), ["id", "x", "code"]),
    "a key": (FRAME.set_index("id"), ["x", "code", "id"]),
    "a part with a name": (
        FRAME.set_index(["id", "x"]).rename_axis([None, "x"]), ["code", "x"],
    ),
    "parts with names": (FRAME.set_index(["id", "code"]), ["x", "id", "code"]),
    "a name that is a column": (FRAME.set_index("id", drop=False), ["id", "x", "code"]),
    "categories as names of columns": (
        FRAME[["x", "id"]].set_axis(pd.CategoricalIndex(["x", "y"]), axis=1).set_index(KEYS),
        ["x", "y", "key"],
    ),
}  # fmt: skip


@pytest.fixture(params=FRAMES)
def case(request):
    return FRAMES[request.param]


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_a_file_and_its_frame_have_the_same_columns(case, tmp_path, suffix):
    frame, names = case
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:  # `to_feather` of pandas refuses an index
        pa.feather.write_feather(pa.Table.from_pandas(frame), path)
    found, _ = read_table(frame, "records")
    assert found.column_names == names
    assert read_table(path, "records")[0].to_pydict() == found.to_pydict()


def test_an_index_may_have_a_number_as_its_name():
    table, _ = read_table(FRAME.set_index("id").rename_axis(0), "records")
    assert table.column_names == ["x", "code", "0"]


@pytest.mark.parametrize("name", ["id", None])
def test_an_arrow_table_has_the_columns_that_it_shows(name):
    """The metadata of a table in memory may be of other rows: sorting keeps them."""
    for index, kept in ((pd.Index([3, 1, 2]), name is not None), (pd.RangeIndex(3), False)):
        table = pa.Table.from_pandas(FRAME[["x"]].set_axis(index.rename(name)))
        found = read_table(table.sort_by("x"), "records")[0].column_names
        assert found == ["x"] + [name] * kept


def test_columns_that_are_mapped_are_the_same(case, tmp_path):
    frame, names = case
    frame.to_parquet(tmp_path / "a.parquet")
    columns = ParquetColumns(tmp_path / "a.parquet", "records")
    (tmp_path / "mapped").mkdir()
    assert columns.schema.names == names
    expected = read_table(frame, "records")[0].to_pydict()
    assert columns.mapped(tmp_path / "mapped").to_pydict() == expected


def test_parts_of_a_folder_may_number_their_rows_in_two_ways(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    FRAME.to_parquet(folder / "a.parquet")
    FRAME.iloc[[2, 0]].to_parquet(folder / "b.parquet")
    expected = pd.concat([FRAME, FRAME.iloc[[2, 0]]]).to_dict("list")
    table = read_table(folder, "records")[0]
    assert table.to_pydict() == expected
    assert table.to_pandas().to_dict("list") == expected
    columns = ParquetColumns(folder, "records")
    (tmp_path / "mapped").mkdir()
    assert columns.mapped(tmp_path / "mapped").to_pydict() == expected


def test_parts_of_a_folder_may_have_a_range_and_other_keys(tmp_path):
    keyed = FRAME.rename_axis("n")
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, part in (("a", keyed), ("b", keyed.iloc[1:]), ("c", keyed.iloc[[2, 0, 1]])):
        part.to_parquet(folder / f"{name}.parquet")
    (tmp_path / "mapped").mkdir()
    mapped = ParquetColumns(folder, "records").mapped(tmp_path / "mapped")
    for table in (read_table(folder, "records")[0], mapped):
        assert table["n"].to_pylist() == [0, 1, 2, 1, 2, 2, 0, 1]


def test_only_what_pandas_would_restore_is_an_index():
    table = pa.table({"__index_level_0__": [1, 2], "x": [3, 4]})
    assert unnamed_index(table.schema) == []
    assert read_table(table.to_pandas(), "records")[0].column_names == table.column_names
    assert named_range(table.schema, 2) is None
    for described in (b"{", b"[]", b"{}", b'{"index_columns": 1}', b'{"index_columns": [{}, 0]}'):
        schema = table.replace_schema_metadata({"pandas": described}).schema
        assert unnamed_index(schema) == [] and named_range(schema, 2) is None
    parts = {"index_columns": ["__index_level_0__", "__index_level_1__", "x"]}
    kept = table.replace_schema_metadata({"pandas": json.dumps(parts)})
    assert unnamed_index(kept.schema) == ["__index_level_0__"]


def test_a_range_of_other_rows_is_no_column(tmp_path):
    table = pa.Table.from_pandas(FRAME.rename_axis("n"))
    pq.write_table(table[1:], tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet", "records")[0].column_names == [*FRAME]
    assert ParquetColumns(tmp_path / "a.parquet", "records").schema.names == [*FRAME]
    for change in ({"step": 0}, {"step": None}, {"stop": None}, {"name": 3}, {"kind": "other"}):
        part = {"kind": "range", "name": "n", "start": 0, "stop": 3, "step": 1, **change}
        described = json.dumps({"index_columns": [part]})
        assert named_range(table.schema.with_metadata({"pandas": described}), 3) is None


def test_a_range_is_stored_as_a_column_of_rows_that_are_taken(tmp_path):
    FRAME.rename_axis("n").to_parquet(tmp_path / "a.parquet")
    table = read_file(tmp_path / "a.parquet", "table")
    few = take_weighted_rows(table, np.array([2, 0]), "w", np.array([1.5, 2.5]))
    assert few["n"].to_pylist() == few.to_pandas()["n"].tolist() == [2, 0]


def test_the_frame_that_comes_in_does_not_change():
    frame = FRAME.set_index("id")
    before = frame.copy()
    assert with_named_index(nw.from_native(frame)).columns == ["x", "code", "id"]
    pd.testing.assert_frame_equal(frame, before)


def test_rows_with_weights_keep_the_key_of_an_index():
    rows = np.array([2, 0])
    found = take_weighted_rows(FRAME.set_index("id"), rows, "w", np.array([1.5, 2.5]))
    assert found.to_dict("list") == {
        "x": [2.0, 0.5], "code": ["b c", "01"], "id": [2, 3], "w": [1.5, 2.5],
    }  # fmt: skip
    assert found.index.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["id", None])
def test_an_index_is_no_feature(name):
    """Gates and estimators take columns by position, as they do of arrays."""
    frame = FRAME[["x", "id"]].set_axis(pd.Index([7, 8, 9], name=name))
    for data in (frame, pa.Table.from_pandas(frame, preserve_index=False)):
        assert as_columns(data, "X").names == ["x", "id"]
    stored = pa.Table.from_pandas(frame)
    assert len(as_columns(stored, "X").names) == shape(stored)[1]
    assert as_vector(frame["x"], 3, "y").tolist() == [0.5, -1.0, 2.0]


@pytest.mark.parametrize("write", ["csv", "tsv", "frame", "polars"])
@pytest.mark.parametrize("first", [0, 1])
def test_row_numbers_without_a_name_are_left_out(write, first, tmp_path):
    frame = FRAME.set_axis(range(first, first + len(FRAME)))
    path = tmp_path / f"a.{write}"
    frame.to_csv(path, sep="\t" if write == "tsv" else ",")
    source = {"frame": pd.read_csv, "polars": pl.read_csv}.get(write, lambda path: path)(path)
    table = read_table(source, "targets")[0]
    assert is_nameless(table.column_names[0])
    assert without_row_numbers(table, "targets").column_names == [*FRAME]


def test_an_empty_column_without_a_name_is_left_out():
    table = pa.table({"x": [1, 2], "": pa.nulls(2, pa.string()), "Unnamed: 2": pa.nulls(2)})
    assert without_row_numbers(table, "targets").column_names == ["x"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([2, 5, 7], "'2', '5', '7'"),
        ([0, 2, 1], "'0', '2', '1'"),
        (["N", "S", None], "'N', 'S', None"),
        ([[1], [2], [3]], "'list<item: int64>'"),
        (range(2, 9), "'2', '3', '4', '5', '6' and 2 more"),
    ],
)
def test_another_column_without_a_name_may_be_a_label(values, said):
    with pytest.raises(InputError, match=re.escape(f"without a name ({said}")):
        without_row_numbers(pa.table({"": pa.array(list(values))}), "targets")

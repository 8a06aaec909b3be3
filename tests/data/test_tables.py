import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.data.columns import Unreadable, is_key, is_label, is_number
from l0.data.tables import is_frame, native, read_table, take_rows, take_weighted_rows
from tests.data import odd_columns
from tests.data.readers.test_csv_files import write

# Kinds

FRAME = pd.DataFrame({"id": [3, 1, 2], "x": [0.5, -1.0, 2.0], "code": ["01", "NA", "b c"]})


def test_every_kind_reads_the_same(convert, kind):
    table, came_as = read_table(convert(FRAME, kind), "records")
    assert table.to_pydict() == FRAME.to_dict("list")
    assert came_as == (kind if kind in ("pandas", "polars") else "pyarrow")


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_frames_come_back_as_the_kind_that_came_in(convert, kind):
    frame = convert(FRAME, kind)
    back = native(*read_table(frame, "records"))
    assert type(back) is type(frame)
    assert read_table(back, "records")[0].to_pydict() == FRAME.to_dict("list")


def test_paths_may_be_text_and_suffixes_in_capitals(tmp_path):
    FRAME.to_csv(tmp_path / "A.CSV", index=False)
    FRAME.to_parquet(tmp_path / "b.pq")
    for name in ("A.CSV", "b.pq"):
        assert read_table(str(tmp_path / name), "records")[0].num_rows == 3


def test_the_folder_of_a_parquet_file_adds_no_column(tmp_path):
    folder = tmp_path / "year=2020"
    folder.mkdir()
    FRAME.to_parquet(folder / "a.parquet")
    assert read_table(folder / "a.parquet", "records")[0].column_names == list(FRAME.columns)


def test_a_frame_is_told_from_other_data(convert, kind):
    assert is_frame(convert(FRAME, kind)) == (kind in ("pandas", "polars", "pyarrow"))
    assert is_frame(pl.LazyFrame({"x": [1]})) and is_frame(FRAME[["x", "x"]])
    for other in (FRAME["x"], pl.Series([1]), pa.array([1]), np.ones((2, 2)), [FRAME], "x", None):
        assert not is_frame(other)


# CSV


# Bad frames and files


def test_missing_file():
    with pytest.raises(FileNotFoundError, match=r"`records`: there is no file 'nowhere.csv'"):
        read_table("nowhere.csv", "records")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", "", r"`records`: the file '.*a.csv' is empty"),
        ("a.parquet", "", r"`records`: the file '.*a.parquet' is empty"),
        ("a.csv", "\n\n", r"`records`: cannot read '.*a.csv': .*[Ee]mpty"),
        ("a.csv", "x,y\n", r"`records` has no rows; pass at least one"),
        ("a.csv", "x,y\n1,2\n3\n", r"`records`: cannot read '.*a.csv': .*columns"),
        ("a.csv", "x,x\n1,2\n", r"`records` has the columns 'x' more than once; rename all"),
        ("a.parquet", "not parquet", r"`records`: cannot read '.*a.parquet'"),
        ("a.csv.gz", "not gzip", r"`records`: cannot read '.*a.csv.gz'"),
        (
            "a.docx",
            "x",
            r"`records`: the suffix of '.*a.docx' is none of .parquet, .pq, .csv, .csv.gz, .*conv",
        ),
        (
            "a",
            "x",
            r"`records`: the suffix of '.*a' is none of .parquet, .pq, .csv",
        ),
        ("a.h5", "x", r"`records`: '.*a.h5' is HDF5, which is not read, .*pandas.read_hdf"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, match):
    with pytest.raises(InputError, match=match):
        read_table(write(tmp_path / name, content), "records")


def test_truncated_parquet_is_named(tmp_path):
    pq.write_table(pa.table({"x": range(1000)}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    with pytest.raises(InputError, match=r"`records`: cannot read"):
        read_table(write(tmp_path / "a.parquet", whole[: len(whole) // 2]), "records")


def test_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"`records`: .* is a folder that has no parquet files"):
        read_table(tmp_path, "records")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (None, "NoneType"),
        ({"x": [1]}, "dict"),
        (np.ones((2, 2)), "ndarray"),
        (pd.Series([1]), "Series"),
    ],
)
def test_what_is_no_table_is_named(source, kind):
    with pytest.raises(InputError, match=rf"`records` is a {kind}; pass a pandas, polars or"):
        read_table(source, "records")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": []}),
        pl.DataFrame({"x": []}),
        pa.table({"x": pa.array([], pa.int64())}),
        pd.DataFrame(),
    ],
)
def test_empty_frames(frame):
    with pytest.raises(InputError, match="`members` has no rows; pass at least one"):
        read_table(frame, "members")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2]], columns=["x", "x"]),
        pa.table([[1], [2]], names=["x", "x"]),
        pd.DataFrame([[object(), 2]], columns=["x", "x"]),
    ],
)
def test_repeated_columns_are_named(frame):
    with pytest.raises(
        InputError, match="`records` has the columns 'x' more than once; rename all"
    ):
        read_table(frame, "records")


NUMBERED = pd.DataFrame([[1, 2.0], [3, 4.0]], columns=[0, 1])


@pytest.mark.parametrize("odd", [7, "text"])
def test_names_that_are_no_text_are_read_as_text(odd):
    pairs = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    assert read_table(NUMBERED, "records")[0].column_names == ["0", "1"]
    assert read_table(NUMBERED.set_axis(pairs, axis=1), "records")[0].column_names == [
        "('a', 1)", "('b', 2)",
    ]  # fmt: skip
    twice = NUMBERED.assign(**{"0": [odd, object()]})
    with pytest.raises(InputError, match="`records` has the columns '0' more than once; rename"):
        read_table(twice, "records")


@pytest.mark.parametrize(
    ("name", "without", "columns"),
    [("1", [], [0, 1]), ("new", [], [0, 1, "new"]), ("copy", ["1"], [0, "copy"])],
)
def test_rows_get_weights_in_the_column_of_a_number(name, without, columns):
    taken = take_weighted_rows(NUMBERED, np.array([1]), name, np.array([9.0]), without)
    assert list(taken.columns) == columns
    assert taken.iloc[0, columns.index(int(name) if name.isdigit() else name)] == 9
    assert list(NUMBERED.columns) == [0, 1]


# Columns that Arrow cannot hold


@pytest.mark.parametrize("kind", odd_columns.NAMES)
def test_a_column_that_arrow_cannot_hold_stands_there_unread(kind):
    frame = odd_columns.odd(kind, FRAME)
    table, came_as = read_table(frame, "records")
    assert came_as == kind
    assert table.column_names == list(FRAME.columns) + odd_columns.NAMES[kind]
    assert table.select(list(FRAME.columns)).to_pydict() == FRAME.to_dict("list")
    assert table.take(pa.array([2, 0])).num_rows == 2  # rows can be taken of all of it


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, "a"], r"object \(Could not convert 'a' with type str: .*\)"),
        (["a", 1.5, None], r"object \(.*\)"),
        ([2**70, 1], r"object \(.* int .*\)"),
        ([1j, 2j], r"complex128 \(.*\)"),
        (pd.arrays.SparseArray([0, 1]), r"Sparse\[int64, 0\] \(.*\)"),
    ],
)
def test_the_type_of_an_unread_column_says_what_it_is(values, text):
    table, _ = read_table(pd.DataFrame({"x": [0.5] * len(values), "odd": values}), "records")
    kind = table.take(pa.array([0])).schema.field("odd").type
    assert isinstance(kind, Unreadable)
    assert re.fullmatch(text, str(kind))
    assert not is_label(kind) and not is_number(kind) and not is_key(kind)


def test_objects_of_polars_are_not_read_as_addresses():
    frame = pl.DataFrame({"x": [1, 2], "o": pl.Series(["a", 1], dtype=pl.Object)})
    assert str(read_table(frame, "records")[0].schema.field("o").type) == "Object"


# Rows, taken as they are


@pytest.mark.parametrize("kind", odd_columns.NAMES)
@given(rows=st.lists(st.integers(0, 6), max_size=9))
def test_rows_are_taken_of_every_column(kind, rows):
    frame = odd_columns.odd(kind, pd.DataFrame({"id": range(7), "x": np.arange(7.0)}))
    taken = take_rows(frame, np.array(rows, dtype=np.int64))
    assert type(taken) is type(frame)
    for name in ["id", "x", *odd_columns.NAMES[kind]]:
        of = odd_columns.cells(frame, name)
        assert repr(odd_columns.cells(taken, name)) == repr([of[row] for row in rows])
    if kind == "pandas":
        assert (taken.dtypes == frame.dtypes).all()
    else:
        assert taken.schema == frame.schema


# Frames that go out


def test_a_kind_that_is_not_installed_says_how_to_install_it(monkeypatch):
    def missing(*_, **__):
        raise ModuleNotFoundError("No module named 'polars'")

    monkeypatch.setattr("narwhals.from_arrow", missing)
    with pytest.raises(ImportError, match="polars frames need polars: pip install polars"):
        native(pa.table({"x": [1]}), "polars")


# Lazy frames


def lazy_frames(frame):
    """The same rows as lazy frames of several kinds, with the kind that they become."""
    yield pl.from_pandas(frame).lazy(), "polars"
    yield ds.dataset(pa.Table.from_pandas(frame)), "pyarrow"
    duckdb = pytest.importorskip("duckdb")
    yield duckdb.connect().from_arrow(pa.Table.from_pandas(frame)), "pyarrow"


def test_lazy_frames_are_collected():
    for lazy, kind in lazy_frames(FRAME):
        table, came_as = read_table(lazy, "records")
        assert table.to_pydict() == FRAME.to_dict("list")
        assert came_as == kind


def test_dictionaries_of_parts_may_have_more_values_together_than_their_codes(tmp_path):
    parts = []
    for state in range(3):
        counties = [f"{state}{county:02}" for county in range(60)]
        part = pd.DataFrame({"county": pd.Categorical(counties)})
        part.to_parquet(tmp_path / f"{state}.parquet")
        parts += counties
    table, _ = read_table(tmp_path, "records")
    assert table.take(np.arange(179, -1, -1)).column("county").to_pylist() == parts[::-1]
    unread = pa.concat_tables(pq.read_table(path) for path in sorted(tmp_path.iterdir()))
    assert take_rows(unread, np.array([179, 0])).column("county").to_pylist() == ["259", "000"]

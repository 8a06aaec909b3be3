import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l0.common.errors import InputError
from l0.data.tables import native, read_table
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


def test_the_index_of_a_pandas_frame_is_no_column():
    table, _ = read_table(FRAME.sort_values("id").iloc[1:], "records")
    assert table.column_names == list(FRAME.columns)


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
            "a.xlsx",
            "x",
            r"`records`: the suffix of '.*a.xlsx' is none of .parquet, .pq, .csv, .csv.gz; conv",
        ),
        (
            "a",
            "x",
            r"`records`: the suffix of '.*a' is none of .parquet, .pq, .csv",
        ),
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
    with pytest.raises(InputError, match=r"`records`: .* is a folder; pass a .parquet or .csv"):
        read_table(tmp_path, "records")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (None, "NoneType"),
        ({"x": [1]}, "dict"),
        (np.ones((2, 2)), "ndarray"),
        (pd.Series([1]), "Series"),
        (pl.LazyFrame({"x": [1]}), "LazyFrame"),
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
    ],
)
def test_repeated_columns_are_named(frame):
    with pytest.raises(
        InputError, match="`records` has the columns 'x' more than once; rename all"
    ):
        read_table(frame, "records")


@pytest.mark.parametrize(
    "values", [[1, "a"], ["a", 1.5, None], [2**70, 1], [1j, 2j], [object(), 1]]
)
def test_columns_of_mixed_types_are_named(values):
    frame = pd.DataFrame({"bad one": pd.Series(values)})
    with pytest.raises(InputError, match="`records` has a column of mixed or unknown types"):
        read_table(frame, "records")


def test_mixed_types_name_the_column():
    frame = pd.DataFrame({"bad one": pd.Series([1, "a"], dtype=object)})
    with pytest.raises(InputError, match="bad one"):
        read_table(frame, "records")


# Frames that go out


def test_a_kind_that_is_not_installed_says_how_to_install_it(monkeypatch):
    def missing(*_, **__):
        raise ModuleNotFoundError("No module named 'polars'")

    monkeypatch.setattr("narwhals.from_arrow", missing)
    with pytest.raises(ImportError, match="polars frames need polars: pip install polars"):
        native(pa.table({"x": [1]}), "polars")

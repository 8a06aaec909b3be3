import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.tables import (
    as_level,
    as_numbers,
    as_text,
    encode,
    is_label,
    is_number,
    native,
    read_table,
)
from l0.errors import InputError

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


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_codes_in_csv_keep_their_zero(tmp_path):
    path = write(tmp_path / "a.csv", "fips,n,share,mixed\n01,1,0.5,10\n10,0,0.25,\n02,-3,1,007\n")
    table, _ = read_table(path, "records")
    assert table.to_pydict() == {
        "fips": ["01", "10", "02"],
        "n": [1, 0, -3],
        "share": [0.5, 0.25, 1.0],
        "mixed": ["10", None, "007"],
    }


def test_typed_csv_reads_all_other_columns_as_text(tmp_path):
    path = write(tmp_path / "a.csv", "state,value\n01,1\nNA,2\n,3\n")
    table, _ = read_table(path, "targets", {"value": pa.float64(), "tolerance": pa.float64()})
    assert table.to_pydict() == {"state": ["01", "NA", None], "value": [1.0, 2.0, 3.0]}


def test_csv_that_is_not_utf8_is_named(tmp_path):
    path = write(tmp_path / "a.csv", "town,n\nOrléans,1\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"`records`: columns 'town' of .* are not UTF-8 text"):
        read_table(path, "records")


def test_csv_with_a_number_that_is_none_is_named(tmp_path):
    path = write(tmp_path / "t.csv", "value\ntwelve\n")
    with pytest.raises(InputError, match=r"`targets`: cannot read .*t.csv.*twelve"):
        read_table(path, "targets", {"value": pa.float64()})


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
        ("a.xlsx", "x", r"`records`: '.*a.xlsx' is neither a .parquet nor a .csv file"),
        ("a", "x", r"`records`: '.*a' is neither a .parquet nor a .csv file"),
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


# Types


@pytest.mark.parametrize(
    ("values", "number", "label"),
    [
        (pa.array([1], pa.uint8()), True, True),
        (pa.array([1.5], pa.float16()), True, True),
        (pa.array([True]), True, True),
        (pa.array([decimal.Decimal("1.50")]), True, True),
        (pa.array(["a"], pa.large_string()), False, True),
        (pa.array(["a"]).dictionary_encode(), False, True),
        (pa.array([dt.date(2020, 1, 1)]), False, True),
        (pa.array([dt.time(1)]), False, True),
        (pa.nulls(1), False, True),
        (pa.array([b"a"]), False, False),
        (pa.array([[1]]), False, False),
        (pa.array([{"a": 1}]), False, False),
        (pa.array([dt.timedelta(1)]), False, False),
    ],
)
def test_what_can_be_added_up_and_what_can_be_a_label(values, number, label):
    assert is_number(values.type) == number
    assert is_label(values.type) == label
    chunked = pa.chunked_array([values])
    if number:
        assert as_numbers(chunked).dtype == np.float64
    if label:
        encode(chunked)


def test_integers_beyond_float_precision_are_rounded():
    values = pa.chunked_array([pa.array([2**60 + 1, None, 5])])
    np.testing.assert_array_equal(as_numbers(values), [2.0**60, np.nan, 5.0])


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([2012, None]), ["2012", None]),
        (pa.array([2012.0, 0.1, np.nan, None, -0.0]), ["2012", "0.1", None, None, "0"]),
        (pa.array([0.1, 2012], pa.float32()), ["0.1", "2012"]),
        (pa.array([np.inf, -np.inf]), ["inf", "-inf"]),
        (pa.array([decimal.Decimal("2012.00"), decimal.Decimal("0.50")]), ["2012", "0.5"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["a", "", None, " a"]), ["a", None, None, " a"]),
        (pa.array(["a", "b"], pa.large_string()).dictionary_encode(), ["a", "b"]),
        (pa.array([1, 2]).dictionary_encode(), ["1", "2"]),
        (pa.array([dt.date(2020, 1, 2)]), ["2020-01-02"]),
        (pa.array([dt.datetime(2020, 1, 2)], pa.timestamp("ns")), ["2020-01-02"]),
        (pa.array([dt.datetime(2020, 1, 2, 3)], pa.timestamp("ms")), ["2020-01-02 03:00:00"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_labels_read_the_same_whatever_type_holds_them(values, texts):
    assert as_text(values) == texts
    assert as_text(pa.chunked_array([values, values])) == texts * 2


@pytest.mark.parametrize(
    ("text", "kind", "level"),
    [
        ("2012.0", pa.int64(), "2012"),
        ("01", pa.int64(), "1"),
        ("9007199254740993", pa.int64(), "9007199254740993"),
        ("1e3", pa.float64(), "1000"),
        ("True", pa.bool_(), "true"),
        ("0", pa.bool_(), "false"),
        ("1.50", pa.decimal128(10, 2), "1.5"),
        ("2020-01-02 00:00:00", pa.timestamp("ns"), "2020-01-02"),
        ("2012.0", pa.dictionary(pa.int8(), pa.int64()), "2012"),
        ("01", pa.string(), "01"),
        ("2012.0", pa.large_string(), "2012.0"),
        ("CA ", pa.int64(), "CA "),
        ("x", pa.null(), "x"),
        ("nan", pa.float64(), "nan"),
    ],
)
def test_labels_that_are_asked_for_are_written_like_the_column(text, kind, level):
    assert as_level(text, kind) == level


@given(st.lists(st.none() | st.sampled_from(["", "b", "a", "1", "1.0"]), min_size=1, max_size=8))
def test_encode_gives_back_the_labels(texts):
    codes, levels = encode(pa.chunked_array([pa.array(texts, pa.string())]))
    assert levels == sorted({text for text in texts if text})
    assert [levels[code] if code >= 0 else None for code in codes] == [t or None for t in texts]


def test_two_values_that_read_alike_are_one_level():
    codes, levels = encode(pa.chunked_array([pa.array([0.0, -0.0, np.nan, 1.0])]))
    assert levels == ["0", "1"]
    np.testing.assert_array_equal(codes, [0, 0, -1, 1])


def test_unused_categories_are_no_levels():
    frame = pd.DataFrame({"x": pd.Categorical(["b", None, "b"], categories=["a", "b"])})
    codes, levels = encode(read_table(frame, "records")[0].column("x"))
    assert levels == ["b"]
    np.testing.assert_array_equal(codes, [0, -1, 0])


def test_a_kind_that_is_not_installed_says_how_to_install_it(monkeypatch):
    def missing(*_, **__):
        raise ModuleNotFoundError("No module named 'polars'")

    monkeypatch.setattr("narwhals.from_arrow", missing)
    with pytest.raises(ImportError, match="polars frames need polars: pip install polars"):
        native(pa.table({"x": [1]}), "polars")

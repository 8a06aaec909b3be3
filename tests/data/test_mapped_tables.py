import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from l0.common.errors import InputError
from l0.data.codings import Coding
from l0.data.mapped_tables import ParquetColumns
from l0.data.tables import read_table

TABLE = pa.table(
    {
        "id": [3, 1, 2, None],
        "word": ["c", "a", None, "d"],
        "coded": pa.array(["x", "y", "x", None]).dictionary_encode(),
        "flag": [True, False, None, True],
        "list": [[1], [], None, [2, 3]],
    }
).replace_schema_metadata({"of": "a test"})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mapped").mkdir()
    return tmp_path / "mapped"


def written(path, table=TABLE, **options):
    path.parent.mkdir(exist_ok=True)
    pa.parquet.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("order", [None, [2, 0, 3, 1]])
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_a_file_becomes_the_same_table(tmp_path, folder, order, rows):
    columns = ParquetColumns(written(tmp_path / "a.parquet", row_group_size=rows), "records")
    found = columns.mapped(folder, None if order is None else np.array(order))
    expected = pa.parquet.read_table(tmp_path / "a.parquet")
    assert found.schema.equals(expected.schema)
    assert found.equals(expected if order is None else expected.take(order))
    assert found.schema.metadata[b"of"] == b"a test"


def test_parts_of_a_folder_follow_each_other(tmp_path, folder):
    for name, rows in (("b", TABLE[2:]), ("a", TABLE[:2])):
        written(tmp_path / "parts" / f"{name}.parquet", rows)
    (tmp_path / "parts" / "_SUCCESS").write_text("")
    found = ParquetColumns(tmp_path / "parts", "records").mapped(folder)
    assert found.to_pylist() == TABLE.to_pylist()


def test_what_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "b.parquet").write_text("id\n1\n")
    (tmp_path / "empty").mkdir()
    written(tmp_path / "mixed" / "a.parquet")
    (tmp_path / "mixed" / "b.csv").write_text("id\n1\n")
    for name, said in (
        (
            "a.csv",
            r"'.*a.csv' has other files \('a.csv'\); name a parquet file or a folder of them",
        ),
        ("b.parquet", "cannot read '.*b.parquet': .*; write it again"),
        ("empty", "'.*empty' has no parquet files"),
        ("mixed", r"has other files \('b.csv'\)"),
    ):
        with pytest.raises(InputError, match=said):
            ParquetColumns(tmp_path / name, "records")
    with pytest.raises(FileNotFoundError):
        ParquetColumns(tmp_path / "none.parquet", "records")


def test_parts_that_differ_are_named(tmp_path):
    written(tmp_path / "parts" / "a.parquet")
    written(tmp_path / "parts" / "b.parquet", TABLE.drop_columns("flag"))
    with pytest.raises(InputError, match="`records`: the part 'b.parquet' of '.*parts' has other"):
        ParquetColumns(tmp_path / "parts", "records")


def test_folders_that_are_values_are_refused(tmp_path):
    (tmp_path / "parts").mkdir()
    written(tmp_path / "parts" / "year=2020" / "a.parquet")
    with pytest.raises(
        InputError, match="folders that are values of a column, such as 'year=2020'"
    ):
        ParquetColumns(tmp_path / "parts", "records")


def test_a_column_twice_is_refused(tmp_path):
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(InputError, match="`records` .*'a'"):
        ParquetColumns(written(tmp_path / "a.parquet", twice), "records")


@pytest.mark.parametrize("order", [None, [2, 0, 1]])
def test_missing_codes_are_nulls_as_in_a_file_that_is_read_whole(tmp_path, folder, order):
    coding = Coding("spss", values=[[1, "Men"], [-9, "Refused"]], missing=[[-9, -9]])
    table = pa.table({"sex": [1, -9, 2]}, pa.schema([coding.on(pa.field("sex", pa.int64()))]))
    path = written(tmp_path / "a.parquet", table)
    found = ParquetColumns(path, "records").mapped(folder, None if order is None else order)
    expected, _ = read_table(path, "records")
    assert found.column("sex").null_count == 1
    assert found.equals(expected if order is None else expected.take(order))
    assert found.schema.equals(expected.schema, check_metadata=True)


def test_a_page_that_is_not_as_its_checksum_says_is_refused(tmp_path, folder):
    plain = {"compression": None, "use_dictionary": False, "write_statistics": False}
    table = pa.table({"x": np.full(9, 1234567.0)})
    path = written(tmp_path / "a.parquet", table, write_page_checksum=True, **plain)
    content = bytearray(path.read_bytes())
    content[content.find(np.full(9, 1234567.0).tobytes()) + 6] ^= 16
    path.write_bytes(content)
    with pytest.raises(InputError, match="`records`: cannot read .*; write it again"):
        ParquetColumns(path, "records").mapped(folder)


@pytest.mark.parametrize("order", [None, [2, 0, 1]])
def test_columns_that_have_no_rows_to_take_become_what_read_table_makes_of_them(
    tmp_path, folder, order
):
    columns = {
        "text": pa.array(["a", None, "b"], pa.string_view()),
        "bytes": pa.array([b"a", None, b"b"], pa.binary_view()),
        "id": [1, 2, 3],
    }
    try:
        path = written(tmp_path / "a.parquet", pa.table(columns))
    except pa.ArrowNotImplementedError:
        pytest.skip("this version of Arrow writes no views to parquet")
    found = ParquetColumns(path, "records").mapped(folder, order)
    expected, _ = read_table(path, "records")
    assert found.schema.equals(expected.schema)
    rows = [0, 1, 2] if order is None else order
    assert found.column("text").to_pylist() == [["a", None, "b"][row] for row in rows]

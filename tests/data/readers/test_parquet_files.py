import pyarrow as pa
import pyarrow.parquet
import pytest

from l0.common.errors import InputError
from l0.data.locations import Location
from l0.data.readers import READERS, reader_of
from l0.data.readers.parquet_files import read_parquet
from l0.data.tables import read_table


def test_columns_come_back_as_they_were_written(tmp_path):
    table = pa.table({"id": ["01", "1"], "x": [1.5, None], "big": [2**60, 1]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    assert read_parquet(Location(tmp_path / "a.parquet"), "records", None, None).equals(table)


def test_readers_are_found_by_the_end_of_the_name(tmp_path):
    assert reader_of(Location(tmp_path / "A.PARQUET"))[0] is read_parquet
    assert reader_of(Location(tmp_path / "a.csv.gz")) == READERS[".csv.gz"]
    assert reader_of(Location(tmp_path / "csv")) is None


def write_parts(folder, parts):
    for name, columns in parts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pa.parquet.write_table(pa.table(columns), path)


def test_a_folder_of_parts_is_one_table(tmp_path):
    write_parts(
        tmp_path,
        {"state=02/b.parquet": {"x": [3]}, "state=01/b.parquet": {"x": [2]},
         "state=01/a.parquet": {"x": [1]}},
    )  # fmt: skip
    (tmp_path / "_SUCCESS").touch()
    table, _ = read_table(tmp_path, "records")
    assert table.to_pydict() == {"x": [1, 2, 3], "state": ["01", "01", "02"]}


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"x": ["a"], "y": [1]}, r"'b.parquet' .*changes the type .*'x \(int64, then string\)'"),
        ({"x": [1]}, r"lacks or adds the columns 'y', compared with 'a.parquet'; write all parts"),
    ],
)
def test_a_part_that_differs_is_named(tmp_path, columns, match):
    write_parts(tmp_path, {"a.parquet": {"x": [1], "y": [2]}, "b.parquet": columns})
    with pytest.raises(InputError, match=match):
        read_table(tmp_path, "records")


def test_other_files_among_the_parts_are_named(tmp_path):
    write_parts(tmp_path, {"a.parquet": {"x": [1]}})
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"a folder that has other files \('notes.txt'\)"):
        read_table(tmp_path, "records")


def test_names_of_partitions_are_decoded(tmp_path):
    for folder in ("area=a%20b", "area=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / folder).mkdir()
        pa.parquet.write_table(pa.table({"x": [1]}), tmp_path / folder / "0.parquet")
    table, _ = read_table(tmp_path, "records")
    assert table.to_pydict() == {"x": [1, 1], "area": [None, "a b"]}


def test_a_partition_that_is_a_column_too_is_refused(tmp_path):
    (tmp_path / "x=2").mkdir()
    pa.parquet.write_table(pa.table({"x": [1]}), tmp_path / "x=2" / "0.parquet")
    with pytest.raises(InputError, match="`records` has the columns 'x' more than once"):
        read_table(tmp_path, "records")

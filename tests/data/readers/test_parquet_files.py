import pyarrow as pa
import pyarrow.parquet

from l0.data.readers import READERS, reader_of
from l0.data.readers.parquet_files import read_parquet


def test_columns_come_back_as_they_were_written(tmp_path):
    table = pa.table({"id": ["01", "1"], "x": [1.5, None], "big": [2**60, 1]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet", "records", None, None).equals(table)


def test_readers_are_found_by_the_end_of_the_name(tmp_path):
    assert reader_of(tmp_path / "A.PARQUET")[0] is read_parquet
    assert reader_of(tmp_path / "a.csv.gz") == READERS[".csv.gz"]
    assert reader_of(tmp_path / "csv") is None

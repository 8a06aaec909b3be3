import pyarrow as pa
import pytest

from l0.data.codings import Coding, coding_of
from l0.data.tables import read_file
from l0.data.writers import write_table


@pytest.mark.parametrize("name", ["a.parquet", "a.pq", "a.feather"])
def test_columns_and_their_descriptions_come_back(tmp_path, name):
    coding = Coding("spss", label="Sex", values=[[1.0, "Men"]])
    sex = coding.on(pa.field("sex", pa.int64()))
    table = pa.table([[1, None], [[1], []]], schema=pa.schema([sex, ("list", pa.list_(pa.int8()))]))
    assert write_table(table, tmp_path / name, "path") == []
    back = read_file(tmp_path / name, "records")
    assert back.equals(table)
    assert coding_of(back.schema.field("sex")) == coding

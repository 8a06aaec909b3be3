from pathlib import Path

import pyarrow as pa
import pytest

from l0.common.errors import InputError
from l0.data.tables import read_table
from l0.data.writing import check_new_file, write_new_file


@pytest.mark.parametrize("name", ["totals.csv", "totals.parquet", "TOTALS.CSV"])
def test_a_table_comes_back(tmp_path, name):
    table = pa.table({"area": ["N", None], "value": [0.1 + 0.2, 1e17]})
    check_new_file(tmp_path / name, "out")
    write_new_file(table, tmp_path / name)
    found = read_table(tmp_path / name, "targets")[0]
    assert found.column("value").equals(table.column("value"))
    assert [area or None for area in found.column("area").to_pylist()] == ["N", None]


def test_a_file_is_not_replaced_and_an_unknown_suffix_is_refused(tmp_path):
    taken = tmp_path / "taken.csv"
    taken.write_text("filled in")
    with pytest.raises(InputError, match="`out`: there is a file '.*taken.csv' already; name ano"):
        check_new_file(taken, "out")
    with pytest.raises(InputError, match="'totals.doc' is none of '.csv', '.parquet'"):
        check_new_file(Path("totals.doc"), "out")

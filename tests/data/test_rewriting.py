import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from l0.data.codings import Coding, coding_of
from l0.data.readers.csv_form import CsvForm
from l0.data.rewriting import reweighted, source_of


def test_cells_of_a_csv_file_are_written_as_they_are(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id;x;n\n5.10;1,50;NA\n05.1;2;\n")
    source, rows, form = source_of(f"{path}#separator=semicolon,decimal=comma", "table", "id", True)
    assert source.to_pydict() == {"id": ["5.10", "05.1"], "x": ["1,50", "2"], "n": ["NA", None]}
    assert rows["x"].to_pylist() == [1.5, 2.0]
    assert form == CsvForm(";", ",")
    source, rows, _ = source_of(f"{path}#separator=semicolon,decimal=comma", "table", "id", False)
    assert source is rows


def test_other_sources_have_no_form(tmp_path):
    table = pa.table({"id": [1]})
    assert source_of(table, "table", "id", False) == (table, table, None)
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    assert source_of(tmp_path / "a.parquet", "table", "id", False) == (table, table, None)


def test_missing_codes_are_written_and_not_understood_as_numbers(tmp_path):
    pytest.importorskip("pyreadstat")
    from tests.data.readers.test_stat_files import write_persons

    source, rows, _ = source_of(write_persons(tmp_path / "a.sav"), "table", "id", False)
    assert source["age"].to_pylist() == [99.0, 7.5, 40.0, 98.0]
    assert rows["age"].to_pylist() == [None, 7.5, 40.0, None]


def test_weights_keep_the_place_and_the_label_of_their_column():
    weight = Coding("spss", label="Weight", missing=[[-1, -1]], format="F3.0", measure="scale")
    schema = pa.schema([weight.on(pa.field("w", pa.int64())), pa.field("id", pa.int64())])
    table = pa.table([[1, 2, 3], [7, 8, 9]], schema=schema.with_metadata({"a": "b"}))
    taken = reweighted(table, np.array([2, 0]), "w", np.array([0.5, 1.5]))
    assert taken.to_pydict() == {"w": [0.5, 1.5], "id": [9, 7]}
    assert coding_of(taken.schema.field("w")) == Coding("spss", label="Weight", measure="scale")
    assert taken.schema.metadata == {b"a": b"b"}
    assert reweighted(table, np.array([0]), "new", np.ones(1)).column_names == ["w", "id", "new"]

import csv
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.data.codings import Coding, coding_of
from l0.data.readers.csv_form import SIGNS, CsvForm
from l0.data.rewriting import reweighted, source_of
from l0.data.tables import read_table
from l0.data.writers import write_table


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


CELLS = st.one_of(
    st.text(st.characters(codec="latin-1", exclude_characters="\x00"), max_size=6),
    st.sampled_from(
        ["", "NA", "01", "1,5", "1.234", "1e5", "-", " x ", "a;b", "l\nl", "\r", "\r\n"]
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5),
    weights=st.lists(st.floats(1e-12, 1e18), min_size=5, max_size=5),
    separator=st.sampled_from(["comma", "semicolon", "bar"]),
    decimal=st.sampled_from(["point", "comma"]),
    thousands=st.sampled_from(["", ",thousands=space", ",thousands=apostrophe"]),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]),
)
def test_cells_and_weights_come_back_from_every_form(
    rows, weights, separator, decimal, thousands, encoding
):
    sign = SIGNS["separator"][separator]
    form = f"#separator={separator},decimal={decimal}{thousands},encoding={encoding}"
    with TemporaryDirectory() as folder:
        with open(f"{folder}/a.csv", "w", encoding=encoding, newline="") as file:
            csv.writer(file, delimiter=sign).writerows([("a", "b", "c"), *rows])
        source, _, of = source_of(f"{folder}/a.csv{form}", "table", None, True)
        new = reweighted(source, np.arange(len(rows)), "w", np.array(weights[: len(rows)]))
        write_table(new, f"{folder}/b.csv", "out", of)
        with open(f"{folder}/b.csv", encoding=encoding, newline="") as file:
            written = [tuple(cells[:3]) for cells in csv.reader(file, delimiter=sign)]
        back, _ = read_table(f"{folder}/b.csv{form}", "table", {"w": pa.float64()})
    assert written[1:] == rows
    assert back["w"].to_pylist() == weights[: len(rows)]

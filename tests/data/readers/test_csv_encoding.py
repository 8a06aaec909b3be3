import pyarrow as pa
import pytest

from l0.common.errors import InputError
from l0.data.locations import Location
from l0.data.readers.csv_encoding import check_encoding
from l0.data.readers.csv_form import CsvForm
from l0.data.tables import read_table


@pytest.mark.parametrize("types", [None, {"n": pa.float64()}])
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("town,n\nUlm,1\nOrléans,2\n", r"row 1, column 'town' \('Orléans'\)"),
        ("café,n\nUlm,1\n", r"the names of its columns, column 'café'"),
        ('town,n\n"U\nlm",1\nOrléans,2\n', r"row 1, column 'town'"),
    ],
)
def test_the_cell_that_does_not_fit_is_named(tmp_path, text, where, types):
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"is not UTF-8 text in {where}.*#encoding=latin-1"):
        read_table(tmp_path / "a.csv", "records", types)
    assert read_table(f"{tmp_path}/a.csv#encoding=latin-1", "records", types)[0].num_rows > 0


@pytest.mark.parametrize(
    "content", [b"a,b\rx,\xff\r", b"a,b\n" + b"x" * 200_000 + b"\xff", b"a\n\x00\n\xff\n"]
)
def test_rows_that_python_does_not_read_either_are_refused_in_words(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"is not UTF-8 text"):
        check_encoding(Location(tmp_path / "a.csv"), CsvForm(), "records")


def test_utf_16_needs_its_name_and_is_read_with_it(tmp_path):
    (tmp_path / "a.csv").write_bytes("town,n\nOrléans,2\n".encode("utf-16"))
    table, _ = read_table(f"{tmp_path}/a.csv#encoding=utf-16", "records")
    assert table.to_pylist() == [{"town": "Orléans", "n": 2}]
    (tmp_path / "b.csv").write_bytes(b"a,b\nx")
    with pytest.raises(InputError, match=r"is not UTF-16 text: .*truncated"):
        check_encoding(Location(tmp_path / "b.csv"), CsvForm(encoding="utf-16"), "records")


def test_a_file_that_fits_passes(tmp_path):
    (tmp_path / "a.csv").write_text("a\né\n", encoding="utf-8")
    check_encoding(Location(tmp_path / "a.csv"), CsvForm(), "records")

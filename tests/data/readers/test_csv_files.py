import pyarrow as pa
import pytest

from l0.common.errors import InputError
from l0.data.tables import read_table


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
    with pytest.raises(
        InputError, match=r"a.csv' is not UTF-8 text in row 0, column 'town' .*#encoding=latin-1"
    ):
        read_table(path, "records")


def test_csv_with_a_number_that_is_none_is_named(tmp_path):
    path = write(tmp_path / "t.csv", "value\ntwelve\n")
    with pytest.raises(
        InputError, match=r"`targets` column 'value' of .*t.csv.*'twelve' in rows 0"
    ):
        read_table(path, "targets", {"value": pa.float64()})


@pytest.mark.parametrize(
    "cells",
    [
        ["12345678901234567890", "12345678901234567891"],
        ["9223372036854775809", "1"],
        ["05.1", "05.10"],
        ["012E1", "120"],
        ["-01", "-1"],
        ["0x1F", "31"],
        ["00", "0"],
    ],
)
def test_codes_that_a_number_would_change_stay_text(tmp_path, cells):
    path = write(tmp_path / "a.csv", "\n".join(["code,x", *(f"{cell},1" for cell in cells)]))
    assert read_table(path, "records")[0].to_pydict() == {"code": cells, "x": [1] * len(cells)}


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["12.50", "12.5", "1e6"], [12.5, 12.5, 1e6]),
        (["0.5", "-0.25", "0", ""], [0.5, -0.25, 0.0, None]),
        (["0.12345678901234567890", "+5"], [0.12345678901234568, 5.0]),
        (["100000000000000000000", "0.5"], [1e20, 0.5]),
        (["9007199254740993", "1"], [9007199254740993, 1]),
    ],
)
def test_amounts_stay_numbers(tmp_path, cells, numbers):
    path = write(tmp_path / "a.csv", "\n".join(["x,y", *(f"{cell},1" for cell in cells)]))
    assert read_table(path, "records")[0]["x"].to_pylist() == numbers


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["5.1", "5.10"], ["5.1", "5.10"]),
        (["12E1", "120"], ["12E1", "120"]),
        (["0.5", "nan"], ["0.5", "nan"]),
        (["1.0", "2.0"], [1.0, 2.0]),
        (["1", "2"], [1, 2]),
    ],
)
def test_a_key_is_text_unless_it_is_whole_numbers(tmp_path, cells, kept):
    path = write(tmp_path / "a.csv", "\n".join(["id,x", *(f"{cell},1.50" for cell in cells)]))
    table, _ = read_table(path, "records", key="id")
    assert table.to_pydict() == {"id": kept, "x": [1.5] * len(cells)}


@pytest.mark.parametrize("column_types", [None, {"value": pa.float64()}])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("variable;value\nx;1,5\n", r"has no comma in its first line, and .*';'"),
        ("variable\tvalue\nx\t1\n", r"has no comma in its first line, and .*'\\t'"),
        ("variable,value\nx,1\n".encode("utf-16"), r"is UTF-16"),
        ("variable,value\nx,1\n".encode("utf-16-le"), r"is UTF-16"),
        ("variable,value\nx,1,234\n", r"Expected 2 columns, got 3"),
    ],
)
def test_files_that_are_no_plain_csv_say_how_to_save_them(tmp_path, content, match, column_types):
    path = write(tmp_path / "t.csv", content)
    with pytest.raises(
        InputError, match=rf"`targets`: .*t.csv' ?.*{match}.*; save it as comma-separated UTF-8"
    ):
        read_table(path, "targets", column_types)


def test_cells_that_are_no_plain_numbers_are_named(tmp_path):
    path = write(
        tmp_path / "t.csv", 'state,value,tolerance\na,"28,717.16",\nb, 5 ,0.1\nc,$5,\nd,1e3,5%\n'
    )
    types = {"value": pa.float64(), "tolerance": pa.float64()}
    with pytest.raises(
        InputError,
        match=r"`targets` column 'value' of '.*t.csv' has 2 cells that are not plain numbers "
        r"\('28,717.16', '\$5' in rows 0, 2\); write them like 28717.16, or say "
        r"how numbers are written, as in 'file.csv#decimal=comma,thousands=point'",
    ):
        read_table(path, "targets", types)


@pytest.mark.parametrize("after", ["abc", "1.5"])
def test_the_type_of_a_column_is_that_of_all_its_cells(tmp_path, after):
    rows = ["12,some more text"] * 200_000  # several blocks of Arrow
    path = write(tmp_path / "a.csv", "\n".join(["x,y", *rows, f"{after},b", *rows[:5]]))
    values = read_table(path, "records")[0]["x"]
    assert values.type == (pa.string() if after == "abc" else pa.float64())
    assert values[200_000].as_py() == (after if after == "abc" else 1.5)


@pytest.mark.parametrize("types", [None, {"x": pa.float64()}])
def test_cells_of_several_lines_may_stand_anywhere(tmp_path, types):
    rows = [f'"a\nb, {row}",{row}' for row in range(100_000)]  # several blocks of Arrow
    path = write(tmp_path / "a.csv", "\n".join(["t,x", *rows]))
    table, _ = read_table(path, "records", types)
    assert table.slice(99_999).to_pydict() == {"t": ["a\nb, 99999"], "x": [99_999]}


def test_a_title_above_the_names_is_no_header(tmp_path):
    path = write(tmp_path / "t.csv", "Totals of 2020,,\nvariable,state,value\ncount,A,5\n")
    with pytest.raises(InputError, match=r"`targets` has 2 columns without a name; .*delete titl"):
        read_table(path, "targets", {"value": pa.float64()})

import datetime as dt

import pyarrow as pa
import pytest

from l0.common.errors import InputError
from l0.data.tables import read_table

pytest.importorskip("python_calamine")
xlsxwriter = pytest.importorskip("xlsxwriter")


def write_book(path, sheets, at=(0, 0)):
    """Write sheets, each a list of rows."""
    book = xlsxwriter.Workbook(str(path))
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                where = (row + at[0], column + at[1])
                if isinstance(cell, dt.date):
                    sheet.write_datetime(*where, cell, day)
                elif cell is not None:
                    sheet.write(*where, cell)
    book.close()
    return path


TOTALS = [
    ["variable", "value", "state", "ok", "day"],
    ["count", 5, "01", True, dt.date(2020, 1, 2)],
    ["income", 1.5, None, False, None],
]


@pytest.mark.parametrize("at", [(0, 0), (3, 2)])
def test_a_sheet_is_read_wherever_the_table_stands(tmp_path, at):
    path = write_book(tmp_path / "a.xlsx", {"Totals": TOTALS}, at)
    table, _ = read_table(path, "targets")
    assert table.to_pydict() == {
        "variable": ["count", "income"], "value": [5.0, 1.5], "state": ["01", None],
        "ok": [True, False], "day": [dt.date(2020, 1, 2), None],
    }  # fmt: skip


def test_whole_numbers_are_integers_and_empty_rows_are_left_out(tmp_path):
    path = write_book(tmp_path / "a.xlsx", {"A": [["x", "y"], [1, None], [None, None], [2, None]]})
    table, _ = read_table(path, "records")
    assert table.to_pydict() == {"x": [1, 2], "y": [None, None]}
    assert table.schema.field("x").type == pa.int64()


def test_a_sheet_is_named_where_there_are_several(tmp_path):
    path = write_book(tmp_path / "a.xlsx", {"Notes": [["x"], [1]], "Totals": TOTALS})
    assert read_table(f"{path}#Totals", "targets")[0].num_rows == 2
    with pytest.raises(
        InputError, match=r"has 2 sheets \('Notes', 'Totals'\); name one, as in 'a.x"
    ):
        read_table(path, "targets")
    with pytest.raises(InputError, match=r"`targets`: .*has no sheet 'totals'; closest: 'Totals'"):
        read_table(f"{path}#totals", "targets")


def test_a_column_that_changes_its_type_is_named_with_its_cells(tmp_path):
    path = write_book(tmp_path / "a.xlsx", {"A": [["x", "y"], [1, 1], [2, 2], [3, "5+"]]}, (1, 26))
    with pytest.raises(
        InputError,
        match=r"`records` column 'y' changes its type: a number in AB3 \(1\.0\), and text in AB5 "
        r"\('5\+'\); write all its cells as a number or all as text",
    ):
        read_table(path, "records")
    # A table of targets has numbers where they are wanted, and labels elsewhere.
    table, _ = read_table(path, "targets", {"x": pa.float64()})
    assert table.to_pydict() == {"x": [1, 2, 3], "y": ["1", "2", "5+"]}


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([], r"the sheet of '.*' is empty; name another"),
        ([["x", None], [1, 2]], r"must name the columns, and the cells 'B1' are empty or no text"),
        ([["x", 2020], [1, 2]], r"the cells 'B1' are empty or no text"),
        ([["x", "x"], [1, 2]], r"`records` has the columns 'x' more than once"),
    ],
)
def test_a_sheet_that_is_no_table_is_refused(tmp_path, rows, match):
    with pytest.raises(InputError, match=match):
        read_table(write_book(tmp_path / "a.xlsx", {"A": rows}), "records")


@pytest.mark.parametrize("name", ["a.xlsx", "a.ods"])
def test_broken_and_encrypted_files_are_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(InputError, match=rf"`records`: cannot read '.*{name}': .*; write it again"):
        read_table(path, "records")
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(InputError, match=r"has a password, or is of an older Excel; save it as \."):
        read_table(path, "records")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = write_book(tmp_path / "a.xlsx", {"A": [["x"], [1]]})
    monkeypatch.setitem(__import__("sys").modules, "python_calamine", None)
    with pytest.raises(
        InputError, match=r"needs the package python_calamine; install it: pip inst"
    ):
        read_table(path, "records")


def test_a_date_with_time_may_be_midnight(tmp_path):
    from l0.data.writers import write_table

    moments = [dt.datetime(2020, 1, 1), None, dt.datetime(2020, 1, 1, 5, 6, 7)]
    write_table(pa.table({"t": moments, "x": [1, 2, 3]}), tmp_path / "a.xlsx", "out")
    assert read_table(tmp_path / "a.xlsx", "records")[0]["t"].to_pylist() == moments

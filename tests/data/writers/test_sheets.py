import datetime as dt
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.data.tables import read_table
from l0.data.writers import sheets, write_table

pytest.importorskip("python_calamine")
pytest.importorskip("xlsxwriter")

KINDS = pa.date32(), pa.timestamp("us")
TABLE = pa.table(
    {
        "code": ["01", None], "x": [1.5, float("nan")], "n": [7, None], "ok": [True, False],
        "day": [dt.date(2020, 1, 2), None], "at": [dt.datetime(2020, 1, 2, 3, 4), None],
        "formula": ["=1+1", "https://a.b"], "kind": pa.array(["u", "v"]).dictionary_encode(),
    }
)  # fmt: skip


def test_cells_come_back(tmp_path):
    assert write_table(TABLE, f"{tmp_path}/a.xlsx#Chosen", "path") == []
    table, _ = read_table(f"{tmp_path}/a.xlsx#Chosen", "records")
    assert table.to_pydict() == {**TABLE.to_pydict(), "x": [1.5, None]}


def test_many_rows_come_back(tmp_path):
    table = pa.table({"n": range(25_000)})
    write_table(pa.concat_tables([table.slice(0, 7), table.slice(7)]), tmp_path / "a.xlsx", "path")
    assert read_table(tmp_path / "a.xlsx", "records")[0].equals(table)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([10**15], "more than 15 digits"),
        ([float("inf")], "infinite numbers"),
        (["a" * 40_000], "texts of more than 32,767 signs"),
        ([[1]], "list<"),
        (pa.array([10**15, 1]).dictionary_encode(), "more than 15 digits"),
        (pa.array([float("inf")]).dictionary_encode(), "infinite numbers"),
        (pa.array(["a" * 40_000]).dictionary_encode(), "texts of more than 32,767 signs"),
        ([None, dt.date(1900, 2, 28)], "dates before 1900-03-01"),
        ([dt.datetime(1899, 5, 5, 5)], "dates before 1900-03-01"),
        (pa.array([dt.date(1850, 1, 1)]).dictionary_encode(), "dates before 1900-03-01"),
        (pa.array([3_000_000], pa.date32()), "dates after 9999-12-31"),
    ],
)
def test_columns_that_excel_would_change_are_refused(tmp_path, values, why):
    with pytest.raises(InputError, match=rf"a.xlsx' cannot hold the columns 'x \({why}.*write .*p"):
        write_table(pa.table({"x": values}), tmp_path / "a.xlsx", "path")
    assert list(tmp_path.iterdir()) == []


DAYS = st.dates(sheets.FIRST)
MOMENTS = st.datetimes(dt.datetime(1900, 3, 1), dt.datetime(9999, 12, 31))


@given(rows=st.lists(st.tuples(st.one_of(st.none(), DAYS), MOMENTS), min_size=1))
@settings(deadline=None, max_examples=30)
def test_all_days_and_milliseconds_come_back(rows):
    rows = [(day, at.replace(microsecond=at.microsecond // 1000 * 1000)) for day, at in rows]
    day, at = (
        pa.array(cells, kind) for cells, kind in zip(zip(*rows, strict=True), KINDS, strict=True)
    )
    table = pa.table({"day": day, "at": at})
    with TemporaryDirectory() as folder:
        assert write_table(table, f"{folder}/a.xlsx", "path") == []
        back = read_table(f"{folder}/a.xlsx", "records")[0]
    assert all(back[name].cast(table[name].type).equals(table[name]) for name in back.column_names)


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_a_note_says_that_times_are_cut_to_milliseconds(tmp_path, unit):
    kinds = {"at": pa.timestamp(unit), "time": pa.time64(unit), "whole": pa.timestamp(unit)}
    table = pa.table({name: pa.array([10**9 + 1, None], kind) for name, kind in kinds.items()})
    table = table.set_column(2, "whole", pa.array([10**9, None], kinds["whole"]))
    assert write_table(table, tmp_path / "a.xlsx", "path") == [
        "a.xlsx: times of 'at', 'time' are exact to the millisecond only"
    ]
    read = read_table(tmp_path / "a.xlsx", "records")[0]
    near = {name: table[name].cast(pa.int64()).to_numpy()[0] for name in kinds}
    for name, number in near.items():
        back = read[name].cast(kinds[name]).cast(pa.int64())[0].as_py()
        assert abs(back - number) < {"us": 10**3, "ns": 10**6}[unit]


def test_more_rows_than_a_sheet_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "ROWS", 3)
    with pytest.raises(InputError, match=r"would have 3 rows and 1 columns, and a sheet has 3 and"):
        write_table(pa.table({"x": [1, 2, 3]}), tmp_path / "a.xlsx", "path")


def test_a_wrong_name_of_a_sheet_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"names no sheet that Excel allows: .*31"):
        write_table(pa.table({"x": [1]}), f"{tmp_path}/a.xlsx#{'a' * 40}", "path")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_column_is_written_and_a_time_zone_refused(tmp_path):
    table = pa.table({"x": [1, 2], "nothing": pa.nulls(2)})
    assert write_table(table, tmp_path / "a.xlsx", "out") == []
    assert read_table(tmp_path / "a.xlsx", "records")[0].to_pydict() == table.to_pydict()
    zoned = pa.table({"t": pa.array([0], pa.timestamp("s", "Europe/Berlin"))})
    with pytest.raises(InputError, match=r"cannot hold the columns 't \(timestamp\[s, tz=Europe/B"):
        write_table(zoned, tmp_path / "b.xlsx", "out")
    assert not (tmp_path / "b.xlsx").exists()

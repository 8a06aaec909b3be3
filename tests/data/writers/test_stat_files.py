import datetime as dt
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.data.codings import Coding, coding_of
from l0.data.tables import read_file, read_table
from l0.data.writers import write_table

pyreadstat = pytest.importorskip("pyreadstat")

from tests.data.readers.test_stat_files import write_homes, write_persons  # noqa: E402

#: What two files may differ in: the time of writing, and the names of sets of labels.
OF_THE_FILE = {"creation_time", "modification_time", "variable_to_label", "value_labels"}


def content(path):
    """Everything in a file, as pyreadstat has it."""
    read = pyreadstat.read_dta if path.suffix == ".dta" else pyreadstat.read_sav
    columns, meta = read(str(path), output_format="dict", user_missing=True)
    described = {name: value for name, value in vars(meta).items() if name not in OF_THE_FILE}
    return dict(columns), described


def rewritten(path):
    """Read a file and write it again."""
    again = path.with_name(f"again{path.suffix}")
    assert write_table(read_file(path, "records", keep_codes=True), again, "path") == []
    return again


@pytest.mark.parametrize(
    ("write", "name"), [(write_homes, "a.dta"), (write_persons, "a.sav"), (write_persons, "a.zsav")]
)
def test_a_file_is_the_same_after_reading_and_writing(tmp_path, write, name):
    path = write(tmp_path / name)
    assert content(rewritten(path)) == content(path)


def cells(values, missing):
    return st.one_of(values, st.none(), st.sampled_from(missing))


STATA = st.lists(
    st.tuples(
        cells(st.integers(-(2**31) + 1, 2_147_483_620), ["a", "z"]),
        cells(st.floats(-1e300, 1e300, allow_subnormal=False), ["a", "m"]),
        st.text(st.characters(codec="utf-8", categories=["L", "N"]), max_size=20),
        st.one_of(st.none(), st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))),
    ),
    min_size=1, max_size=20,
)  # fmt: skip
SPSS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-(2**53), 2**53).map(float)),
        st.one_of(st.none(), st.floats(-1e300, 1e300, allow_subnormal=False)),
        st.text(st.characters(codec="utf-8", categories=["L", "N"]), max_size=20),
        st.one_of(st.none(), st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))),
    ),
    min_size=1, max_size=20,
)  # fmt: skip
LABELS = st.dictionaries(st.integers(-99, 999), st.text("abcé ", min_size=1, max_size=20))


def frame_of(rows):
    rows = [(1, 0.5, "x", dt.date(2020, 1, 1)), *rows]  # they say of what type the columns are
    names = ("whole", "real", "text", "day")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})


@settings(deadline=None, max_examples=40)
@given(rows=STATA, labels=LABELS)
def test_any_file_of_stata_is_the_same_after_reading_and_writing(rows, labels):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.dta"
        pyreadstat.write_dta(
            frame_of(rows), str(path), variable_value_labels={"whole": labels} if labels else None,
            missing_user_values={"whole": ["a", "z"], "real": ["a", "m"]},
            column_labels={"real": "Real", "day": "Day"}, variable_format={"day": "%td"},
        )  # fmt: skip
        assert content(rewritten(path)) == content(path)


@settings(deadline=None, max_examples=40)
@given(rows=SPSS, labels=LABELS, low=st.integers(-9, 9), span=st.integers(0, 9))
def test_any_file_of_spss_is_the_same_after_reading_and_writing(rows, labels, low, span):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.sav"
        codes = {float(code): text.strip() or "x" for code, text in labels.items()}
        frame = frame_of(rows).astype({"whole": "float64", "real": "float64"})
        pyreadstat.write_sav(
            frame, str(path), variable_value_labels={"whole": codes} if codes else None,
            missing_ranges={"whole": [{"lo": low, "hi": low + span}, 99.0]},
            column_labels={"real": "Real"}, variable_format={"day": "DATE11"},
        )  # fmt: skip
        assert content(rewritten(path)) == content(path)


def test_missing_codes_and_labels_that_another_program_lacks_are_said(tmp_path):
    homes = read_file(write_homes(tmp_path / "a.dta"), "records", keep_codes=True)
    assert write_table(homes, tmp_path / "b.sav", "path") == [
        "b.sav: missing codes of 'income', 'rooms', 'only' are empty cells",
        "b.sav: SPSS has no value labels like some of 'rooms'",
    ]
    table = read_file(tmp_path / "b.sav", "records")
    assert coding_of(table.schema.field("rooms")).values == [[1.0, "one"], [2.0, "two"]]
    assert table.to_pydict() == read_table(tmp_path / "a.dta", "records")[0].to_pydict()


@pytest.mark.parametrize("name", ["a.dta", "a.sav"])
def test_columns_of_other_files_are_written(tmp_path, name):
    table = pa.table(
        {
            "n": pa.array([1, None], pa.int8()), "big": [2**40, 1], "x": pa.array([1.5, 2], "f4"),
            "ok": [True, None], "kind": pa.array(["u", None]).dictionary_encode(),
            "at": [dt.datetime(2020, 1, 2, 3, 4, 5), None], "time": [dt.time(3, 4, 5), None],
            "none": pa.array([None, None], pa.date32()), "null": pa.nulls(2),
        }
    )  # fmt: skip
    assert write_table(table, tmp_path / name, "path") == [
        f"{name}: 'ok' have 1 for true and 0 for false"
    ]
    back = read_table(tmp_path / name, "records")[0].to_pydict()
    assert back == {**table.to_pydict(), "ok": [1, None], "kind": ["u", ""]}


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (pa.table({"x": [[1]]}), r"the columns 'x \(list<"),
        (pa.table({"x": pa.array([1], pa.decimal128(5))}), r"the columns 'x \(decimal"),
        (pa.table({"x": pa.array([1], pa.timestamp("s", "UTC"))}), r"the columns 'x \(timestamp"),
        (pa.table({"x": [2**60]}), r"the columns 'x \(more than 15 digits\)'; write .csv or"),
        (pa.table({"x": [float("inf")]}), r"the columns 'x \(infinite numbers\)'"),
        (pa.table({"x": pa.array([2**60]).dictionary_encode()}), r"the columns 'x \(more than 15"),
        (pa.table({"x": pa.array([float("inf")]).dictionary_encode()}), r"the columns 'x \(infin"),
        (pa.table({"x": pa.array([3_000_000], pa.date32())}), r"the columns 'x \(dates after 9999"),
        (pa.table({"x": pa.array([-(10**12)], pa.timestamp("s"))}), r"the columns 'x \(dates bef"),
        (pa.table({"a b": [1], "x" * 33: [1]}), r"the columns 'a b', 'xx*': a name in Stata has"),
    ],
)
def test_columns_that_stata_cannot_hold_are_refused(tmp_path, table, why):
    with pytest.raises(InputError, match=rf"'.*a.dta' cannot hold {why}"):
        write_table(table, tmp_path / "a.dta", "path")
    assert list(tmp_path.iterdir()) == []


def test_what_the_package_refuses_is_said(tmp_path):
    with pytest.raises(InputError, match=r"cannot write '.*a.sav': .*; leave out the column, or"):
        write_table(pa.table({"a b": [1]}), tmp_path / "a.sav", "path")
    assert list(tmp_path.iterdir()) == []


def test_codes_of_dates_are_said_to_be_lost(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coding = Coding("stata", found={"a": 1})
        day = coding.on(pa.field("day", pa.date32()))
        table = pa.table([[dt.date(2020, 1, 2), None]], schema=pa.schema([day]))
        assert write_table(table, tmp_path / "a.dta", "path") == [
            "a.dta: missing codes of 'day' are empty cells"
        ]


def test_blanks_that_spss_does_not_keep_are_said(tmp_path):
    table = pa.table({"s": ["a ", "b"], "t": ["a", " b"]})
    assert write_table(table, tmp_path / "a.sav", "out") == [
        "a.sav: texts of 's' end in blanks, which SPSS does not keep"
    ]
    assert write_table(table, tmp_path / "a.dta", "out") == []
    assert read_table(tmp_path / "a.dta", "records")[0].to_pydict() == table.to_pydict()


@pytest.mark.parametrize("name", ["a.dta", "a.sav"])
def test_a_note_says_that_times_are_cut_to_milliseconds(tmp_path, name):
    second = pa.timestamp("ns")
    table = pa.table({"at": pa.array([1], second), "whole": pa.array([10**6], second)})
    assert write_table(table, tmp_path / name, "path") == [
        f"{name}: times of 'at' are exact to the millisecond only"
    ]


@pytest.mark.parametrize("name", ["a.dta", "a.sav"])
def test_a_categorical_column_is_written_as_its_values_with_their_labels(tmp_path, name):
    program = {"a.dta": "stata", "a.sav": "spss"}[name]
    values = pa.chunked_array([pa.array([2, 1, 2]).dictionary_encode()])
    coding = Coding(program, label="Sex", values=[[1, "Men"], [2, "Women"]])
    field = coding.on(pa.field("sex", values.type))
    table = pa.Table.from_arrays([values], schema=pa.schema([field]))
    assert write_table(table, tmp_path / name, "path") == []
    back = read_table(tmp_path / name, "records")[0]
    found = coding_of(back.schema.field("sex"))
    assert back["sex"].to_pylist() == [2, 1, 2]
    assert (found.label, found.values) == (coding.label, coding.values)


def test_a_full_disk_is_no_fault_of_a_column(tmp_path, monkeypatch):
    def full(*_, **__):
        raise pyreadstat.ReadstatError("Unable to write data")

    monkeypatch.setattr(pyreadstat, "write_dta", full)
    with pytest.raises(OSError, match="the disk took no more data; make room"):
        write_table(pa.table({"x": [1]}), tmp_path / "a.dta", "out")
    assert list(tmp_path.iterdir()) == []

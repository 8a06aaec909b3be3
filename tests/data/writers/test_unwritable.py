import datetime as dt

import pyarrow as pa
import pytest

from l0.common.errors import InputError
from l0.data.codings import Coding, coding_of
from l0.data.columns import unreadable
from l0.data.locations import locate
from l0.data.writers.unwritable import (
    check_columns,
    check_readable,
    check_types,
    cut_times,
    days_outside,
    decoded,
)

ODD = pa.table({"x": [1], "list": [[1]], "odd": unreadable("object (why)", 1)})


def test_columns_that_a_file_cannot_hold_are_named_with_their_type():
    check_types(ODD.select(["x"]), locate("a.csv"))
    with pytest.raises(InputError, match=r"'a.csv' cannot hold the columns 'list \(list<.*'odd"):
        check_types(ODD, locate("a.csv"))


def test_columns_that_could_not_be_read_are_named():
    check_readable(ODD.select(["x", "list"]), locate("a.parquet"))
    with pytest.raises(InputError, match=r"cannot hold the columns 'odd \(object \(why\)\)'"):
        check_readable(ODD, locate("a.parquet"))


def test_dictionaries_become_their_values_and_keep_their_descriptions():
    coding = Coding("stata", label="Sex")
    values = pa.array([2, None, 2]).dictionary_encode()
    schema = pa.schema([coding.on(pa.field("sex", values.type))], metadata={b"file": b"label"})
    table = decoded(pa.Table.from_arrays([values], schema=schema))
    assert table.column("sex").to_pylist() == [2, None, 2]
    assert table.schema.field("sex").type == pa.int64()
    assert coding_of(table.schema.field("sex")) == coding
    assert table.schema.metadata == schema.metadata


def test_columns_with_a_fault_are_named_with_it():
    check_columns(ODD, locate("a.csv"), lambda _: "")
    with pytest.raises(InputError, match=r"'a.csv' cannot hold the columns 'x \(odd\)', 'list \(o"):
        check_columns(ODD, locate("a.csv"), lambda _: "odd")


FIRST = dt.date(1900, 3, 1)
OF_DAYS = [pa.date32(), pa.date64(), *(pa.timestamp(unit) for unit in ("s", "ms", "us"))]


@pytest.mark.parametrize("kind", OF_DAYS, ids=str)
def test_the_first_and_the_last_day_are_inside_and_their_neighbours_are_not(kind):
    def described(*days):
        return days_outside(pa.chunked_array([pa.array(days).cast(kind)]), FIRST)

    day = dt.timedelta(1)
    assert described(None, FIRST, dt.date.max) == described(None) == ""
    assert described(FIRST - day, FIRST) == "dates before 1900-03-01"
    last = pa.array([dt.date.max]).cast(pa.date32()).cast(pa.int32())[0].as_py()
    after = pa.array([last + 1], pa.date32()).cast(kind)
    assert days_outside(pa.chunked_array([after]), FIRST) == "dates after 9999-12-31"


def test_only_times_finer_than_a_millisecond_are_noted():
    kinds = {"a": pa.timestamp("ns"), "b": pa.time64("us"), "c": pa.timestamp("ms")}
    fine = pa.table({name: pa.array([1, None], kind) for name, kind in kinds.items()})
    coarse = pa.table({name: pa.array([10**6], kind) for name, kind in kinds.items()})
    table, notes = cut_times(fine)
    assert notes == ["times of 'a', 'b' are exact to the millisecond only"]
    assert table.schema.types == [pa.timestamp("us"), pa.time64("us"), pa.timestamp("ms")]
    assert cut_times(coarse)[1] == cut_times(ODD)[1] == []

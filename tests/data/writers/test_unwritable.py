import pyarrow as pa
import pytest

from l0.common.errors import InputError
from l0.data.columns import unreadable
from l0.data.locations import locate
from l0.data.writers.unwritable import check_readable, check_types

ODD = pa.table({"x": [1], "list": [[1]], "odd": unreadable("object (why)", 1)})


def test_columns_that_a_file_cannot_hold_are_named_with_their_type():
    check_types(ODD.select(["x"]), locate("a.csv"))
    with pytest.raises(InputError, match=r"'a.csv' cannot hold the columns 'list \(list<.*'odd"):
        check_types(ODD, locate("a.csv"))


def test_columns_that_could_not_be_read_are_named():
    check_readable(ODD.select(["x", "list"]), locate("a.parquet"))
    with pytest.raises(InputError, match=r"cannot hold the columns 'odd \(object \(why\)\)'"):
        check_readable(ODD, locate("a.parquet"))

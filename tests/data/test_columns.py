import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.data.columns import (
    as_level,
    as_numbers,
    as_text,
    encode,
    encode_with_null,
    is_label,
    is_number,
    not_a_number,
)
from l0.data.tables import read_table


@pytest.mark.parametrize(
    ("values", "number", "label"),
    [
        (pa.array([1], pa.uint8()), True, True),
        (pa.array(np.array([1.5], np.float16)), True, True),
        (pa.array([True]), True, True),
        (pa.array([decimal.Decimal("1.50")]), True, True),
        (pa.array(["a"], pa.large_string()), False, True),
        (pa.array(["a"]).dictionary_encode(), False, True),
        (pa.array([dt.date(2020, 1, 1)]), False, True),
        (pa.array([dt.time(1)]), False, True),
        (pa.nulls(1), False, True),
        (pa.array([b"a"]), False, False),
        (pa.array([[1]]), False, False),
        (pa.array([{"a": 1}]), False, False),
        (pa.array([dt.timedelta(1)]), False, False),
    ],
)
def test_what_can_be_added_up_and_what_can_be_a_label(values, number, label):
    assert is_number(values.type) == number
    assert is_label(values.type) == label
    chunked = pa.chunked_array([values])
    if number:
        assert as_numbers(chunked).dtype == np.float64
    if label:
        encode(chunked)


def test_integers_beyond_float_precision_are_rounded():
    values = pa.chunked_array([pa.array([2**60 + 1, None, 5])])
    np.testing.assert_array_equal(as_numbers(values), [2.0**60, np.nan, 5.0])


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([2012, None]), ["2012", None]),
        (pa.array([2012.0, 0.1, np.nan, None, -0.0]), ["2012", "0.1", None, None, "0"]),
        (pa.array([0.1, 2012], pa.float32()), ["0.1", "2012"]),
        (pa.array([np.inf, -np.inf]), ["inf", "-inf"]),
        (
            pa.array([12345678901.0, -(2.0**53), 1e16]),
            ["12345678901", "-9007199254740992", "1e+16"],
        ),
        (pa.array([2.0**24, 0.5], pa.float32()), ["16777216", "0.5"]),
        (pa.array(np.array([2012, 0.5], np.float16)), ["2012", "0.5"]),
        (pa.array([decimal.Decimal("202301234567.00")]), ["202301234567"]),
        (pa.array([decimal.Decimal("2012.00"), decimal.Decimal("0.50")]), ["2012", "0.5"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["a", "", None, " a"]), ["a", None, None, " a"]),
        (pa.array(["a", "b"], pa.large_string()).dictionary_encode(), ["a", "b"]),
        (pa.array([1, 2]).dictionary_encode(), ["1", "2"]),
        (pa.array([dt.date(2020, 1, 2)]), ["2020-01-02"]),
        (pa.array([dt.datetime(2020, 1, 2)], pa.timestamp("ns")), ["2020-01-02"]),
        (pa.array([dt.datetime(2020, 1, 2, 3)], pa.timestamp("ms")), ["2020-01-02 03:00:00"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_labels_read_the_same_whatever_type_holds_them(values, texts):
    assert as_text(values) == texts
    assert as_text(pa.chunked_array([values, values])) == texts * 2


@pytest.mark.parametrize(
    ("text", "kind", "level"),
    [
        ("2012.0", pa.int64(), "2012"),
        ("01", pa.int64(), "1"),
        ("9007199254740993", pa.int64(), "9007199254740993"),
        ("1e3", pa.float64(), "1000"),
        ("202301234567.0", pa.int64(), "202301234567"),
        ("True", pa.bool_(), "true"),
        ("0", pa.bool_(), "false"),
        ("1.50", pa.decimal128(10, 2), "1.5"),
        ("2020-01-02 00:00:00", pa.timestamp("ns"), "2020-01-02"),
        ("2012.0", pa.dictionary(pa.int8(), pa.int64()), "2012"),
        ("01", pa.string(), "01"),
        ("2012.0", pa.large_string(), "2012.0"),
        ("CA ", pa.int64(), "CA "),
        ("x", pa.null(), "x"),
        ("nan", pa.float64(), "nan"),
    ],
)
def test_labels_that_are_asked_for_are_written_like_the_column(text, kind, level):
    assert as_level(text, kind) == level


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_reads_the_same_as_integer_float_and_text(number):
    assert (
        as_text(pa.array([number]))
        == as_text(pa.array([float(number)]))
        == as_text(pa.array([str(number)]))
    )


@given(st.lists(st.none() | st.sampled_from(["", "b", "a", "1", "1.0"]), min_size=1, max_size=8))
def test_encode_gives_back_the_labels(texts):
    codes, levels = encode(pa.chunked_array([pa.array(texts, pa.string())]))
    assert levels == sorted({text for text in texts if text})
    assert [levels[code] if code >= 0 else None for code in codes] == [t or None for t in texts]


@pytest.mark.parametrize(
    ("texts", "levels", "codes"),
    [(["b", None, "a", ""], ["a", "b", ""], [1, 2, 0, 2]), (["b", "a"], ["a", "b"], [1, 0])],
)
def test_nulls_may_be_a_level_of_their_own(texts, levels, codes):
    found = encode_with_null(pa.chunked_array([texts]))
    assert found[0].tolist() == codes
    assert found[1] == levels


def test_two_values_that_read_alike_are_one_level():
    codes, levels = encode(pa.chunked_array([pa.array([0.0, -0.0, np.nan, 1.0])]))
    assert levels == ["0", "1"]
    np.testing.assert_array_equal(codes, [0, 0, -1, 1])


def test_unused_categories_are_no_levels():
    frame = pd.DataFrame({"x": pd.Categorical(["b", None, "b"], categories=["a", "b"])})
    codes, levels = encode(read_table(frame, "records")[0].column("x"))
    assert levels == ["b"]
    np.testing.assert_array_equal(codes, [0, -1, 0])


def test_the_cells_that_keep_a_column_from_being_numbers():
    def said(values):
        return not_a_number(pa.chunked_array([values]))

    assert said(["1,234", "5", "", None, "n/a", "1,234"]) == (
        "string, not a number ('1,234', 'n/a')"
    )
    assert said(["01", "02"]) == "string, not a number ('01', '02')"
    assert said(pa.nulls(2)) == "null, not a number"
    assert said([[1], [2]]) == "list<item: int64>, not a number"

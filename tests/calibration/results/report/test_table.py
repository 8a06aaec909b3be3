import json
import math

from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.results.report.table import Column, DataTable, choice, natural, number


def table(errors):
    names = [f"target {place}" for place in range(len(errors))]
    return DataTable(
        "all", "targets", "all.csv",
        [Column("name", "Target", "text", names, place="head"),
         number("error", "Error", "signed", errors)],
        ("error", True),
    )  # fmt: skip


@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=80))
def test_the_first_rows_are_those_of_the_largest_errors(errors):
    of = table(errors)
    first = of.first_rows
    known = [abs(of.columns[1].values[row]) for row in first if errors[row] is not None]
    assert known == sorted(known, reverse=True)
    assert len(first) == min(50, len(errors))
    json.dumps(of.data, allow_nan=False)


@given(st.lists(st.text(max_size=5) | st.none(), max_size=20))
def test_a_choice_says_each_text(texts):
    column = choice("group", "Group", texts)
    assert [column.text(row) for row in range(len(texts))] == [text or "" for text in texts]


def test_numbers_are_rounded_and_unknown_ones_are_none():
    column = number("error", "Error", "signed", [1 / 3, math.nan, None, 2.0])
    assert list(column.values) == [0.33333, None, None, 2]
    assert column.text(1) == "none"
    assert number("value", "Value", "amount", [1 / 3], exact=True).values == [1 / 3]


def test_labels_sort_as_people_count():
    assert sorted(["10-14", "5-9", "85+", "0-4"], key=natural) == ["0-4", "5-9", "10-14", "85+"]

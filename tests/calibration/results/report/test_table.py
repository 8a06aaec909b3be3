import json
import math

from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.results.report.table import Column, DataTable, choice, natural, number


def table(numbers, order=("n", True)):
    names = [f"row {place}" for place in range(len(numbers))]
    return DataTable(
        "t", "things", "t.csv",
        [Column("name", "Name", "text", names, place="head"), number("n", "N", "signed", numbers)],
        order,
    )  # fmt: skip


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=80))
def test_the_first_rows_have_the_largest_sizes_and_unknown_ones_come_last(numbers):
    found = table(numbers)
    json.dumps(found.data, allow_nan=False)
    sizes = [abs(numbers[row]) for row in found.first_rows]
    known = [size for size in sizes if not math.isnan(size)]
    assert all(
        a >= b or math.isclose(a, b, rel_tol=1e-4) for a, b in zip(known, known[1:], strict=False)
    )
    assert not any(math.isnan(size) for size in sizes[: len(known)])


def test_numbers_in_texts_count_by_their_size():
    assert sorted(["age 10-14", "age 5-9", "Age 5-9 b"], key=natural) == [
        "age 5-9", "Age 5-9 b", "age 10-14",
    ]  # fmt: skip
    found = choice("group", "Group", ["b 10", None, "b 9", "b 10"])
    assert found.levels == ["", "b 9", "b 10"] and found.values == [2, 0, 1, 2]
    assert [found.text(row) for row in (0, 1)] == ["b 10", ""]


def test_marks_are_bits_and_texts_stand_for_numbers():
    flags = Column("f", "Flags", "marks", [0, 3, 2], levels=("a", "b"))
    assert [flags.text(row) for row in range(3)] == ["", "a; b", "b"]
    limits = number("v", "Value", "amount", [1.0, math.nan], texts={"1": ("at least 5", 5.0)})
    assert limits.text(1) == "at least 5" and limits.ranks() == [1.0, 5.0]

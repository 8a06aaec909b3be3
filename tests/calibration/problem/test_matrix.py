import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from l0.calibration.inputs.survey import read_survey
from l0.calibration.inputs.targets import read_targets
from l0.calibration.problem.matrix import compile_targets
from l0.common.errors import InputError


def compiled(records, targets, members=None):
    """The targets, and their matrix: rows in the order of the table, columns by key."""
    survey = read_survey(records, key="id", members=members)
    table = read_targets(targets, survey)
    return table, compile_targets(table, survey).toarray()


# Against the rule, read out loud

LABELS = {
    "text": (pa.string(), st.none() | st.sampled_from(["", "a", "b", "01", "1"])),
    "whole": (pa.int16(), st.none() | st.integers(-1, 1)),
    "real": (pa.float64(), st.none() | st.sampled_from([-0.5, 0.0, 1.0, 1e20])),
    "flag": (pa.bool_(), st.none() | st.booleans()),
}
AMOUNT = st.integers(-8, 8).map(lambda quarters: quarters / 4)


def tables(size, columns, draw):
    data = {"x": draw(st.lists(AMOUNT, min_size=size, max_size=size))}
    for name in columns:
        kind, values = LABELS[name]
        data[name] = pa.array(draw(st.lists(values, min_size=size, max_size=size)), kind)
    return pa.table(data)


@st.composite
def surveys(draw):
    """Records, persons and targets that ask for levels that some unit has."""
    n, n_persons = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    records = tables(n, ["text", "whole", "flag"], draw).append_column(
        "id", pa.array(draw(st.permutations(range(n))))
    )
    # `text` and `x` of a person hide those of its record; `whole` is reached through the record.
    own = draw(st.lists(st.integers(0, n - 1), min_size=n_persons, max_size=n_persons))
    persons = tables(n_persons, ["text", "real"], draw).append_column("id", pa.array(own))
    rows = draw(st.lists(target_rows(records, persons), min_size=1, max_size=6))
    columns = {
        name: pa.array([row.get(name) for row in rows], kind) for name, (kind, _) in LABELS.items()
    }
    frame = pa.table(
        {
            "name": [f"t{place}" for place in range(len(rows))],
            "entity": [row["entity"] for row in rows],
            "variable": [row["variable"] for row in rows],
            "value": [1.0] * len(rows),
            **columns,
        }
    )
    return records, persons, frame


@st.composite
def target_rows(draw, records, persons):
    entity = draw(st.sampled_from([None, "person"]))
    units = list(merged(records, persons, entity))
    row = {"entity": entity, "variable": draw(st.sampled_from(["count", "x"]))}
    for name in LABELS:
        levels = sorted({unit[name] for unit in units if unit.get(name) not in (None, "")})
        if levels:
            row[name] = draw(st.none() | st.sampled_from(levels))
    return row


def merged(records, persons, entity):
    """The units of an entity, a dictionary each; what a person lacks is taken from its record."""
    by_id = {record["id"]: record for record in records.to_pylist()}
    for unit in persons.to_pylist() if entity else by_id.values():
        yield {**by_id[unit["id"]], **unit}


def by_hand(records, persons, targets):
    matrix = np.zeros((targets.num_rows, records.num_rows))
    for place, target in enumerate(targets.to_pylist()):
        for unit in merged(records, persons, target["entity"]):
            asked = {name for name in LABELS if target[name] is not None}
            if all(unit[name] == target[name] for name in asked):
                amount = 1.0 if target["variable"] == "count" else unit["x"]
                matrix[place, unit["id"]] += amount
    return matrix


@given(surveys())
@settings(deadline=None, max_examples=150)
def test_the_matrix_is_the_rule(survey):
    records, persons, targets = survey
    _, matrix = compiled(records, targets, {"person": persons})
    np.testing.assert_array_equal(matrix, by_hand(records, persons, targets))


@given(surveys(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_targets_may_come_in_any_order_and_as_text(survey, random):
    records, persons, targets = survey
    rows = list(range(targets.num_rows))
    random.shuffle(rows)
    written = pa.table(
        {
            # As a spreadsheet writes a column of numbers that has gaps: 1 becomes 1.0.
            name: [None if x is None else str(float(x)) for x in targets[name].to_pylist()]
            if name in ("whole", "real")
            else [None if x is None else str(x) for x in targets[name].to_pylist()]
            if name != "value"
            else targets[name]
            for name in targets.column_names
        }
    ).take(rows)
    _, expected = compiled(records, targets, {"person": persons})
    _, matrix = compiled(records, written, {"person": persons})
    np.testing.assert_array_equal(matrix, expected[rows])


def test_members_in_any_order_give_identical_sums():
    generator = np.random.default_rng(0)
    amounts = generator.lognormal(0, 5, 300) * generator.choice([-1, 1], 300)
    of = generator.integers(0, 5, 300)
    target = pa.table({"entity": ["person"], "variable": ["x"], "value": [1.0]})
    matrices = []
    for seed in range(4):
        rows = np.random.default_rng(seed).permutation(300)
        persons = pa.table({"id": of[rows], "x": amounts[rows]})
        matrices.append(compiled(pa.table({"id": range(5)}), target, {"person": persons})[1])
    for matrix in matrices[1:]:
        np.testing.assert_array_equal(matrix, matrices[0])


def test_amounts_that_cancel_leave_no_entry():
    survey = read_survey(
        pa.table({"id": [1, 2]}),
        key="id",
        members={"person": pa.table({"id": [1, 1, 2], "x": [5.0, -5.0, 1.0]})},
    )
    targets = pa.table({"entity": ["person"], "variable": ["x"], "value": [1.0]})
    assert compile_targets(read_targets(targets, survey), survey).nnz == 1


def test_many_label_columns_do_not_overflow():
    n, wide = 40, {f"c{place}": [str(i) for i in range(40)] for place in range(16)}
    records = pa.table({"id": range(n), **wide})
    targets = pa.table({"variable": ["count"] * n, "value": [1.0] * n, **wide})
    np.testing.assert_array_equal(compiled(records, targets)[1], np.eye(n))


def test_a_level_that_only_records_without_members_have_is_no_error():
    records = pa.table({"id": [0, 1], "state": ["a", "b"]})
    persons = pa.table({"id": [0]})
    targets = pa.table(
        {"entity": ["person"], "variable": ["count"], "state": ["b"], "value": [1.0]}
    )
    np.testing.assert_array_equal(compiled(records, targets, {"person": persons})[1], [[0, 0]])


# Types of labels

DAY = dt.date(2020, 1, 2)
MIDNIGHT = dt.datetime(2020, 1, 2)


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        (pd.Series(["a", "b"], dtype="string"), "a"),
        (pd.Series(["a", "b"], dtype=object), "a"),
        (pd.Series(pd.Categorical(["a", "b"], categories=["z", "b", "a"])), "a"),
        (pd.Series(pd.Categorical([7, 8])), 7),
        (pd.Series([7, pd.NA], dtype="Int64"), 7),
        (pd.Series([7, pd.NA], dtype="Int64"), "7.0"),
        (pd.Series([True, pd.NA], dtype="boolean"), "True"),
        (pd.Series([True, False]), True),
        (pd.Series([True, False]), 1),
        (pd.Series([0.5, np.nan]), 0.5),
        (pd.Series([np.inf, 1.0]), np.inf),
        (pd.Series([np.float32(0.1), np.float32(1)]), 0.1),
        (pd.Series([decimal.Decimal("1.50"), decimal.Decimal("2.00")]), "1.5"),
        (pd.Series([DAY, None]), DAY),
        (pd.Series([DAY, None]), "2020-01-02"),
        (pd.to_datetime(pd.Series([MIDNIGHT, None])), DAY),
        (pd.to_datetime(pd.Series([MIDNIGHT, None])), MIDNIGHT),
        (pd.to_datetime(pd.Series([MIDNIGHT, None])), "2020-01-02 00:00:00"),
        (pd.Series(["1", "1.0"]), "1"),
        (pd.Series(["1.0", "1"]), "1.0"),
        (pd.Series([" a", "b"]), " a"),
        (pd.Series(["01", "1"]), "01"),
        (pd.Series(["NA", "b"]), "NA"),
    ],
)
@pytest.mark.parametrize("asked_as", ["pandas", "polars", "csv"])
def test_a_label_finds_its_level_whatever_the_types(values, asked, asked_as, convert):
    records = pd.DataFrame({"id": [0, 1], "level": values})
    targets = pd.DataFrame({"variable": ["count"], "level": [asked], "value": [1.0]})
    _, matrix = compiled(records, convert(targets, asked_as))
    np.testing.assert_array_equal(matrix, [[1.0, 0.0]])


def test_arrow_dictionaries_and_polars_categories():
    for column in (
        pa.chunked_array([pa.array(["a", "b"]).dictionary_encode()] * 2),
        pl.Series(["a", "b", "a", "b"], dtype=pl.Categorical),
        pl.Series(["a", "b", "a", "b"], dtype=pl.Enum(["c", "b", "a"])),
    ):
        make = pl.DataFrame if isinstance(column, pl.Series) else pa.table
        records = make({"id": range(4), "level": column})
        targets = pa.table({"variable": ["count"], "level": ["b"], "value": [1.0]})
        np.testing.assert_array_equal(compiled(records, targets)[1], [[0, 1, 0, 1]])


def test_one_name_with_two_types_is_read_for_each_entity():
    records = pa.table({"id": [0, 1], "code": [1, 2]})
    persons = pa.table({"id": [0, 1], "code": ["01", "1"]})
    targets = pa.table(
        {
            "entity": [None, "person", "person"],
            "variable": ["count"] * 3,
            "code": ["01", "01", "1"],
            "value": [1.0] * 3,
        }
    )
    _, matrix = compiled(records, targets, {"person": persons})
    np.testing.assert_array_equal(matrix, [[1, 0], [1, 0], [0, 1]])


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(12, 2), pa.bool_()]
)
def test_every_numeric_type_can_be_added_up(kind):
    records = pa.table({"id": [0, 1], "x": pa.array([0, 1], pa.int8()).cast(kind)})
    targets = pa.table({"variable": ["x"], "value": [1.0]})
    np.testing.assert_array_equal(compiled(records, targets)[1], [[0, 1]])


def test_an_amount_that_is_text_names_the_cells():
    records = pa.table({"id": [0, 1, 2], "x": ["1,234", "5", "$7"]})
    with pytest.raises(
        InputError,
        match=r"variable 'x' .* is string, not a number \('1,234', '\$7'\) in `records`; write "
        r"plain numbers, or use 'count' to count rows",
    ):
        compiled(records, pa.table({"variable": ["x"], "value": [1.0]}))


# Levels that no row has


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=6),
    st.lists(
        st.tuples(st.sampled_from(["", "a", "b", "x", "y"]), st.sampled_from(["", "p", "z"])),
        min_size=1,
        max_size=8,
        unique=True,
    ),
    st.sampled_from([0, 0.0, -0.0]),
)
def test_a_target_of_0_for_nobody_is_a_row_of_zeros(areas, asked, zero):
    records = pa.table({"id": range(len(areas)), "area": areas, "kind": ["p"] * len(areas)})
    lost = [(area and area not in areas) or kind == "z" for area, kind in asked]
    given = {
        "variable": ["count"] * len(asked),
        "area": [area for area, _ in asked],
        "kind": [kind for _, kind in asked],
    }
    values = [zero if empty else 1.0 for empty in lost]
    _, matrix = compiled(records, pa.table({**given, "value": values}))
    for row, (area, kind), empty in zip(matrix, asked, lost, strict=True):
        inside = [not empty and each.startswith(area) and kind in ("", "p") for each in areas]
        assert row.tolist() == inside
    if any(lost):
        values[lost.index(True)] = 1e-300
        with pytest.raises(InputError, match=r"which no row has; correct or drop them; for '"):
            compiled(records, pa.table({**given, "value": values}))


def test_a_target_of_0_for_nobody_works_for_members_and_numbers():
    records = pa.table({"id": [0, 1], "year": [2020, 2021]})
    persons = pa.table({"id": [0, 0, 1], "age": ["0-17", "18+", "18+"]})
    targets = pd.DataFrame(
        {
            "entity": ["", "person", "person", "person"],
            "variable": "count",
            "year": [2019, None, 2021, 1e6],
            "age": [None, "65+", "18+", "65+"],
            "value": [0, 0, 5, 0],
        }
    )
    _, matrix = compiled(records, targets, {"person": persons})
    assert matrix.tolist() == [[0, 0], [0, 0], [0, 1], [0, 0]]


# Levels written in several ways

BLANKS = st.sampled_from(["", " ", "  ", "\t", "\u00a0", "\n"])


@given(st.sampled_from(["A", "new york", "é", "straße"]), BLANKS, BLANKS, st.booleans())
def test_levels_that_differ_only_in_blanks_or_case_are_refused(level, before, after, upper):
    other = before + (level.upper() if upper else level) + after
    assume(other != level)
    records = pa.table({"id": range(5), "area": [level, other, level, "B", "B "]})

    def asked(*levels):
        areas = pa.array(levels, pa.string())
        return pa.table(
            {"variable": ["count"] * len(levels), "area": areas, "value": [2.0] * len(levels)}
        )

    for one in (level, other):
        with pytest.raises(InputError) as caught:
            compiled(records, asked(one))
        for text in (
            "`targets` use the label 'area', and `records` has levels of it that differ only in",
            f"{level!r} in 2 rows",
            f"{other!r} in 1 row",
            "; write them in the same way, or have a target for each",
        ):
            assert text in str(caught.value)
        assert "'B" not in str(caught.value)  # nobody asks for it
    _, matrix = compiled(records, asked(level, other))
    assert matrix.tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0]]
    assert compiled(records, asked(None))[1].tolist() == [[1] * 5]  # the label is not used


@pytest.mark.parametrize("holder", ["records", "members"])
def test_levels_written_in_several_ways_are_found_in_the_table_that_holds_them(holder):
    mixed = ["18+", "18+ ", "0-17"]
    ages = {"age": mixed} if holder == "records" else {}
    records = pa.table({"id": [0, 1, 2], **ages})
    persons = pa.table({"id": [0, 1, 2], **({} if ages else {"age": mixed})})
    targets = pa.table(
        {"entity": ["person"], "variable": ["count"], "age": ["18+"], "value": [1.0]}
    )
    argument = "records" if ages else r"members\['person'\]"
    with pytest.raises(InputError, match=rf"`{argument}` has levels .*'18\+' in 1 .*'18\+ ' in 1"):
        compiled(records, targets, {"person": persons})
    categories = records.set_column(0, "id", pa.array([0, 1, 2]))
    for name in set(ages):
        categories = categories.set_column(1, name, categories[name].dictionary_encode())
    with pytest.raises(InputError, match="differ only in blanks or case"):
        compiled(categories, targets, {"person": persons})


def test_five_levels_written_in_several_ways_are_shown():
    areas = [f"{letter}{blank}" for letter in "abcdefg" for blank in ("", " ")]
    targets = pa.table({"variable": ["count"] * 7, "area": list("abcdefg"), "value": [1.0] * 7})
    with pytest.raises(InputError) as caught:
        compiled(pa.table({"id": range(14), "area": areas}), targets)
    assert str(caught.value).count(" and '") == 5


@pytest.mark.parametrize("value", [0.0, 5.0])
@pytest.mark.parametrize("level", ["a", "A ", " A", "a\u00a0"])
def test_a_missing_level_that_differs_only_in_blanks_or_case_is_told(level, value):
    targets = pa.table({"variable": ["count"], "area": [level], "value": [value]})
    with pytest.raises(InputError) as caught:
        compiled(pa.table({"id": [0, 1], "area": ["A", "B"]}), targets)
    assert f"only in blanks or case: {level!r} for 'A'" in str(caught.value)

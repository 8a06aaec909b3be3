import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.survey import read_survey
from l0.calibration.targets import compile_targets, describe, read_targets, shares
from l0.errors import InputError


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
        (pd.Series([" a", "a"]), " a"),
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


# Names, groups, importance

RECORDS = pa.table({"id": [0, 1, 2], "state": ["CA", "CO", "NY"], "x": [1.0, 2.0, 3.0]})
PERSONS = pa.table({"id": [0, 1, 2], "age": ["0-17", "18+", "18+"], "income": [1.0, 2.0, 3.0]})


def target_table(*rows):
    """Rows of dictionaries over a count of California that is fine."""
    return pa.Table.from_pylist(
        [{"variable": "count", "state": "CA", "value": 1.0, **row} for row in rows],
        schema=pa.schema(
            [
                (name, pa.float64() if name in NUMERIC else pa.string())
                for name in dict.fromkeys(
                    ["variable", "state", "value", *(k for r in rows for k in r)]
                )
            ]
        ),
    )


NUMERIC = ("value", "importance", "tolerance")


def read(*rows, members=None):
    survey = read_survey(RECORDS, key="id", members=members or {"person": PERSONS})
    table = read_targets(target_table(*rows), survey)
    compile_targets(table, survey)
    return table


def test_names_and_groups_say_what_a_target_is():
    table = read(
        {}, {"entity": "person", "age": "18+", "state": None}, {"name": "n", "state": "NY"}
    )
    assert table.names == ["count by state=CA", "person count by age=18+", "n"]
    assert table.groups == ["count by state", "person count by age", "count by state"]
    assert describe("", "x", []) == "x"


def test_values_may_be_zero_or_negative():
    table = read({"value": 0.0}, {"value": -5.0, "state": "NY"})
    np.testing.assert_array_equal(table.values, [0.0, -5.0])


def test_an_empty_importance_is_one_and_an_empty_tolerance_zero():
    table = read({"importance": 3.0, "tolerance": 0.1}, {"state": "NY", "importance": None})
    np.testing.assert_allclose(table.importance, [0.75, 0.25])
    np.testing.assert_allclose(table.tolerance, [0.1, 0.0])


def test_groups_count_the_same():
    table = read({"group": "a"}, {"group": "a", "state": "NY"}, {"group": "b", "state": "CO"})
    np.testing.assert_allclose(table.importance, [0.25, 0.25, 0.5])


@given(
    st.lists(st.tuples(st.floats(0.01, 9), st.sampled_from("abc")), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_shares_add_up_and_do_not_depend_on_the_order(rows, random):
    def of(rows):
        importance, groups = zip(*rows, strict=True)
        names = [str(place) for place in range(len(rows))]
        return shares(np.array(importance), groups, names)

    assert of(rows).sum() == pytest.approx(1)
    order = list(range(len(rows)))
    random.shuffle(order)
    np.testing.assert_array_equal(of([rows[place] for place in order]), of(rows)[order])


@pytest.mark.parametrize("stated", [None, "", "household"])
def test_an_empty_entity_or_one_other_name_means_the_records(stated):
    assert read({"entity": stated}, {"entity": "person"}).entities == ["", "person"]


# Errors


@pytest.mark.parametrize("name", ["variable", "value"])
def test_missing_columns(name):
    survey = read_survey(RECORDS, key="id")
    with pytest.raises(InputError, match=rf"`targets` has no column '{name}' to use as"):
        read_targets(target_table({}).drop_columns([name]), survey)


def test_empty_targets():
    with pytest.raises(InputError, match="`targets` has no rows; pass at least one"):
        read_targets(target_table({}).slice(0, 0), read_survey(RECORDS))


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (
            [{"variable": "xx"}],
            r"`targets` ask for the variable 'xx' \(targets 'xx by state=CA'\), which is no column "
            r"of `records`; closest: 'x'",
        ),
        (
            [{"entity": "person", "variable": "incme"}],
            r"the variable 'incme' .* no column of `members\['person'\]`; closest: 'income'",
        ),
        (
            [{"variable": None}],
            r"`targets` ask for the variable ''",
        ),
        (
            [{"variable": "state"}],
            r"`targets` ask for the variable 'state' \(targets 'state by state=CA'\), which is "
            r"string in `records`, not a number; to count rows use 'count'",
        ),
        (
            [{"stat": "CA"}],
            r"`targets` has the label columns 'stat', which neither `records` nor `members` have; "
            r"drop or rename them; for 'stat', closest: 'state'",
        ),
        (
            [{"importence": "1"}],
            r"`targets` has the label columns 'importence', .* closest: 'importance'",
        ),
        (
            [{"age": "18+"}],
            r"`targets` label 'age' for 'count by state=CA, age=18\+', and `records` cannot reach "
            r"a column of that name; leave the cell empty",
        ),
        (
            [{"state": "CAA"}],
            r"`targets` ask for 'CAA' in column 'state' \(targets 'count by state=CAA'\), "
            r"which no row has; correct or drop them; for 'CAA', closest: 'CA'",
        ),
        (
            [{"state": "CA "}],
            r"`targets` ask for 'CA ' .* closest: 'CA'",
        ),
        (
            [{"state": "XX"}, {"state": "YY"}, {"state": "XX", "variable": "x"}],
            r"`targets` ask for 'XX', 'YY' in column 'state' \(targets 'count by state=XX', "
            r"'count by state=YY'",
        ),
        (
            [{"value": None}, {"value": np.nan, "state": "CO"}, {"value": np.inf, "state": "NY"}],
            r"`targets` column 'value' is empty, NaN or infinite for 3 targets \("
            r"'count by state=CA', 'count by state=CO', 'count by state=NY'\); "
            r"give each a number or drop the row",
        ),
        (
            [{"name": "a", "value": 1.0}, {"name": "b", "value": 2.0}],
            r"`targets` give different values for one target \('count by state=CA: 1 \(a\), "
            r"2 \(b\)'\); keep one",
        ),
        (
            [{"name": "a"}, {"name": "a", "state": "NY"}],
            r"`targets` use one name for different targets \('a'\); rename all but one",
        ),
        (
            [{"importance": -1.0}],
            r"`targets` column 'importance' is negative for 1 targets \('count by state=CA'\)",
        ),
        (
            [{"tolerance": np.nan}],
            r"`targets` column 'tolerance' is empty, NaN or infinite for 1 targets",
        ),
        (
            [{"importance": 0.0}],
            r"`importance` is zero for all targets \('count by state=CA'\); raise one",
        ),
    ],
)  # fmt: skip
def test_bad_targets_are_named(rows, match):
    with pytest.raises(InputError, match=match):
        read(*rows)


@pytest.mark.parametrize(
    ("stated", "typo", "rows"),
    [
        (["", "person", "persn"], "persn", "2"),
        (["household", "household", "persn", "person"], "persn", "2"),
        (["household", "famly"], "household", "0"),
        (["persons", "persons"], "persons", "0, 1"),
        (["Person"], "Person", "0"),
    ],
)
def test_a_typo_in_entity_is_caught(stated, typo, rows):
    states = ["CA", "CO", "NY", None]
    with pytest.raises(
        InputError,
        match=rf"`targets` use '{typo}' as `entity` \(rows {rows}\), which is no member table; .*"
        r"'person': pass it in `members` or correct it",
    ):
        read(*({"entity": entity, "state": s} for entity, s in zip(stated, states, strict=False)))


def test_values_that_are_text():
    table = target_table({}).set_column(2, "value", pa.array(["1,000"]))
    with pytest.raises(
        InputError, match=r"`targets` column 'value' is string, not a number; cast it"
    ):
        read_targets(table, read_survey(RECORDS))


def test_a_column_named_count():
    records = RECORDS.append_column("count", pa.array([1, 2, 3]))
    survey = read_survey(records, key="id")
    with pytest.raises(InputError, match=r"`records` has a column named 'count', .* rename the"):
        compile_targets(read_targets(target_table({}), survey), survey)
    amounts = target_table({"variable": "x"})
    assert compile_targets(read_targets(amounts, survey), survey).nnz == 1


def test_labels_of_a_type_that_cannot_be_written():
    records = RECORDS.append_column("kinds", pa.array([[1], [2], []]))
    survey = read_survey(records, key="id")
    with pytest.raises(InputError, match=r"`targets` label 'kinds' for .* is list<.*; write it as"):
        compile_targets(read_targets(target_table({"kinds": "1"}), survey), survey)
    bands = pd.DataFrame({"variable": ["x"], "value": [1.0], "state": pd.cut([1], [0, 2])})
    with pytest.raises(InputError, match=r"`targets` column 'state' is .*; write labels as text"):
        read_targets(bands, survey)


@pytest.mark.parametrize("bad", [np.nan, np.inf, None])
def test_a_bad_number_matters_only_where_a_target_adds_it_up(bad):
    records = RECORDS.append_column("y", pa.array([1.0, bad, 2.0]))
    survey = read_survey(records, key="id")
    fine = read_targets(target_table({"variable": "x"}), survey)
    assert compile_targets(fine, survey).nnz == 1
    with pytest.raises(InputError, match=r"`records` column 'y' has 1 null, NaN .*\(records 1\)"):
        compile_targets(read_targets(target_table({"variable": "y"}), survey), survey)


@pytest.mark.parametrize("name", ["group", "name", "source"])
@pytest.mark.parametrize("holder", ["records", "members"])
def test_a_column_that_would_hide_a_label_is_refused(name, holder):
    records, persons = RECORDS, PERSONS
    if holder == "records":
        records = records.append_column(name, pa.array(range(len(records))))
    else:
        persons = persons.append_column(name, pa.array(range(len(persons))))
    survey = read_survey(records, key="id", members={"person": persons})
    argument = "records" if holder == "records" else r"members\['person'\]"
    with pytest.raises(
        InputError,
        match=rf"`targets` column '{name}' is also a column of `{argument}`; rename it in both to "
        rf"use it as a label, or in `{argument}` to ",
    ):
        read_targets(target_table({name: "1"}, {"state": "NY"}), survey)
    # No label: one cell is no level, or none is filled.
    read_targets(target_table({name: "1"}, {name: "other", "state": "NY"}), survey)
    read_targets(target_table({name: None}), survey)

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from l0.calibration.inputs.survey import read_survey
from l0.calibration.inputs.targets import describe, read_targets, shares
from l0.calibration.problem.matrix import compile_targets
from l0.common.errors import InputError
from l0.data.codings import Coding, without_missing_codes

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


def test_row_numbers_of_records_and_targets_are_no_label():
    rows = {"": [0, 1, 2]}
    survey = read_survey(pa.table({**rows, **RECORDS.to_pydict()}), key="id")
    targets = pa.table({**rows, "variable": ["count", "x", "x"], "value": [3.0, 6.0, 1.0],
                        "state": [None, None, "CA"]})  # fmt: skip
    assert read_targets(targets, survey).names == ["count", "x", "x by state=CA"]
    with pytest.raises(InputError, match="`targets` have a column without a name"):
        read_targets(targets[::-1], survey)


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


def test_the_groups_shown_are_those_that_count_the_same():
    rows = [
        {"group": "a"}, {"group": "a", "state": "NY"},
        {"variable": "x"}, {"variable": "x", "state": "NY"}, {"state": "CO"},
    ]  # fmt: skip
    table = read(*rows)
    assert table.groups == ["a", "a", "x by state", "x by state", "count by state"]
    np.testing.assert_allclose(table.importance, [1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 3])


def test_an_empty_column_of_groups_is_none():
    without = [{}, {"state": "NY"}, {"variable": "x"}]
    for empty in (None, ""):
        table = read(*[{**row, "group": empty} for row in without])
        np.testing.assert_allclose(table.importance, read(*without).importance)


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
            r"`targets` ask for the variable 'xx' \(targets 'xx by state=CA'\), which is not a "
            r"column of `records`; closest: 'x'",
        ),
        (
            [{"entity": "person", "variable": "incme"}],
            r"the variable 'incme' .* not a column of `members\['person'\]`; closest: 'income'",
        ),
        (
            [{"variable": None}],
            r"`targets` column 'variable' is empty in 1 row \(rows 0\)",
        ),
        (
            [{"variable": "state"}],
            r"`targets` ask for the variable 'state' \(targets 'state by state=CA'\), which is "
            r"string, not a number \('CA', 'CO', 'NY'\) in `records`; write plain numbers, or",
        ),
        (
            [{"stat": "CA"}],
            r"`targets` have the label columns 'stat', which neither `records` nor `members` have; "
            r"drop or rename them; for 'stat', closest: 'state'",
        ),
        (
            [{"importence": "1"}],
            r"`targets` have the label columns 'importence', .* closest: 'importance'",
        ),
        (
            [{"age": "18+"}],
            r"`targets` have a label 'age' for 'count by state=CA, age=18\+', and there is no "
            r"column of that name for `records`; leave the cell empty",
        ),
        (
            [{"state": "CAA"}],
            r"`targets` ask for 'CAA' in column 'state' \(targets 'count by state=CAA'\), "
            r"which no row has; correct or drop them; for 'CAA', closest: 'CA'",
        ),
        (
            [{"state": "CA "}],
            r"`targets` ask for 'CA ' .*; correct or drop them; some differ from a level only in "
            r"blanks or case: 'CA ' for 'CA'$",
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
            r"`targets` have different values for one target \('count by state=CA: 1 \(a\), "
            r"2 \(b\)'\); keep one",
        ),
        (
            [{"name": "a"}, {"name": "a", "state": "NY"}],
            r"`targets` use one name for different targets \('a'\); rename all but one",
        ),
        (
            [{"importance": -1.0}],
            r"`targets` column 'importance' is negative for 1 target \('count by state=CA'\)",
        ),
        (
            [{"tolerance": np.nan}],
            r"`targets` column 'tolerance' is empty, NaN or infinite for 1 target",
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
        (["household", "famly"], "famly", "1"),
        (["persons", "persons"], "persons", "0, 1"),
        (["Person"], "Person", "0"),
    ],
)
def test_a_typo_in_entity_is_caught(stated, typo, rows):
    states = ["CA", "CO", "NY", None]
    with pytest.raises(
        InputError,
        match=rf"`targets` have .*'{typo}' \(rows {rows}\) as `entity`, and the tables in "
        r"`members` are 'person'; pass the table of each in `members=`, or use the same name in "
        r"both, or leave the cell empty",
    ):
        read(*({"entity": entity, "state": s} for entity, s in zip(stated, states, strict=False)))


def test_values_that_are_text():
    table = target_table({}).set_column(2, "value", pa.array(["1,000"]))
    with pytest.raises(
        InputError, match=r"`targets` column 'value' is string, not a number \('1,000'\); write"
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
    with pytest.raises(InputError, match=r"`targets` have a label 'kinds' .* list<.*; convert"):
        compile_targets(read_targets(target_table({"kinds": "1"}), survey), survey)
    bands = pd.DataFrame({"variable": ["x"], "value": [1.0], "state": pd.cut([1], [0, 2])})
    with pytest.raises(InputError, match=r"`targets` column 'state' is .*; write it as text"):
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
        match=rf"`targets` column '{name}' is also a column of `{argument}`; to use it as a label, "
        rf"rename it in both tables; to .*, rename it in `{argument}`",
    ):
        read_targets(target_table({name: "1"}, {"state": "NY"}), survey)
    # No label: no cell is a level, or none is filled.
    read_targets(target_table({name: "one"}, {name: "other", "state": "NY"}), survey)
    read_targets(target_table({name: None}), survey)


# Names that are not what they seem


def test_a_member_table_under_another_name_is_no_record():
    survey = read_survey(RECORDS, key="id", members={"people": PERSONS})
    with pytest.raises(
        InputError,
        match=r"`targets` have 'person' \(rows 0, 1\) as `entity`, .* `members` are 'people'; "
        r"pass .*, or use the same name in both",
    ):
        read_targets(
            target_table({"entity": "person"}, {"entity": "person", "state": "NY"}), survey
        )
    alone = read_survey(RECORDS, key="id")
    assert read_targets(target_table({"entity": "person"}), alone).entities == [""]
    # An empty cell is no name: it means the records, whatever members there are.
    assert read_targets(target_table({"entity": None}), survey).entities == [""]


ENTITIES = st.lists(st.sampled_from(["", "home", "person", "job"]), min_size=2, max_size=12)


@given(ENTITIES, st.booleans())
def test_forgotten_members_are_asked_for_and_no_column_is_blamed(stated, with_persons):
    named = {entity for entity in stated if entity and not (with_persons and entity == "person")}
    assume(named and (len(set(stated)) > 1))
    assume(not with_persons or len(set(stated) - {"person"}) > 1)
    rows = [
        {"entity": entity, "variable": "hours", "age": "18+", "value": row}
        for row, entity in enumerate(stated)
    ]
    members = {"person": PERSONS} if with_persons else None
    survey = read_survey(RECORDS, key="id", members=members)
    with pytest.raises(InputError, match=r"pass .*`members=`") as caught:
        read_targets(target_table(*rows), survey)
    message = str(caught.value)
    assert "age" not in message and "hours" not in message
    if with_persons:
        assert all(f"{entity!r} (rows {stated.index(entity)}" in message for entity in named)
    else:
        names = ", ".join(repr(entity) for entity in dict.fromkeys(filter(None, stated)))
        assert message.startswith(f"`targets` name the entities {names}: pass `members=` with")


@pytest.mark.parametrize(
    ("row", "lost"),
    [
        ({"age": "18+"}, "'age'"),
        ({"variable": "hours"}, "'hours'"),
        ({"age": "18+", "sex": "f"}, "'age', 'sex'"),
    ],
)
def test_the_only_entity_may_be_a_table_that_was_forgotten(row, lost):
    survey = read_survey(RECORDS, key="id")
    with pytest.raises(
        InputError,
        match=rf"`targets` name the entity 'person', and use {lost}, which `records` do not have: "
        r"pass `members=` with the table of 'person'; if the records are meant, correct these; ",
    ):
        read_targets(target_table({"entity": "person", **row}), survey)
    # Without an entity it is the column that is wrong.
    with pytest.raises(InputError, match=r"the label columns|ask for the variable"):
        compile_targets(read_targets(target_table(row), survey), survey)


def test_a_misspelt_entity_does_not_blame_another():
    rows = [{"entity": "household"}, *({"entity": "persons", "state": s} for s in ("CA", "NY"))]
    with pytest.raises(
        InputError,
        match=r"'household' \(rows 0\), 'persons' \(rows 1, 2\) as `entity`.*are 'person'; pass ",
    ):
        read(*rows)


@pytest.mark.parametrize("name", ["group", "name", "source"])
@pytest.mark.parametrize("holder", ["records", "members"])
def test_a_misspelt_label_does_not_make_its_column_a_description(name, holder):
    tables = {"records": RECORDS, "members": PERSONS}
    tables[holder] = tables[holder].append_column(name, pa.array(["a", "b", "c"]))
    survey = read_survey(tables["records"], key="id", members={"person": tables["members"]})
    argument = "records" if holder == "records" else r"members\['person'\]"
    with pytest.raises(
        InputError,
        match=rf"`targets` column '{name}' is also a column of `{argument}`, which has some of its "
        rf"values and not 'B'; to use it as a label, correct these and rename it in both "
        rf"tables; to .*, rename it in `{argument}`",
    ):
        read_targets(target_table({name: "a"}, {name: "B", "state": "NY"}), survey)
    read_targets(target_table({name: "A"}, {name: "B", "state": "NY"}), survey)


def test_an_empty_variable_is_named():
    with pytest.raises(
        InputError,
        match=r"`targets` column 'variable' is empty in 2 rows \(rows 0, 2\); name the column to "
        r"add up, or 'count'",
    ):
        read({"variable": None, "value": 2.0}, {"state": "NY"}, {"variable": "", "value": 3.0})


@pytest.mark.parametrize("holder", ["records", "members"])
def test_labels_that_one_number_would_merge_are_refused(tmp_path, holder):
    def labelled(cells, asked):
        lines = ["id,code,x", *(f"{row},{cell},1.50" for row, cell in enumerate(cells))]
        (tmp_path / "coded.csv").write_text("\n".join(lines))
        coded, plain = tmp_path / "coded.csv", pa.table({"id": range(len(cells))})
        records, persons = (coded, plain) if holder == "records" else (plain, coded)
        survey = read_survey(records, key="id", members={"person": persons})
        table = pa.table({"entity": ["person"], "variable": ["count"], "value": [1.0], **asked})
        return compile_targets(read_targets(table, survey), survey).toarray().tolist()

    argument = "records" if holder == "records" else r"members\['person'\]"
    for cells in (["5.1", "5.10", "6"], ["12E1", "120", "0.5"]):
        match = rf"label 'code', .* of `{argument}` .* '{cells[0]}' and '{cells[1]}' are the same"
        with pytest.raises(InputError, match=match):
            labelled(cells, {"code": [cells[0]]})
        assert labelled(cells, {}) == [[1, 1, 1]]  # no label, no harm
    assert labelled(["2.0", "2", "0.50", "NA", ""], {"code": ["2"]}) == [[1, 1, 0, 0, 0]]


def labelled(codes, labels):
    field = Coding("stata", values=labels).on(pa.field("area", pa.int64()))
    return field, pa.array(codes)


def test_codes_of_a_labelled_table_mean_its_own_labels():
    field, codes = labelled([1, 2, 2], [[1, "North"], [2, "South"]])
    homes = pa.table([codes], schema=pa.schema([field]))
    field, codes = labelled([1, 2], [[1, "South"], [2, "North"]])
    targets = pa.table({"variable": ["count"] * 2, "value": [20, 10]}).append_column(field, codes)
    found = read_targets(targets, read_survey(homes))
    assert [dict(of.labels)["area"] for of in found.statements] == ["2", "1"]
    assert compile_targets(found, read_survey(homes)).toarray().sum(axis=1).tolist() == [2, 1]


def test_a_missing_code_is_no_empty_label(tmp_path):
    coding = Coding("spss", missing=[[9, 9]])
    table = pa.table({"variable": ["count"] * 2, "value": [20, 10]})
    table = table.append_column(coding.on(pa.field("area", pa.int64())), pa.array([1, 9]))
    with pytest.raises(
        InputError,
        match=r"`targets` column 'area' has the missing codes '9' in 1 row; write a lab",
    ):
        read_targets(without_missing_codes(table), read_survey(pa.table({"area": [1, 2]})))

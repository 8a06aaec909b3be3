import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.inputs.survey import find_keys, read_survey
from l0.common.errors import InputError
from tests.data import odd_columns


def records(keys=("b", "a", "c"), **columns):
    return pa.table({"id": pa.array(keys), **columns})


def read_with_persons(keys, person_keys):
    return read_survey(
        pa.table({"id": keys}), key="id", members={"person": pa.table({"id": person_keys})}
    )


# Order and ties


@given(st.permutations(range(6)), st.permutations([0, 0, 1, 2, 2, 5]))
def test_records_are_sorted_by_key_and_members_point_at_them(keys, person_keys):
    persons = pa.table({"id": person_keys, "of": person_keys})
    survey = read_survey(pa.table({"id": keys, "x": keys}), key="id", members={"person": persons})
    assert survey.keys.to_pylist() == list(range(6))
    assert survey.records.table["x"].to_pylist() == list(range(6))
    np.testing.assert_array_equal(np.array(keys)[survey.order], range(6))
    np.testing.assert_array_equal(survey.members["person"].record, person_keys)


def test_without_a_key_records_are_known_by_row():
    survey = read_survey(records(x=[5, 6, 7]))
    assert survey.keys.to_pylist() == [0, 1, 2]
    assert survey.weights is None
    assert survey.records.table["x"].to_pylist() == [5, 6, 7]


def test_an_entity_has_its_own_column_before_that_of_its_record():
    survey = read_survey(
        records(x=[1, 2, 3], y=[1, 2, 3]),
        key="id",
        members={"person": records(["a", "a"], x=[8, 9])},
    )
    person = survey.members["person"]
    assert survey.holder(person, "x") is person
    assert survey.holder(person, "y") is survey.records
    assert survey.holder(person, "z") is None
    assert survey.holder(survey.records, "x") is survey.records


@pytest.mark.parametrize(
    "person_keys",
    [
        pa.array([2, 1, 2], pa.int8()),
        pa.array([2, 1, 2], pa.uint64()),
        pa.array([2.0, 1.0, 2.0]),
        pa.array([decimal.Decimal("2.00"), decimal.Decimal("1.00"), decimal.Decimal("2.00")]),
        pa.array(["2", "1", "2"]),
        pa.array(["2", "1", "2"], pa.large_string()).dictionary_encode(),
    ],
)
@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.uint16(), pa.float64(), pa.string()])
def test_keys_of_different_types_meet(kind, person_keys):
    survey = read_with_persons(pa.array([1, 2, 3]).cast(kind), person_keys)
    np.testing.assert_array_equal(survey.members["person"].record, [1, 0, 1])


def test_long_keys_of_different_types_meet():
    numbers = pa.array([202301234567.0, 10.5])
    assert find_keys(numbers, pa.array(["10.5", "202301234567"])).to_pylist() == [1, 0]


def test_pandas_categorical_keys():
    frame = pd.DataFrame({"id": pd.Categorical(["b", "a"], categories=["z", "b", "a"])})
    survey = read_survey(frame, key="id", members={"person": pl.DataFrame({"id": ["b"]})})
    assert survey.keys.to_pylist() == ["a", "b"]
    np.testing.assert_array_equal(survey.members["person"].record, [1])


# Key errors


@pytest.mark.parametrize("key", ["weight", "design_weight", "row", "rw1", "rw80"])
def test_a_key_does_not_have_the_name_of_a_column_of_the_result(key):
    records = pd.DataFrame({key: [1, 2], "w": [1.0, 2.0]})
    with pytest.raises(InputError, match=f"`key` column '{key}' has the name of a column of the"):
        read_survey(records, key=key, weight="w")


def test_missing_key_column():
    with pytest.raises(
        InputError, match=r"`records` has no column 'idd' to use as the `key`; closest: 'id'"
    ):
        read_survey(records(), key="idd")


def test_missing_key_column_of_members():
    with pytest.raises(InputError, match=r"`members\['person'\]` has no column 'id' to use as"):
        read_survey(records(), key="id", members={"person": pa.table({"x": [1]})})


def test_members_without_a_key():
    with pytest.raises(
        InputError, match=r"`members` need the key of their record; name its column"
    ):
        read_survey(records(), members={"person": records()})


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([1], "1"),
        ([""], "''"),
        ([" ", None, ("a", "b")], r"' ', None, \('a', 'b'\)"),
        ([b"a"], "b'a'"),
    ],
)
def test_names_of_members_are_text_with_letters(names, shown):
    members = {name: pa.table({"id": ["a"]}) for name in ["person", *names]}
    with pytest.raises(InputError, match=rf"`members` has the names {shown}, and targets name a"):
        read_survey(records(), key="id", members=members)


def test_members_that_are_no_dictionary():
    with pytest.raises(InputError, match=r"`members` is a DataFrame; pass a dictionary"):
        read_survey(records(), key="id", members=pd.DataFrame({"id": ["a"]}))


def test_duplicate_keys():
    with pytest.raises(
        InputError,
        match=r"`key` column 'id' repeats 2 keys \('b', 'a'\); keys must be unique: drop",
    ):
        read_survey(records(["b", "a", "a", "b", "c"]), key="id")


@pytest.mark.parametrize(
    "keys", [pa.array(["a", None, "b", None]), pa.array([1.0, np.nan, 2.0, None])]
)
def test_null_keys(keys):
    with pytest.raises(
        InputError, match=r"`key` column 'id' is null in 2 rows \(rows 1, 3\); give every record"
    ):
        read_survey(pa.table({"id": keys}), key="id")


@pytest.mark.parametrize("keys", [pa.array(["a", None]), pa.array(["a", None]).dictionary_encode()])
def test_null_keys_of_members(keys):
    with pytest.raises(
        InputError, match=r"`members\['person'\]` has 1 row with a null key 'id' \(rows 1\)"
    ):
        read_with_persons(["a"], keys)


def test_members_whose_record_is_missing():
    with pytest.raises(
        InputError,
        match=r"`members\['person'\]` has 9 rows whose record is missing from `records` "
        r"\(keys 12, 13, 14, 15, 16 and 2 more\); add these records or drop the rows",
    ):
        read_with_persons([10, 11], [10, 12, 12, 12, 11, 13, 14, 15, 16, 17, 18])


def test_text_keys_are_never_read_as_numbers():
    with pytest.raises(
        InputError, match=r"\(keys '01', string where `records` have int64\); add these records"
    ):
        read_with_persons([1, 2], ["01", "2"])


def test_an_integer_key_too_large_for_the_type_of_the_records_is_unmatched():
    with pytest.raises(InputError, match=r"1 row whose record is missing .* \(keys 1000, int64"):
        read_with_persons(pa.array([1, 2], pa.int8()), [1, 1000])


@pytest.mark.parametrize("argument", ["records", "members"])
def test_empty_tables(argument):
    empty, full = pd.DataFrame({"id": []}), pd.DataFrame({"id": ["a"]})
    tables = {"records": full, "members": full} | {argument: empty}
    with pytest.raises(InputError, match=rf"`{argument}.*` has no rows"):
        read_survey(tables["records"], key="id", members={"person": tables["members"]})


# Weights


@pytest.mark.parametrize(
    "weights",
    [
        pa.array([1.5, 2.0, 3.0]),
        pa.array([decimal.Decimal("1.5"), decimal.Decimal("2.0"), decimal.Decimal("3.0")]),
    ],
)
def test_weights_follow_the_keys(weights):
    survey = read_survey(records(w=weights), key="id", weight="w")
    np.testing.assert_array_equal(survey.weights, [2.0, 1.5, 3.0])


def test_missing_weight_column():
    with pytest.raises(
        InputError, match=r"`records` has no column 'wieght' to use as the design `weight`; closest"
    ):
        read_survey(records(weight=[1, 1, 1]), weight="wieght")


def test_weights_that_are_text():
    with pytest.raises(
        InputError, match=r"`weight` column 'w' is string, not a number \('1', '2', '3'\); write"
    ):
        read_survey(records(w=["1", "2", "3"]), weight="w")


@pytest.mark.parametrize(
    ("weights", "what"),
    [
        ([1.0, 0.0, -2.0], r"2 zero or negative values \(records 'a', 'c'\)"),
        ([1.0, np.nan, np.inf], r"2 null, NaN or infinite values \(records 'a', 'c'\)"),
        ([1.0, None, 2.0], r"1 null, NaN or infinite value \(records 'a'\)"),
    ],
)
def test_bad_weights_name_the_records(weights, what):
    with pytest.raises(
        InputError, match=rf"`weight` column 'w' has {what}; design weights must be"
    ):
        read_survey(records(w=weights), key="id", weight="w")


@pytest.mark.parametrize("scale", [1e-300, 1e-51, 1e51, 1e300])
def test_weights_that_no_fit_can_compute_with_are_refused(scale):
    with pytest.raises(
        InputError,
        match=r"`weight` column 'w' is outside of 1e-50 to 1e\+50 in 1 record \('a'\), and no fit ",
    ):
        read_survey(records(w=[1.0, scale, 2.0]), key="id", weight="w", zero_weights="drop")


# Measures


def test_a_bad_measure_names_each_record_once():
    survey = read_survey(
        records(),
        key="id",
        members={"person": records(["c", "c", "a", "b"], x=[np.nan, None, np.inf, 1.0])},
    )
    with pytest.raises(
        InputError,
        match=r"`members\['person'\]` column 'x' has 3 null, NaN or infinite values "
        r"\(records 'a', 'c'\); fill them or drop the rows",
    ):
        survey.measure(survey.members["person"], "x")


def test_columns_that_arrow_barely_knows_do_no_harm():
    table = pa.table(
        {
            "id": [2, 1],
            "list": [[1], []],
            "struct": [{"a": 1}, None],
            "view": pa.array(["a", "b"], pa.string_view()),
            "bytes": [b"\xff", None],
            "nothing": pa.nulls(2),
        }
    )
    survey = read_survey(table, key="id")
    assert survey.records.table["view"].to_pylist() == ["b", "a"]


@pytest.mark.parametrize(("kind", "name"), odd_columns.EVERY_COLUMN)
def test_an_odd_column_is_named_where_it_is_used(kind, name):
    plain = pd.DataFrame({"id": [2, 0, 1], "x": [1.0, 2.0, 3.0]})
    frame = odd_columns.odd(kind, plain)
    numbers = ("half", "decimal", "wide decimal", "short decimal", "nothing")
    keys = ("bytes", "duration", "decimal", "wide decimal", "text view", "nowhere", "nothing")
    if name not in keys:
        match = rf"`records` column '{name}' cannot be the `key`: it is .*; write it as text or"
        with pytest.raises(InputError, match=match):
            read_survey(frame, key=name)
        match = rf"`members\['person'\]` column '{name}' cannot be the `key`: it is"
        with pytest.raises(InputError, match=match):
            person = frame.select if kind == "polars" else lambda _: frame
            table = person([name]) if kind == "polars" else frame
            read_survey(pa.table({name: ["a"]}), key=name, members={"person": table})
    if name not in numbers:
        with pytest.raises(InputError, match=rf"`weight` column '{name}' is .*, not a number"):
            read_survey(frame, weight=name)


# Keys in CSV files


@pytest.mark.parametrize(
    ("keys", "person_keys"),
    [
        (["12345678901234567890", "12345678901234567891"], ["12345678901234567892"]),
        (["5.1", "5.2"], ["5.10"]),
        (["5.1", "5.10"], ["5.100"]),
        (["120", "121"], ["12E1"]),
    ],
)
def test_unlike_keys_in_csv_files_never_meet(tmp_path, keys, person_keys):
    for name, ids in (("records", keys), ("persons", person_keys), ("own", keys)):
        (tmp_path / f"{name}.csv").write_text("\n".join(["id,x", *(f"{key},1" for key in ids)]))

    def members(name):
        tables = {"person": tmp_path / f"{name}.csv"}
        return read_survey(tmp_path / "records.csv", key="id", members=tables).members["person"]

    np.testing.assert_array_equal(members("own").record, [0, 1])
    with pytest.raises(InputError, match=rf"record is missing .* \(keys '{person_keys[0]}'"):
        members("persons")


def test_weights_that_are_text_name_the_cells():
    with pytest.raises(
        InputError, match=r"`weight` column 'w' is string, not a number \('1,5', 'x'\); write plain"
    ):
        read_survey(records(w=["1,5", "2", "x"]), weight="w")


@pytest.mark.parametrize("argument", ["key", "weight"])
@pytest.mark.parametrize("given", [pd.Series([1, 2, 3]), np.ones(3), ["id"], 0])
def test_a_column_is_given_by_its_name(argument, given):
    with pytest.raises(InputError, match=f"`{argument}` is an? .*; pass the name of a column"):
        read_survey(records(w=[1, 2, 3]), **{"key": "id", argument: given})


def test_the_weights_are_not_the_keys():
    with pytest.raises(InputError, match="`key` and `weight` both name the column 'id'"):
        read_survey(records([1, 2, 3]), key="id", weight="id")


# Weights of 0, and weights of members


def weighted(zero_weights="drop", weights=(2.0, 0.0, 3.0), **members):
    return read_survey(
        records(w=list(weights), x=[5, 6, 7]), key="id", weight="w", zero_weights=zero_weights,
        members=members,
    )  # fmt: skip


def test_weights_of_0_are_refused_with_the_remedy():
    with pytest.raises(
        InputError,
        match=r"has 1 zero or negative value \(records 'a'\); design weights must be positive: "
        r"drop these records or give them a weight, or leave out those of weight 0 with "
        r"`zero_weights='drop'` \(on the command line --zero-weights drop\)$",
    ):
        weighted("error")


def test_records_of_weight_0_and_their_members_can_be_left_out():
    persons = pa.table({"id": ["c", "a", "b", "c", "a"], "age": [1, 2, 3, 4, 5]})
    survey = weighted(person=persons)
    assert survey.n_dropped == 1
    assert survey.keys.to_pylist() == ["b", "c"]
    assert survey.weights.tolist() == [2, 3]
    assert survey.order.tolist() == [0, 2]
    assert survey.records.table["x"].to_pylist() == [5, 7]
    assert survey.records.record.tolist() == [0, 1]
    assert survey.members["person"].table["age"].to_pylist() == [1, 3, 4]
    assert survey.members["person"].record.tolist() == [1, 0, 1]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=3, max_size=3))
def test_the_number_of_records_left_out_is_counted(weights):
    if not any(weights):
        with pytest.raises(InputError, match="`weight` column 'w' is 0 in all 3 records; name"):
            weighted(weights=weights)
        return
    survey = weighted(weights=weights)
    assert survey.n_dropped == weights.count(0.0)
    assert (survey.weights > 0).all()


def test_negative_weights_are_refused_anyway():
    with pytest.raises(InputError, match=r"has 1 negative value \(records 'b'\)"):
        weighted(weights=[-1.0, 0, 2])


def test_there_are_two_ways_with_weights_of_0():
    with pytest.raises(
        InputError, match="`zero_weights` is 'keep'; it must be one of 'error', 'drop'"
    ):
        weighted("keep")


def test_members_may_repeat_the_weight_of_their_record():
    weights = pa.array([2.0, 3.0, 3.0000001]).cast(pa.float32())
    survey = weighted(person=pa.table({"id": ["b", "c", "c"], "w": weights}))
    assert survey.members["person"].table.num_rows == 3


@pytest.mark.parametrize("weights", [[2.0, 4.0, 3.0], [2.0, None, 3.0], ["2", "x", "3"]])
def test_members_with_weights_of_their_own_are_refused(weights):
    n_rows = 3 if isinstance(weights[0], str) else 1
    keys = "'b', 'c', 'c'" if n_rows == 3 else "'c'"
    with pytest.raises(
        InputError,
        match=r"`members\['person'\]` has the `weight` column 'w' too, with another value than the "
        rf"record in {n_rows} rows? \(keys {keys}\); members with weights of their own are not "
        "supported: drop or rename the column, and each member has the weight of its record",
    ):
        weighted(person=pa.table({"id": ["b", "c", "c"], "w": weights}))


def test_a_column_that_says_yes_or_no_is_boolean_or_has_the_numbers_1_and_0():
    table = pa.table(
        {
            "id": ["b", "a"],
            "flag": [True, False],
            "one": [1.0, 0.0],
            "two": [2, 1],
            "none": [None, True],
        }
    )
    survey = read_survey(table, key="id")
    assert survey.flags("flag", "must_keep").tolist() == [False, True]
    assert survey.flags("one", "must_keep").tolist() == [False, True]
    with pytest.raises(InputError, match="names the column 'two', which is int64; it must be bool"):
        survey.flags("two", "must_keep")
    with pytest.raises(InputError, match=r"'none', which is null in 1 record \('b'\); fill them"):
        survey.flags("none", "must_keep")

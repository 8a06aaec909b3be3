import numpy as np
import pyarrow as pa
import pytest

from l0.common.errors import InputError
from l0.data.codings import (
    Coding,
    as_code,
    coding_of,
    is_labelled,
    letters_of,
    level_of,
    tagged,
    whole,
    without_missing_codes,
)


def table_of(values, coding, name="x"):
    values = pa.array(values)
    return pa.table([values], schema=pa.schema([coding.on(pa.field(name, values.type))]))


SEX = table_of([1, 2, 2], Coding("stata", values=[[1, "Men"], [2, "Women"], ["a", "refused"]]))


def test_the_description_follows_the_column():
    coding = Coding("spss", label="Sex", values=[[1.0, "Men"]], missing=[[98.0, 99.0]], width=8)
    table = table_of([1, 2, 99], coding)
    assert coding_of(table.take([2, 0]).sort_by("x").schema.field("x")) == coding
    assert coding_of(pa.field("x", pa.int64())) is None


def test_letters_survive_in_numbers_that_are_taken():
    numbers = pa.array(np.append(tagged(["a", "z"]), [1.5, np.nan])).take(pa.array([3, 1, 2, 0]))
    assert letters_of(numbers.to_numpy()) == [None, "z", None, "a"]


def test_missing_codes_become_null_and_are_counted():
    coding = Coding("spss", missing=[[98, 99], [-1, -1]])
    table = without_missing_codes(table_of([1, 98, 99, None, -1, 99], coding))
    assert table["x"].to_pylist() == [1, None, None, None, None, None]
    assert coding_of(table.schema.field("x")).found == {"-1": 1, "98": 1, "99": 2}
    table = without_missing_codes(table_of(["NA", "x", None], Coding("spss", missing=[["NA"] * 2])))
    assert table["x"].to_pylist() == [None, "x", None]


def test_letters_become_null_and_integers_are_integers_again():
    values = np.append(tagged(["a", "b", "a"]), [1.0, 2.0])
    for integer, kind in ((True, pa.int64()), (False, pa.float64())):
        table = without_missing_codes(table_of(values, Coding("stata", integer=integer)))
        assert table["x"].to_pylist() == [None, None, None, 1, 2]
        assert table["x"].type == kind
        assert coding_of(table.schema.field("x")).found == {"a": 2, "b": 1}


def test_whole_numbers_become_integers_and_others_stay():
    assert whole(pa.chunked_array([[1.0, None, float("nan"), -3.0]])).to_pylist() == [
        1, None, None, -3,
    ]  # fmt: skip
    for values in ([1.5, 2.0], [1e300], [None, None], ["a"]):
        values = pa.chunked_array([pa.array(values, None if isinstance(values[0], str) else "f8")])
        assert whole(values) is values


def test_codes_are_written_like_labels():
    assert [as_code(code) for code in (2.0, 2, "a", 0.5)] == ["2", "2", "a", "0.5"]


@pytest.mark.parametrize(
    ("text", "level"), [("Women", "2"), (" Men ", "1"), ("2", "2"), ("2.0", "2"), ("7", "7"),
                        ("refused", "a")],
)  # fmt: skip
def test_a_level_is_a_code_or_its_label(text, level):
    assert level_of(text, SEX, "x", "records") == level


def test_a_level_of_a_column_without_labels_is_as_before():
    assert level_of("2.0", pa.table({"x": [1]}), "x", "records") == "2"


def test_a_text_that_is_no_label_is_refused_with_the_labels():
    with pytest.raises(
        InputError,
        match=r"'women' is neither a code nor a value label of `records` column 'x' "
        r"\('1 Men', '2 Women', 'a refused'\); correct it; closest: 'Women'",
    ):
        level_of("women", SEX, "x", "records")


@pytest.mark.parametrize("pairs", [[[1, "2"], [2, "1"]], [[1, "2"]], [[3, "2"], [4, "2"]]])
def test_a_label_that_can_mean_several_codes_is_refused(pairs):
    table = table_of([1, 2, 3], Coding("stata", values=pairs))
    with pytest.raises(InputError, match=r"'2' can mean several codes of `records` column 'x'"):
        level_of("2", table, "x", "records")


def test_a_column_is_labelled_if_all_its_values_are():
    assert is_labelled(SEX.schema.field("x"), SEX["x"])
    assert not is_labelled(SEX.schema.field("x"), pa.chunked_array([[1, 2, 3]]))
    assert not is_labelled(pa.field("x", pa.int64()), SEX["x"])


def test_codes_of_another_table_mean_what_it_labels_them():
    own = Coding("stata", values=[[2, "Men"], [1, "Women"], [3, "Other"]]).on(
        pa.field("x", pa.int64())
    )
    assert [level_of(text, SEX, "x", "records", own) for text in ("1", "2", "7", "Men")] == [
        "2", "1", "7", "1",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"'Other' is neither a code nor a value label"):
        level_of("3", SEX, "x", "records", own)
    assert level_of("1", SEX, "x", "records", pa.field("x", pa.int64())) == "1"
    # A column without labels has nothing to compare them with.
    assert level_of("1", pa.table({"x": [1, 2]}), "x", "records", own) == "1"

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.common.formatting import (
    amount,
    as_lines,
    counted,
    join_names,
    percent,
    read_names,
    signed,
    split_names,
)


@given(st.floats(0, 1))
def test_percent_claims_all_or_nothing_only_where_that_is_so(share):
    assert (percent(share) == "0%") == (share == 0)
    assert (percent(share) == "100%") == (share == 1)


@given(st.floats(1e-5, 0.999) | st.floats(1, 1e6))
def test_percent_is_right_to_three_digits(share):
    written = float(percent(share).rstrip("%").replace(",", "")) / 100
    assert math.isclose(written, share, rel_tol=0.0051)


@pytest.mark.parametrize(
    ("share", "text"),
    [(-0.25, "−25%"), (-1.0, "−100%"), (-3.47, "−347%"), (-1e-9, ">−0.001%"), (-0.9999, "<−99.9%")],
)
def test_a_negative_share_is_not_written_as_a_small_one(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0183, "+1.83%"), (-1.0, "−100%"), (0.0, "0%"), (-1e-9, "<0.001%"), (3.47, "+347%")],
)
def test_signed(share, text):
    assert signed(share) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (5545, "5,545"), (0.125, "0.125"), (0, "0"), (-34.2e9, "−34.2 billion"),
        (1.2e7, "12 million"), (9_999_999, "9,999,999"), (14.1e12, "14.1 trillion"),
        (999.94, "999.9"), (999.99, "1,000"), (999_940_000, "999.9 million"),
        (999_999_999.9, "1 billion"), (-999_999e6, "−1 trillion"),
    ],
)  # fmt: skip
def test_amount(number, text):
    assert amount(number) == text


@pytest.mark.parametrize("number", [0, 1, 2, 1000])
def test_a_noun_and_its_verb_agree_with_their_count(number):
    written = "1,000" if number == 1000 else str(number)
    assert counted(number, "target") == f"{written} target" + ("" if number == 1 else "s")
    verb = "entry is" if number == 1 else "entries are"
    assert counted(number, "entry is", "entries are") == f"{written} {verb}"


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
def test_names_that_were_joined_are_split_again(names):
    assert read_names(join_names(names)) == names


@given(*[st.lists(st.text("a\n\\n", max_size=3), min_size=1, max_size=3)] * 2)
def test_other_texts_are_other_lines(one, other):
    assert (as_lines(one) == as_lines(other)) == (one == other)


def test_plain_names_are_joined_without_quotes():
    assert join_names(["state", "age band"]) == "state, age band"
    assert read_names("state, age band") == ["state", "age band"]
    assert read_names("") == []


@given(st.lists(st.text("abc_", min_size=1), max_size=4))
def test_names_that_people_write_are_split(names):
    assert split_names(" , ".join(names)) == names

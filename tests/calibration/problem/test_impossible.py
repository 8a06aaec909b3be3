import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.inputs.quotas import Quota
from l0.calibration.problem.constraints import group_records
from l0.calibration.problem.impossible import why_impossible
from tests.calibration.problem.test_allocation import cells

#: Twelve records: a0 has 4, a1 has 8, and every second one is in b0.
A, B = [0] * 4 + [1] * 8, [0, 1] * 6


@pytest.mark.parametrize(
    ("limits", "k", "text"),
    [
        ({"least": {"a0": 2}}, 5, ""),
        (
            {"must": [0, 1, 2]}, 2,
            "`n_records` is 2, and `must_keep` has 3 records; raise `n_records`, or keep fewer",
        ),
        (
            {"least": {"a0": 5, "b0": 7}}, 12,
            "`quotas` ask for more records than can be kept: at least 5 of 'a0', which has 4, at "
            "least 7 of 'b0', which has 6; lower `min_records`",
        ),
        (
            {"most": {"a0": 1}, "must": [0, 1]}, 5,
            "`quotas` and `must_keep` contradict each other: at most 1 of 'a0', where `must_keep` "
            "has 2; raise `max_records`, or keep fewer",
        ),
        (
            {"least": {"a0": 3, "a1": 4}}, 6,
            "`quotas` need at least 7 records (at least 3 of 'a0', at least 4 of 'a1'), and "
            "`n_records` is 6; raise `n_records`, or lower `min_records`",
        ),
        (
            {"least": {"a1": 4}, "must": [0, 1, 2]}, 6,
            "`quotas` and `must_keep` need at least 7 records (at least 4 of 'a1'), and "
            "`n_records` is 6; raise `n_records`, or lower `min_records`",
        ),
        (
            {"most": {"a0": 3, "a1": 4}}, 8,
            "`quotas` allow at most 7 records (at most 3 of 'a0', at most 4 of 'a1'), and "
            "`n_records` is 8; lower `n_records`, or raise `max_records`",
        ),
        (
            {"least": {"b0": 5}, "most": {"a0": 1, "a1": 3}}, 4,
            "`quotas` contradict each other: at least 5 of 'b0', at most 1 of 'a0', at most 3 of "
            "'a1'; no choice of records meets these together: correct or drop some",
        ),
    ],
)  # fmt: skip
def test_the_contradiction_is_named(limits, k, text):
    assert why_impossible(cells(A, B, **limits), k) == text


def test_records_that_must_be_kept_are_named_only_if_they_matter():
    limits = {"least": {"b0": 5}, "most": {"a0": 1, "a1": 3}, "must": [11]}
    assert "must_keep" not in why_impossible(cells(A, B, **limits), 4)
    limits = {"least": {"b0": 4}, "most": {"a0": 1, "a1": 3}, "must": [11]}
    assert "contradict each other, with the records of `must_keep`: " in why_impossible(
        cells(A, B, **limits), 4
    )


def test_all_records_are_kept_without_n_records():
    text = why_impossible(cells(A, B, most={"a0": 3}), 12, all_kept=True)
    assert text == (
        "`quotas` allow at most 11 records (at most 3 of 'a0'), and all records are kept, because "
        "`n_records` is not given; give `n_records`, or raise `max_records`"
    )


def test_what_only_whole_numbers_cannot_do_is_named():
    # Each of three records is in two of three cells, and each cell has exactly one of its two.
    quotas = [Quota(name, np.array(of), 1, 1)
              for name, of in (("x", [0, 1]), ("y", [1, 2]), ("z", [0, 2]))]  # fmt: skip
    constraints = group_records(np.zeros(4, dtype=bool), quotas, np.arange(4))
    text = why_impossible(constraints, 2)
    assert text.startswith("`quotas` contradict each other: ")
    assert all(f"'{name}'" in text for name in "xyz")


def test_numbers_of_records_between_those_that_are_possible_are_named():
    # Both cells have the same number: of the four records, two at a time can be chosen.
    quotas = [Quota("x", np.array([0, 1]), 1, 1), Quota("y", np.array([1, 2]), 1, 1)]
    constraints = group_records(np.zeros(3, dtype=bool), quotas, np.arange(3))
    assert why_impossible(constraints, 1) == why_impossible(constraints, 2) == ""
    assert "allow at most 2 records" in why_impossible(constraints, 3)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_reason_is_given_exactly_if_there_is_no_choice(data):
    n = data.draw(st.integers(2, 6))
    codes = [data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)) for _ in range(3)]
    names = [f"{column}{code}" for column, of in zip("abc", codes, strict=True) for code in set(of)]
    limits = st.dictionaries(st.sampled_from(names), st.integers(0, 3), max_size=3)
    must = data.draw(st.sets(st.integers(0, n - 1), max_size=2))
    constraints = cells(*codes, least=data.draw(limits), most=data.draw(limits), must=must)
    k = data.draw(st.integers(1, n))
    possible = any(
        constraints.obeyed_by(np.array(choice)) for choice in itertools.combinations(range(n), k)
    )
    assert (why_impossible(constraints, k) == "") == possible

"""What two results share, on small tables."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.results.matching import (
    ALIKE,
    OUTCOMES,
    described,
    matched_records,
    outcomes,
    shared_statistics,
    shared_targets,
)
from l0.common.errors import InputError
from l0.data.columns import is_key


def targets(names, values=None, error=0.1, **columns):
    n = len(names)
    return pa.table(
        {
            "name": names,
            "value": pa.array(values or [1.0] * n, pa.float64()),
            "estimate": np.ones(n),
            "relative_error": np.full(n, error),
            "group": ["g"] * n,
            "status": ["met"] * n,
            **columns,
        }
    )


def weights(keys, **columns):
    n = len(keys)
    return pa.table(
        {"id": keys, "weight": np.arange(1.0, n + 1), "design_weight": np.ones(n), **columns}
    )


def test_targets_are_matched_by_name_in_the_order_of_a():
    found = shared_targets(targets(["c", "a", "b"]), targets(["b", "d", "c"], error=-0.05))
    assert found.table.column("name").to_pylist() == ["c", "b"]
    assert found.table.column("relative_error_b").to_pylist() == [-0.05, -0.05]
    assert found.table.column("outcome").to_pylist() == ["B is nearer"] * 2
    assert (found.only_a, found.only_b, found.changed) == (["a"], ["d"], [])


def test_a_target_that_states_something_else_is_not_the_same():
    a = targets(["x", "y", "z"], [1.0, 2.0, 3.0])
    b = targets(["x", "y", "z"], [1.0, 2.5, 3.0], statistic=["total", "total", "mean"])
    found = shared_targets(a, b)
    assert found.table.column("name").to_pylist() == ["x"]
    assert found.changed == ["y", "z"]
    limits = {"at_least": [None, 1.0], "at_most": [None, 2.0]}
    a, b = (targets(["x", "l"], [1.0, None], **limits) for _ in "ab")
    assert shared_targets(a, b).table.column("at_most").to_pylist() == [None, 2.0]


@given(st.permutations([1.0, 2.0, 3.0]))
def test_targets_of_one_name_are_matched_by_what_they_state(values):
    a = targets(["x"] * 3, [1.0, 2.0, 3.0])
    b = targets(["x"] * 3, values).set_column(2, "estimate", pa.array(values))
    table = shared_targets(a, b).table
    assert table.column("estimate_b").to_pylist() == table.column("value").to_pylist()


@pytest.mark.parametrize(
    ("b", "text"),
    [
        (targets(["u", "v"]), r"have other names \(A: 'x', 'y'; B: 'u', 'v'\); compare results of"),
        (targets(["x", "y"], [5.0, 6.0]), r"no target in common: all targets state other values"),
    ],
)
def test_no_common_target_is_an_error(b, text):
    with pytest.raises(InputError, match=text):
        shared_targets(targets(["x", "y"]), b)


def statistics(names, held_out):
    n = len(names)
    texts = {name: [""] * n for name in ("variable", "by")}
    return pa.table({"statistic": names, **texts, "reference": np.ones(n),
                     "relative_error": np.full(n, 0.2), "held_out": held_out})  # fmt: skip


def test_statistics_count_that_are_held_out_in_both():
    a = statistics(["p", "q", "r"], [True, True, False])
    b = statistics(["r", "q", "p"], [True, True, False])
    found = shared_statistics(a, b)
    assert found.table.column("statistic").to_pylist() == ["q"]
    assert (found.only_a, found.only_b) == (["p"], ["r"])
    assert shared_statistics(a, None) is None
    assert shared_statistics(a, statistics(["z"], [True])) is None


@given(st.sets(st.integers(0, 20), min_size=1), st.sets(st.integers(0, 20), min_size=1))
def test_records_are_those_of_both(a, b):
    one, other = weights(sorted(a)), weights(sorted(b, reverse=True))
    table = matched_records(one, other, by_row=(False, False), same_rows=False).to_pylist()
    assert {row["id"] for row in table} == a | b and len(table) == len(a | b)
    of = [
        dict(zip(each.column("id").to_pylist(), each.column("weight").to_pylist(), strict=True))
        for each in (one, other)
    ]
    for row in table:
        assert row["weight_a"] == of[0].get(row["id"])
        assert row["weight_b"] == of[1].get(row["id"])


def test_keys_of_other_widths_are_the_same_keys():
    one = weights(pa.array([1, 2], pa.int32()))
    other = weights(pa.array([2, 3], pa.int64()))
    table = matched_records(one, other, by_row=(False, False), same_rows=False)
    assert table.column("id").to_pylist() == [1, 2, 3]
    texts = [weights(pa.array(["x"], of)) for of in (pa.string(), pa.large_string())]
    assert matched_records(*texts, by_row=(False, False), same_rows=False).num_rows == 1


KEYS = [
    pa.array([2**63, 2**64 - 1], pa.uint64()), pa.array([0.5, 2.0]), pa.array([b"\xff", b"a"]),
    pa.array(["a", "b"], pa.large_string()), pa.array([True, False]), pa.array([0, 1], pa.date32()),
    pa.array([0, 1], pa.time32("s")), pa.array([0, 1], pa.time64("ns")),
    pa.array([0, 1], pa.duration("us")), pa.array([0, 1], pa.timestamp("ns", "UTC")),
    pa.array([Decimal(1), Decimal(2)], pa.decimal128(5, 1)),
]  # fmt: skip


@pytest.mark.parametrize(
    "keys", [keys for keys in KEYS if is_key(keys.type)], ids=lambda keys: str(keys.type)
)
def test_keys_of_every_type_that_a_calibration_takes_are_matched(keys):
    a, b = weights(keys), weights(keys.take([1]))
    table = matched_records(a, b, by_row=(False, False), same_rows=False)
    assert table.column("id").combine_chunks().equals(keys)
    assert table.column("weight_b").to_pylist() == [None, 1.0]
    table = matched_records(b, a, by_row=(False, False), same_rows=False)
    assert table.column("id").combine_chunks().equals(keys.take([1, 0]))


def test_whole_numbers_are_the_same_keys_as_long_as_one_type_holds_them():
    def both(a, b):
        return matched_records(weights(a), weights(b), (False, False), False).column("id")

    signed, high = pa.array([1], pa.int8()), pa.array([2**63, 1], pa.uint64())
    assert both(signed, high).to_pylist() == [1, 2**63]
    with pytest.raises(InputError, match=r"`a` has the key 'id' \(int8\), and `b` 'id' \(uint64\)"):
        both(pa.array([-1], pa.int8()), high)


@pytest.mark.parametrize(
    ("b", "text"),
    [
        (weights([1]).rename_columns(["home", "weight", "design_weight"]),
         r"`a` has the key 'id' \(whole numbers\), and `b` 'home' \(whole numbers\); calibrate"),
        (weights(pa.array([1], pa.duration("s"))), r"whole numbers\), and `b` 'id' \(duration\[s"),
        (weights([b"1"]), r"\(whole numbers\), and `b` 'id' \(binary\); calibrate both with the"),
        (weights(["1"]), r"`a` has the key 'id' \(whole numbers\), and `b` 'id' \(text\)"),
    ],
)  # fmt: skip
def test_different_keys_are_an_error(b, text):
    with pytest.raises(InputError, match=text):
        matched_records(weights([1, 2]), b, by_row=(False, False), same_rows=True)


def test_row_numbers_of_other_records_are_an_error():
    rows = weights([0, 1]).rename_columns(["record", "weight", "design_weight"])
    assert matched_records(rows, rows, by_row=(True, True), same_rows=True).num_rows == 2
    with pytest.raises(InputError, match="know their records by row number, and come from diff"):
        matched_records(rows, rows, by_row=(True, True), same_rows=False)


def test_errors_that_hardly_differ_are_alike():
    a = np.array([0.1, -0.1, 0.1, -0.1])
    b = np.array([0.1 + ALIKE / 2, 0.1 - ALIKE / 2, -0.1 + 2 * ALIKE, 0.1 + 2 * ALIKE])
    lost, alike, won = OUTCOMES
    assert outcomes(a, b).to_pylist() == [alike, alike, won, lost]


def test_names_are_counted():
    assert described([f"n{i}" for i in range(1_200)]).startswith("1,200 ('n0', 'n1'")


def test_a_key_column_may_have_the_name_that_row_numbers_have():
    keyed = weights([7, 9]).rename_columns(["record", "weight", "design_weight"])
    assert matched_records(keyed, keyed, by_row=(False, False), same_rows=False).num_rows == 2
    with pytest.raises(InputError, match=r"`a` has the key 'record' .*, and `b` row number"):
        matched_records(keyed, keyed, by_row=(False, True), same_rows=True)

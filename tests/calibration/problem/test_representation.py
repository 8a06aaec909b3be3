import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import l0
from l0.calibration import CalibrationProblem
from l0.calibration.problem.representation import (
    AMPLE,
    PRICE,
    SoftTargets,
    checked_represent,
    kept,
    price,
)
from l0.common.errors import InputError
from tests.calibration import problems

STATES = ["AL", "AK", "CA", "NY"]
BANDS = ["low", "middle", "high"]


def frames(seed=0, n=1200):
    """Records, members, and a few targets that a small file can meet."""
    generator = np.random.default_rng(seed)
    records = pd.DataFrame(
        {
            "id": np.arange(n),
            "weight": generator.uniform(50, 150, n),
            "state": generator.choice(STATES, n),
            "band": generator.choice(BANDS, n),
            "owner": generator.choice(["yes", "no"], n),
            "income": generator.lognormal(0, 0.5, n),
        }
    )
    persons = pd.DataFrame({"id": generator.integers(0, n, 3 * n)})
    persons["age"] = generator.choice(["child", "adult"], 3 * n)
    w = records["weight"]
    of_age = records.set_index("id")["weight"][persons["id"]].to_numpy()
    targets = [
        {"variable": "count", "state": state, "value": 1.05 * w[records["state"] == state].sum()}
        for state in STATES
    ]
    targets.append({"variable": "income", "value": 0.97 * (w * records["income"]).sum()})
    targets.append(
        {
            "entity": "person",
            "variable": "count",
            "age": "child",
            "value": of_age[persons["age"] == "child"].sum(),
        }
    )
    return {
        "records": records,
        "targets": pd.DataFrame(targets),
        "key": "id",
        "weight": "weight",
        "members": {"person": persons},
    }


def calibrated(n_records=150, given=None, **options):
    return l0.calibrate(
        **(frames() if given is None else given), n_records=n_records, progress=False, **options
    )


def statistics(result):
    return result.tables["untargeted"].to_pandas().set_index("statistic")


def trained(result):
    table = statistics(result)
    return set(table.index[table["trained"]])


@pytest.fixture(scope="module")
def with_and_without():
    return calibrated(represent=True), calibrated(represent=False)


# The parts


def soft(values):
    p = len(values)
    matrix = sp.csr_array(np.arange(4.0 * p).reshape(p, 4))
    return SoftTargets(matrix, np.array(values), [f"s{row}" for row in range(p)])


def test_the_totals_with_the_largest_effective_numbers_are_kept_in_their_order():
    given = soft([1.0, 2.0, 3.0, 4.0])
    found = kept(given, np.array([5.0, 9.0, 1.0, 7.0]), 2)
    assert found.names == ["s1", "s3"]
    np.testing.assert_array_equal(found.values, [2, 4])
    np.testing.assert_array_equal(found.matrix.toarray(), given.matrix.toarray()[[1, 3]])
    assert kept(given, np.ones(4), 10).names == given.names


def test_totals_of_0_are_dropped():
    found = kept(soft([0.0, 2.0, 0.0, -4.0]), np.array([9.0, 1.0, 9.0, 2.0]), 2)
    assert found.names == ["s1", "s3"]
    assert kept(soft([0.0, 0.0]), np.ones(2), 2) is None


def test_the_price_falls_with_the_square_of_the_budget_if_records_are_few():
    ample = int(AMPLE * 100)
    assert price(ample, 100) == price(10 * ample, 100) == PRICE
    assert price(ample // 2, 100) == pytest.approx(PRICE / 4)
    assert price(ample // 10, 100) == pytest.approx(PRICE / 100)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (True, True),
        (np.False_, False),
        (["state", ["state", "age"]], ["state", ("state", "age")]),
        (("state",), ["state"]),
        ([0, 2], [0, 2]),
        (np.array([0, 2]).tolist() + [np.int64(3)], [0, 2, 3]),
        ([], []),
    ],
)
def test_what_is_understood(given, expected):
    assert checked_represent(given) == expected


def test_rows_and_names_of_numpy_become_plain_ones():
    found = checked_represent([np.int64(3), np.str_("a"), (np.str_("a"), np.str_("b"))])
    assert repr(found) == "[3, 'a', ('a', 'b')]"


@pytest.mark.parametrize("wrong", ["state", 1, [True], [("a", "b", "c")], [("a", 1)], [1.5], {}])
def test_all_else_is_an_error_that_says_what_to_pass(wrong):
    message = rf"`represent` is {re.escape(repr(wrong))}; pass True, False, or a list of label"
    with pytest.raises(InputError, match=message):
        checked_represent(wrong)
    with pytest.raises(InputError, match=message):
        calibrated(represent=wrong)


# From tables


def test_totals_by_one_column_are_closer_to_the_full_file():
    def error(seed, represent):
        result = calibrated(given=frames(seed), represent=represent, seed=seed)
        table = statistics(result)
        one_way = table[~table["by"].str.contains(",") & ~table["variable"].str.contains("where")]
        assert len(one_way) > 10
        return one_way["relative_error"].abs().mean()

    errors = np.array([[error(seed, flag) for flag in (True, False)] for seed in range(3)])
    assert errors[:, 0].mean() < 0.5 * errors[:, 1].mean()


@pytest.mark.parametrize("method", ["hybrid", "path", "pps", "random"])
def test_soft_targets_never_stop_targets_from_being_met(method):
    for n_records in (40, 150):
        result = calibrated(n_records, method=method, represent=True)
        assert result.metrics["represented_capped_error"] is not None
        assert result.metrics["fit_status"] == "exact"
        assert result.metrics["max_error"] < 1e-6


def test_trained_statistics_are_flagged_and_the_same_ones_are_held_out(with_and_without):
    on, off = map(statistics, with_and_without)
    assert on["trained"].any()
    assert not off["trained"].any()
    assert not (on["trained"] & on["held_out"]).any()
    assert list(on.index[on["held_out"]]) == list(off.index[off["held_out"]])
    assert on["held_out"].any()
    assert with_and_without[0].metrics["represented_capped_error"] == pytest.approx(
        np.minimum(on["relative_error"][on["trained"]].abs(), 1).mean()
    )
    assert with_and_without[1].metrics["represented_capped_error"] is None


def test_tables_are_represented_by_default(with_and_without):
    np.testing.assert_array_equal(calibrated().values, with_and_without[0].values)
    assert not np.array_equal(with_and_without[0].values, with_and_without[1].values)


@pytest.mark.parametrize("n_records", [4, 20])
def test_there_are_at_most_half_as_many_soft_targets_as_records(n_records):
    assert 0 < len(trained(calibrated(n_records, represent=True))) <= n_records / 2


def test_a_list_is_what_is_trained_on():
    result = calibrated(represent=["state", ("state", "band")])
    table = statistics(result)
    # The counts of states are targets.
    expected = set(table.index[table["by"].isin(["state", "state, band"])])
    expected = {name for name in expected if "where" not in name}
    assert trained(result) == expected
    assert {f"income by state={state}" for state in STATES} <= expected
    assert not table.loc[table["trained"], "held_out"].any()


def test_a_pair_may_come_in_any_order_and_twice():
    given = calibrated(represent=[("age", "state")])
    assert trained(given)
    assert all("age=" in name and "state=" in name for name in trained(given))
    for same in ([("state", "age")], [("state", "age"), ("age", "state")]):
        result = calibrated(represent=same)
        assert trained(result) == trained(given)
        np.testing.assert_array_equal(result.values, given.values)


def test_an_empty_list_is_like_false(with_and_without):
    result = calibrated(represent=[])
    assert not trained(result)
    np.testing.assert_array_equal(result.values, with_and_without[1].values)


@pytest.mark.parametrize("wrong", [["stat"], ["state", ("band", "stat")], [3]])
def test_an_unknown_column_is_named(wrong):
    name = "'3'" if wrong == [3] else "'stat'"
    with pytest.raises(InputError, match=rf"`represent` names {name}, which is no label column"):
        calibrated(represent=wrong)


def test_a_list_of_which_nothing_can_be_a_soft_target_is_an_error():
    rows = np.zeros((1, 200))
    problem = CalibrationProblem.from_matrix(**problems.parts(n=200, m=6), untargeted=rows)
    with pytest.raises(InputError, match=r"`represent` is \[0\], and no total of it can be"):
        problem.solve(60, epochs=60, represent=[0])


def test_columns_of_two_member_tables_are_no_pair():
    given = frames()
    cars = pd.DataFrame({"id": np.arange(1200), "fuel": ["gas", "none"] * 600})
    given["members"] = {**given["members"], "car": cars}
    with pytest.raises(InputError, match=r"the pair \('age', 'fuel'\), whose columns are in two"):
        calibrated(given=given, represent=[("age", "fuel")])


def test_a_file_that_keeps_all_records_is_left_alone():
    results = [calibrated(None, represent=represent) for represent in (True, False, ["state"])]
    for result in results[1:]:
        np.testing.assert_array_equal(result.values, results[0].values)
    assert results[0].metrics["represented_capped_error"] is None


# From a matrix


@pytest.fixture(scope="module")
def matrix_problem():
    rows = np.random.default_rng(4).uniform(0, 1, (3, 300)) * (np.arange(300) % 3 > 0)
    return CalibrationProblem.from_matrix(**problems.parts(m=6), untargeted=rows)


def test_the_rows_of_a_matrix_are_trained_on_if_they_are_listed(matrix_problem):
    default = matrix_problem.solve(60, epochs=60)
    assert not trained(default)
    assert default.metrics["represented_capped_error"] is None
    result = matrix_problem.solve(60, epochs=60, represent=[0])
    table = statistics(result)
    assert trained(result) == {"statistic 0"}
    assert set(table.index[table["held_out"]]) == {"statistic 1", "statistic 2"}
    assert result.metrics["fit_status"] == "exact"
    before = abs(statistics(default)["relative_error"]["statistic 0"])
    assert abs(table["relative_error"]["statistic 0"]) < before
    assert len(trained(matrix_problem.solve(60, epochs=60, represent=True))) == 3


@pytest.mark.parametrize("wrong", [[3], [-1], ["state"]])
def test_a_row_that_is_not_there_is_an_error(matrix_problem, wrong):
    message = rf"`represent` holds {re.escape(repr(wrong[0]))}; .* from 0 to 2"
    with pytest.raises(InputError, match=message):
        matrix_problem.solve(60, epochs=60, represent=wrong)


@pytest.mark.parametrize("represent", [True, [0]])
def test_a_matrix_without_untargeted_rows_cannot_be_represented(represent):
    problem = CalibrationProblem.from_matrix(**problems.parts(m=6))
    with pytest.raises(InputError, match=r"no untargeted statistics; pass `untargeted=`"):
        problem.solve(60, "path", epochs=60, represent=represent)
    assert problem.solve(60, epochs=60, represent=False).metrics["n_records"] == 60


def test_a_frontier_of_a_matrix_without_untargeted_rows_says_so_too():
    problem = CalibrationProblem.from_matrix(**problems.parts(m=6))
    with pytest.raises(InputError, match=r"no untargeted statistics; pass `untargeted=`"):
        problem.frontier([60, 30], epochs=60, represent=[0])

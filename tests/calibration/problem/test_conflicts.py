from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from l0.calibration.problem import conflicts
from l0.calibration.problem.conflicts import Conflict, conflict, conflict_message

FREE = {"lower": 0.0, "upper": np.inf}


def least_error(A, low, high, lower, upper, scales, alone=None):
    """The smallest tau by which all rows (or one of them) must give way: one plain programme."""
    m, n = A.shape
    elastic = (np.ones(m) if alone is None else np.arange(m) == alone) * scales
    rows = np.block([[A, -elastic[:, None]], [-A, -elastic[:, None]]])
    right = np.concatenate([high, -low])
    used = np.isfinite(right)
    limits = np.column_stack([np.broadcast_to(lower, n), np.broadcast_to(upper, n)])
    solved = linprog(
        np.append(np.zeros(n), 1.0), A_ub=rows[used], b_ub=right[used],
        bounds=[*map(tuple, limits), (0, None)],
    )  # fmt: skip
    return solved.fun if solved.status == 0 else np.inf


def check(A, low, high, lower, upper, scales):
    """The rows contradict each other, each proper subset does not, and the error is the least."""
    found = conflict(sp.csr_array(A), low, high, lower, upper, scales)
    everything = least_error(A, low, high, lower, upper, scales)
    if found is None:
        assert everything < 1e-5
        return None
    rows = found.rows
    part = A[rows], low[rows], high[rows], lower, upper, scales[rows]
    assert least_error(*part) > 1e-7
    for left_out in range(len(rows)):
        but = np.delete(np.arange(len(rows)), left_out)
        subset = A[rows[but]], low[rows[but]], high[rows[but]], lower, upper, scales[rows[but]]
        assert least_error(*subset) < 1e-5
    least = min(least_error(*part, alone=row) for row in range(len(rows)))
    assert found.error == pytest.approx(least, rel=2e-3, abs=1e-6)
    return found


def test_a_total_and_its_parts():
    A = np.array([[1.0, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 5, 9], [0, 1, 0, 0]])
    totals = np.array([105.0, 40, 60, 400, 10])
    found = check(A, totals, totals, **FREE, scales=totals)
    assert sorted(found.rows) == [0, 1, 2]
    assert found.rows[0] == 0  # the total has the largest share
    assert found.error == pytest.approx(5 / 105)
    assert conflict_message(["all", "men", "women", "x", "y"], found) == (
        "all, men and women contradict each other by 4.76%"
    ) or conflict_message(["all", "men", "women", "x", "y"], found) == (
        "all, women and men contradict each other by 4.76%"
    )


def test_totals_that_can_be_met_are_no_conflict():
    A = np.array([[1.0, 1, 1], [1, 0, 0], [0, 5, 9]])
    totals = A @ [3.0, 4, 5]
    assert check(A, totals, totals, **FREE, scales=totals) is None


def test_a_target_that_cannot_be_met_at_all():
    A = np.array([[1.0, 1], [2, 3]])
    totals = np.array([-2.0, 5])
    found = check(A, totals, totals, **FREE, scales=np.abs(totals))
    assert found.rows.tolist() == [0]
    assert conflict_message(["a", "b"], found) == "a cannot be met: an error of 100% remains"
    empty = conflict(sp.csr_array((1, 4)), totals[1:], totals[1:], 0.0, np.inf, totals[1:])
    assert (empty.rows.tolist(), empty.error) == ([0], 1.0)


def test_limits_of_records_make_conflicts():
    A = np.array([[1.0, 1, 0], [0, 1, 1], [1, 0, 1]])
    totals = np.array([6.0, 6, 2])
    check(A, totals, totals, **FREE, scales=totals)
    for upper in (np.array([3.0, 4, 3]), 3.5):
        assert check(A, totals, totals, 0.0, upper, totals) is not None
    assert check(A, totals, totals, 1.5, np.inf, totals).rows.tolist() == [2]
    assert check(A, totals, totals, np.array([1.5, 0, 0]), np.inf, totals) is not None


def test_a_target_may_be_a_range():
    A = np.array([[1.0, 1], [1, 0], [0, 1]])
    low, high = np.array([10.0, -np.inf, -np.inf]), np.array([np.inf, 4, 5])
    found = check(A, low, high, **FREE, scales=np.array([10.0, 4, 5]))
    assert sorted(found.rows) == [0, 1, 2]
    assert found.error == pytest.approx(0.1)
    low[0] = 9
    assert check(A, low, high, **FREE, scales=np.array([10.0, 4, 5])) is None


def test_the_message_names_five_and_counts_the_others():
    names = list("abcdefg")
    assert conflict_message(names, Conflict(np.arange(7), 0.051)) == (
        "a, b, c, d, e and 2 more contradict each other by 5.1%"
    )
    assert conflict_message(names, Conflict(np.arange(5), 0.051)) == (
        "a, b, c, d and e contradict each other by 5.1%"
    )
    assert conflict_message(names, Conflict(np.array([1, 0]), 2.0)) == (
        "b and a contradict each other by 200%"
    )


@given(
    seed=st.integers(0, 99_999),
    m=st.integers(3, 8),
    n=st.integers(2, 40),
    bounded=st.sampled_from(["no", "upper", "both"]),
    signed=st.booleans(),
    added=st.sampled_from([(100, 2), (1, 0), (5, 0)]),
)
@settings(deadline=None, max_examples=60)
def test_a_planted_contradiction_is_found_among_innocent_rows(seed, m, n, bounded, signed, added):
    rng = np.random.default_rng(seed)
    A = rng.choice([0.0, 0.0, 1.0, 1.0, 2.5], (m, n)) * rng.choice([1.0, 30.0], (m, 1))
    if signed:
        A *= rng.choice([1, 1, -1], (m, n))
    u = rng.uniform(0.5, 2, n)
    parts = rng.permutation(m)[:2]
    A = np.vstack([A, A[parts[0]] + A[parts[1]]])  # the sum of two rows
    totals = A @ u
    assume((np.abs(totals) >= 1e-3 * np.abs(A).sum(axis=1)).all())  # else rounding decides
    totals[m] *= 1 + rng.choice([-0.2, 0.05, 0.01])
    scales = np.where(totals == 0, 1.0, np.abs(totals))
    slack = rng.choice([0.0, 0.002]) * scales
    lower = 0.0 if bounded != "both" else rng.uniform(0.1, 0.5, n)
    upper = np.inf if bounded == "no" else rng.uniform(2, 4, n)
    few = {} if added[1] else {"STARTS": (0, 0), "ADDED": added}  # rounds of column generation
    with mock.patch.multiple(conflicts, **{"ADDED": added, **few}):
        check(A, totals - slack, totals + slack, lower, upper, scales)


def large(m_areas, n, upper=np.inf):
    rng = np.random.default_rng(0)
    area, age = rng.integers(0, m_areas, n), rng.integers(0, 18, n)
    income = rng.lognormal(10, 1, n)
    ones, columns = np.ones(n), np.arange(n)
    A = sp.vstack(
        [
            sp.csr_array((ones, (area * 18 + age, columns)), shape=(m_areas * 18, n)),
            sp.csr_array((ones, (area, columns)), shape=(m_areas, n)),
            sp.csr_array((income, (area, columns)), shape=(m_areas, n)),
        ],
        format="csr",
    )
    totals = A @ rng.lognormal(0, 0.3, n)
    totals[m_areas * 18 + 7] *= 1.05
    return A, totals


@pytest.mark.parametrize("upper", [np.inf, 2.5])
def test_of_many_records_few_columns_are_enough(upper, monkeypatch):
    widths, solve = [], conflicts._solve
    monkeypatch.setattr(
        conflicts, "_solve", lambda A, *rest: widths.append(A.shape[1]) or solve(A, *rest)
    )
    A, totals = large(20, 40_000)
    found = conflict(A, totals, totals, 0.0, upper, totals)
    assert found.rows[0] == 20 * 18 + 7
    assert sorted(found.rows[1:]) == [*range(7 * 18, 8 * 18)]
    assert found.error == pytest.approx(0.05 / 1.05, rel=1e-6)
    assert max(widths) < 8_000


def test_it_gives_up_in_time():
    A, totals = large(20, 40_000)
    for seconds in (0.0, 0.05):
        with pytest.raises(TimeoutError):
            conflict(A, totals, totals, 0.0, np.inf, totals, seconds=seconds)

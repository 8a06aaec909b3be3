import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem
from l0.calibration.fitting.selected import Selection
from l0.calibration.problem.movers import count_movers, directions
from l0.calibration.problem.zero_totals import forced_out, forcing_totals
from l0.calibration.selection.coverage import _Chosen, cover
from tests.calibration import problems


def covered(problem, records, base=None, **options):
    records = np.array(records)
    base = np.ones(len(records)) if base is None else np.array(base, dtype=float)
    context = problems.context(problem, **options)
    return cover(context, Selection(records, base, 0.1))


def bare(problem, records):
    """The targets that need a record and have none among these."""
    mask = np.zeros(problem.n_records, dtype=bool)
    mask[records] = True
    return (directions(problem) != 0) & (count_movers(problem, mask) == 0)


def cells(values, weights=None):
    """A target for each cell of four records."""
    A = np.kron(np.eye(len(values)), np.ones((1, 4)))
    return CalibrationProblem.from_matrix(
        A, values, np.full(A.shape[1], 10.0) if weights is None else weights
    )


def test_a_selection_that_moves_every_target_stays():
    problem = cells([40, 40])
    records, base = np.array([1, 6]), np.array([4.0, 4.0])
    selection = Selection(records, base, 0.1)
    assert cover(problems.context(problem), selection) is selection


def test_a_bare_target_gets_a_record_with_the_ratio_that_hits_it():
    problem = cells([40, 40, 2])
    selection = covered(problem, [0, 1, 4, 5], base=[3, 2, 1, 2])
    assert selection.records.tolist() == [0, 1, 5, 8]  # in place of the least influential record
    np.testing.assert_allclose(selection.base, [3, 2, 2, 2 / 10])
    assert selection.mu == 0.1


def test_a_record_that_a_target_needs_stays():
    selection = covered(cells([40, 40, 2]), [0, 4, 5], base=[0.1, 3, 2])
    assert selection.records.tolist() == [0, 4, 8]


def test_a_record_in_no_target_is_the_first_to_go():
    A = np.kron(np.eye(3), np.ones((1, 4)))[:, :11]
    A = np.hstack([A, np.zeros((3, 1))])
    problem = CalibrationProblem.from_matrix(A, [40, 40, 2], np.full(12, 10.0))
    assert covered(problem, [0, 1, 4, 11], base=[1, 1, 1, 50]).records.tolist() == [0, 1, 4, 8]


def test_a_budget_for_some_targets_goes_to_the_most_important_ones():
    problem = cells([40, 40, 40, 40])
    problem = dataclasses.replace(problem, importance=np.array([0.4, 0.1, 0.2, 0.3]))
    assert bare(problem, covered(problem, [0, 1]).records).tolist() == [False, True, True, False]
    assert bare(problem, covered(problem, [0, 1, 2]).records).tolist() == [
        False,
        True,
        False,
        False,
    ]


def test_one_record_may_come_in_for_several_targets():
    A = np.array([[1.0, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]])
    problem = CalibrationProblem.from_matrix(A, [30, 10, 10], np.full(5, 10.0))
    assert covered(problem, [0, 1, 2]).records.tolist() == [1, 2, 3]


def test_a_record_needs_an_entry_of_the_sign_of_the_value():
    A = np.array([[1.0, 1, 1, 1], [5, 4, -1, -2]])
    problem = CalibrationProblem.from_matrix(A, [40, -10], np.full(4, 10.0))
    selection = covered(problem, [0, 1])
    assert selection.records.tolist() == [0, 2]  # the needed ratio of 1 is closer to 2 than 1/2
    assert selection.base.tolist() == [1, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"importance": np.array([0.5, 0.5, 0])},
        {"tolerance": np.array([0, 0, 1.0])},
        {"values": np.array([40, 40, 0.0])},
    ],
)
def test_a_target_that_needs_no_record_gets_none(changes):
    problem = dataclasses.replace(cells([40, 40, 2]), **changes)
    assert covered(problem, [0, 1, 4, 5]).records.tolist() == [0, 1, 4, 5]


def test_a_target_out_of_reach_gets_none():
    reachable = np.array([True, True, False])
    assert 8 not in covered(cells([40, 40, 2]), [0, 1, 4, 5], reachable=reachable).records


def test_only_candidates_come_in():
    candidates = np.array([0, 1, 4, 5, 10])
    selection = covered(cells([40, 40, 2]), [0, 1, 4, 5], candidates=candidates)
    assert 10 in selection.records


def test_the_record_that_adds_least_to_other_targets_comes_in():
    A = np.zeros((3, 8))
    A[0, :4], A[1, 4:], A[2, 4:] = 1, 1, [9.0, 1, 5, 7]
    problem = CalibrationProblem.from_matrix(A, [40, 4, 4], np.full(8, 10.0))
    assert covered(problem, [0, 1, 2]).records.tolist()[-1] == 5


def test_of_many_records_some_are_looked_at(monkeypatch):
    monkeypatch.setattr("l0.calibration.selection.coverage.LOOKED_AT", 1)
    weights = np.array([10.0, 10, 10, 10, 9, 5, 1, 2])
    # The mean ratio is 8 / 2, and the ratios that hit 10 alone are 10/9, 2, 10 and 5.
    assert 7 in covered(cells([40, 10], weights), [0, 1]).records


@given(
    m=st.integers(1, 12),
    n=st.integers(2, 40),
    k=st.integers(1, 40),
    density=st.floats(0.05, 0.6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_every_swap_leaves_more_targets_with_a_record(m, n, k, density, seed):
    rng = np.random.default_rng(seed)
    k = min(k, n)
    A = rng.choice([0.0, 1, 3, -2], p=[1 - density, *np.full(3, density / 3)], size=(m, n))
    values = rng.choice([10.0, -10, 1e-3, 0, 4e3], size=m)
    problem = CalibrationProblem.from_matrix(A, values, rng.uniform(1, 9, n))
    reachable = count_movers(problem, np.ones(n, dtype=bool)) > 0
    reachable |= directions(problem) == 0
    if not reachable.any():
        return
    candidates = np.flatnonzero(~forced_out(problem, forcing_totals(problem, reachable)))
    k = min(k, len(candidates))
    if not k:
        return
    records = np.sort(rng.permutation(candidates)[:k])
    context = problems.context(problem, reachable=reachable, candidates=candidates)
    selection = cover(context, Selection(records, rng.uniform(0.01, 9, k), 0.1))
    assert len(selection.records) == k
    assert (np.diff(selection.records) > 0).all()
    assert np.isin(selection.records, candidates).all()
    assert (selection.base > 0).all()
    before, after = (bare(problem, of) & reachable for of in (records, selection.records))
    assert not (after & ~before).any()
    if after.any():  # no record is dispensable
        for record in selection.records:
            rest = np.setdiff1d(selection.records, [record])
            assert (bare(problem, rest) & reachable & ~after).any()


@pytest.mark.parametrize("first", [[0, 1, 2], [5, 6, 7], [8, 9, 10]])
def test_a_mean_gets_a_record_on_each_side(first):
    homes = pd.DataFrame(
        {"w": 1.0, "x": np.r_[np.arange(8.0), np.zeros(4)], "s": list("A" * 8 + "B" * 4)}
    )
    targets = pd.DataFrame([{"variable": "x", "statistic": "mean", "s": "A", "value": 3.5}])
    problem = CalibrationProblem.from_frames(homes, targets, weight="w")
    selection = covered(problem, first, base=[1, 2, 3])
    x = homes["x"][selection.records][homes["s"][selection.records] == "A"]
    assert x.min() < 3.5 < x.max()
    assert len(selection.records) == 3


def test_a_mean_that_is_the_largest_value_needs_no_record_above_it():
    homes = pd.DataFrame({"w": 1.0, "x": [1.0, 2, 2, 1]})
    targets = pd.DataFrame([{"variable": "x", "statistic": "mean", "value": 2.0}])
    problem = CalibrationProblem.from_frames(homes, targets, weight="w")
    context = dataclasses.replace(problems.context(problem), candidates=np.array([1, 2]))
    selection = Selection(np.array([1]), np.ones(1), 0.1)
    assert cover(context, selection).records.tolist() == [1]


def test_a_record_that_comes_in_was_not_drawn():
    records, order = np.array([0, 1, 4, 5]), np.arange(12)
    drawn = np.array([True, True, False, True])
    selection = Selection(records, np.array([3.0, 2, 1, 2]), 0.1, drawn, order)
    changed = cover(problems.context(cells([40, 40, 2])), selection)
    assert changed.records.tolist() == [0, 1, 5, 8]
    assert changed.drawn.tolist() == [True, True, True, False]
    assert changed.order is order


def test_a_record_is_looked_at_again_only_where_another_one_does_its_work(monkeypatch):
    # A record that comes in for a bare target moves the target of one chosen record, in turn.
    n = 40
    first = np.random.default_rng(0).permutation(n)
    spare = np.eye(n)[:, first[:1]]
    A = np.block([[np.eye(n), spare, np.eye(n)[:, first]], [np.zeros((n, n + 1)), np.eye(n)]])
    problem = CalibrationProblem.from_matrix(A, A.sum(axis=1), np.ones(2 * n + 1))
    looked_at = []
    spares = _Chosen.spares
    monkeypatch.setattr(
        _Chosen, "spares", lambda self, place: looked_at.append(place) or spares(self, place)
    )
    selection = covered(problem, np.arange(n + 1))
    assert np.count_nonzero(selection.records > n) == n
    assert not bare(problem, selection.records).any()
    assert len(looked_at) <= 4 * n

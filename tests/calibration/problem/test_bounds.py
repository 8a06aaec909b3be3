import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration import SELECTORS, CalibrationProblem
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.limits import read_bounds
from l0.common.errors import InputError
from tests.calibration import problems

lows = st.just(0.0) | st.floats(1e-3, 1)
highs = st.just(math.inf) | st.floats(1.001, 1e3)


@given(
    low=lows,
    high=highs,
    ratios=hnp.arrays(float, 40, elements=st.floats(1e-6, 1e6)),
    seed=st.integers(0, 999),
)
def test_weights_keep_the_bounds_to_the_last_bit(low, high, ratios, seed):
    w0 = np.random.default_rng(seed).lognormal(3, 2, 40)
    ratios[:20] = [low or 1e-9, min(high, 1e9)] * 10
    weights = Bounds(low, high).weights(ratios, w0)
    assert (weights / w0 >= low).all()
    assert (weights / w0 <= high).all()
    np.testing.assert_allclose(weights, np.clip(ratios, low, high) * w0, rtol=1e-15)


@st.composite
def limits_of_each(draw, n=40):
    """Draw bounds of ratios and of weights for each of n records that do not contradict."""
    w0 = np.random.default_rng(draw(st.integers(0, 999))).lognormal(3, 2, n)
    factor = st.floats(1.001, 1e3)
    middle = draw(hnp.arrays(float, n, elements=st.floats(1e-3, 1e3)))
    low, high = (draw(hnp.arrays(float, n, elements=factor)) for _ in range(2))
    least, most = (draw(hnp.arrays(float, n, elements=factor)) for _ in range(2))
    return w0, middle / low, middle * high, middle * w0 / least, middle * w0 * most


@given(drawn=limits_of_each(), ratios=hnp.arrays(float, 40, elements=st.floats(1e-9, 1e9)))
def test_weights_keep_both_bounds_of_each_record_to_the_last_bit(drawn, ratios):
    w0, low, high, least, most = drawn
    both = Bounds(np.maximum(low, least / w0), np.minimum(high, most / w0), least, most)
    ratios[:20] = np.array([both.low, both.high]).T.ravel()[:20]
    weights = both.weights(ratios, w0)
    assert (weights >= least).all()
    assert (weights <= most).all()
    assert (weights / w0 >= low).all()
    assert (weights / w0 <= high).all()
    np.testing.assert_allclose(weights, np.clip(ratios, both.low, both.high) * w0, rtol=1e-15)


def test_the_bounds_of_some_records():
    low, most = np.arange(5.0), np.arange(5.0) + 7
    some = Bounds(low, 9.0, weight_high=most).of(np.array([3, 1]))
    assert some.low.tolist() == [3, 1]
    assert some.weight_high.tolist() == [10, 8]
    assert (some.high, some.weight_low) == (9, 0)  # one number stays one number


@pytest.mark.parametrize(
    ("bounds", "active"),
    [
        (Bounds(), False),
        (Bounds(0.1), True),
        (Bounds(high=3.0), True),
        (Bounds(np.zeros(2), np.full(2, np.inf)), False),
        (Bounds(np.zeros(2), np.array([np.inf, 3])), True),
    ],
)
def test_bounds_are_active_where_there_is_a_limit(bounds, active):
    assert bounds.active == active


@st.composite
def amounts(draw):
    """Draw a matrix whose rows run from empty to full, some entries stored as 0."""
    m, n = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    elements = st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.5, -1.0, -1.0, -3.0])
    dense = draw(hnp.arrays(float, (m, n), elements=elements))
    held = np.nonzero((dense != 0) | draw(hnp.arrays(bool, (m, n))))
    stored = sp.csr_array((dense[held], held), shape=(m, n))
    return dense, stored.astype(draw(st.sampled_from([np.float32, np.float64])))


@given(both=amounts(), low=lows, high=highs, seed=st.integers(0, 99), each=st.booleans())
@settings(deadline=None)
def test_reach_is_the_best_of_all_choices(both, low, high, seed, each):
    A, stored = both
    m, n = A.shape
    if each:  # other limits for each record
        low, high = low / np.arange(1, n + 1), high * np.arange(1, n + 1)
    w0 = np.random.default_rng(seed).choice([0.5, 1.0, 2.0, 7.0], n)
    contribution = A * w0
    ends = [
        np.multiply(contribution, end, where=contribution != 0, out=np.zeros((m, n)))
        for end in (low, high)
    ]
    least, most = np.minimum(*ends), np.maximum(*ends)
    for k in range(1, n + 1):
        lowest, highest = Bounds(low, high).reach(stored, w0, k)
        choices = np.array(list(combinations(range(n), k)))
        np.testing.assert_allclose(lowest, least[:, choices].sum(axis=2).min(axis=1), rtol=1e-12)
        np.testing.assert_allclose(highest, most[:, choices].sum(axis=2).max(axis=1), rtol=1e-12)


def test_no_upper_bound_means_no_upper_end_whatever_the_amounts():
    A = sp.csr_array(np.array([[1e12, -1e12], [1e12, 0.0], [-1e12, 0.0]]))
    lowest, highest = Bounds(0.5, math.inf).reach(A, np.array([1e9, 1e9]), 1)
    np.testing.assert_array_equal(highest, [math.inf, math.inf, 0])
    np.testing.assert_array_equal(lowest, [-math.inf, 0, -math.inf])


A = np.array([[1.0, 2, 3, 4], [0, 0, 0, 0], [-1, 0, -1, 0], [1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("values", "bounds", "k", "reasons"),
    [
        ([9, 0, -3, 2], None, 2, ["", "", "", ""]),
        ([-9, 5, 3, -1], None, 2,
         ["no record takes away from it", "no record behind it", "no record adds to it",
          "no record takes away from it"]),
        ([141, 0, 0, 21], (0, 2), 2, ["2 records give at most 140 within the bounds", "",
                                      "", "2 records give at most 20 within the bounds"]),
        ([140, 0, -40, 0], (0, 2), 2, ["", "", "", ""]),
        ([14, 0, 1, 4], (0.5, 2), 2, ["2 records give at least 15 within the bounds", "",
                                      "no record adds to it", ""]),
        ([49, 0, 0, 4], (0.5, 2), 4, ["4 records give at least 50 within the bounds", "",
                                      "4 records give at most -10 within the bounds",
                                      "4 records give at least 5 within the bounds"]),
    ],
)  # fmt: skip
def test_targets_out_of_reach_get_a_reason(values, bounds, k, reasons):
    problem = CalibrationProblem.from_matrix(A, values, np.full(4, 10.0))
    assert unreachable(problem, read_bounds(problem, bounds), k).tolist() == reasons


def test_a_target_within_its_tolerance_of_what_bounds_allow_is_in_reach():
    values = [141.0, 0, 0, 20]
    problem = CalibrationProblem.from_matrix(A, values, np.full(4, 10.0))
    patient = replace(problem, tolerance=np.full(4, 0.01))
    assert unreachable(problem, Bounds(0, 2), 2)[0] != ""
    assert unreachable(patient, Bounds(0, 2), 2)[0] == ""


@pytest.mark.parametrize("bounds", [(0.2, 5), (None, 4.1), (0.3, None), (1 / 3, 7.3)])
@pytest.mark.parametrize("k", [100, None])
def test_results_keep_the_bounds(bounds, k):
    result = problems.problem().solve(k, bounds=bounds, epochs=60)
    w0 = result.tables["weights"].column("design_weight").to_numpy()
    ratio = result.values / w0
    assert (ratio >= (bounds[0] or 0)).all()
    assert (ratio <= (bounds[1] or math.inf)).all()
    assert (ratio > 0).all()
    assert result.metrics["max_weight_ratio"] == ratio.max()


@pytest.mark.parametrize("method", SELECTORS)
@pytest.mark.parametrize("k", [100, None])
def test_results_keep_both_bounds_of_each_record(method, k):
    given, rng = problems.parts(), np.random.default_rng(1)
    turned = rng.permutation(300)
    given["keys"] = given["keys"][turned]  # the problem sorts its records by key
    low, most = rng.uniform(0.1, 0.5, 300), rng.uniform(250, 500, 300)
    most[:50] = np.inf
    problem = CalibrationProblem.from_matrix(**given)
    result = problem.solve(k, method, bounds=(low, 7), weight_bounds=(30, most), epochs=40)
    chosen, w0 = result.indices, given["weights"][result.indices]
    assert (result.values / w0 >= low[chosen]).all()
    assert (result.values / w0 <= 7).all()
    assert (result.values >= 30).all()
    assert (result.values <= most[chosen]).all()
    assert k is None or (result.values > 0.99 * most[chosen]).any()


def test_what_bounds_put_out_of_reach_is_left_out_of_the_fit_and_counted_in_the_metrics():
    given = problems.parts()
    given["values"][[2, 7]] *= 1000
    result = CalibrationProblem.from_matrix(**given).solve(100, bounds=(0, 10), epochs=100)
    targets = result.tables["targets"].to_pydict()
    assert [row for row, status in enumerate(targets["status"]) if status == "unreachable"] == [
        2,
        7,
    ]
    assert all(targets["reason"][row].startswith("100 records give at most ") for row in (2, 7))
    errors = np.abs(targets["relative_error"])
    assert result.metrics["n_unreachable"] == 2
    assert np.delete(errors, [2, 7]).max() < 0.02
    assert result.metrics["loss"] == pytest.approx(np.minimum(errors, 1).mean())
    assert result.metrics["loss"] > 2 * 0.9 / 20
    fitted = CalibrationProblem.from_matrix(
        **{
            **given,
            "A": given["A"][np.delete(np.arange(20), [2, 7])],
            "values": np.delete(given["values"], [2, 7]),
            "names": np.delete(given["names"], [2, 7]),
        }
    ).solve(100, method="random", bounds=(0, 10), epochs=100)
    same = CalibrationProblem.from_matrix(**given).solve(
        100, method="random", bounds=(0, 10), epochs=100
    )
    np.testing.assert_allclose(same.values, fitted.values, rtol=1e-3)


def test_an_error_says_so_when_nothing_can_be_reached():
    given = problems.parts(m=6)
    given["values"] = -given["values"]
    problem = CalibrationProblem.from_matrix(**given)
    text = (
        r"`targets`: no target with an importance above 0 can be reached \('t000', .*'t004' and 1 "
        r"more: no record takes away from it\); check the labels$"
    )
    with pytest.raises(InputError, match=text):
        problem.solve(10)
    with pytest.raises(InputError, match=r"at most .* within the bounds\); .* widen the bounds"):
        problems.problem().solve(1, bounds=(0, 2))


def test_it_does_not_help_to_reach_targets_that_do_not_count():
    given = problems.parts(m=2)
    given["values"][0] *= -1
    problem = replace(CalibrationProblem.from_matrix(**given), importance=np.array([1.0, 0.0]))
    with pytest.raises(
        InputError, match=r"no target with an importance above 0 can be reached \('t000': no record"
    ):
        problem.solve(10)

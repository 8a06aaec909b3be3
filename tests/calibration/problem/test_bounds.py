import json
import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration import CalibrationProblem
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.common.errors import InputError
from tests.calibration import problems

lows = st.just(0.0) | st.floats(1e-3, 1)
highs = st.just(math.inf) | st.floats(1.001, 1e3)


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [
        (None, 0, math.inf),
        ((None, None), 0, math.inf),
        ((0.5, None), 0.5, math.inf),
        ([None, 2], 0, 2),
        ((np.float32(0.25), np.int64(4)), 0.25, 4),
        ((1, 1), 1, 1),
    ],
)
def test_parse(bounds, low, high):
    parsed = Bounds.parse(bounds)
    assert (parsed.low, parsed.high) == (low, high)
    assert parsed.active == ((low, high) != (0, math.inf))
    assert Bounds.parse(parsed.pair) == parsed
    json.dumps(parsed.pair, allow_nan=False)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((3, 2), r"`bounds` cross: low 3 is above high 2"),
        ((-0.1, 2), r"`bounds` is \(-0.1, 2\); it needs 0 <= low"),
        ((0, 0), r"`bounds` is \(0, 0\); it needs .* high > 0"),
        ((0, -1), r"high > 0"),
        ((math.inf, math.inf), r"low < infinity"),
        ((math.nan, 1), r"0 <= low"),
        ((0, math.nan), r"high > 0"),
        (2, r"`bounds` is 2; pass a pair \(low, high\) of numbers"),
        ((1,), r"pass a pair"),
        ((1, 2, 3), r"pass a pair"),
        (("a", 2), r"pass a pair"),
        ("ab", r"pass a pair"),
        ("12", r"`bounds` is '12'; pass a pair \(low, high\) of numbers"),
        (("0.5", 2), r"pass a pair"),
        ((None, "2"), r"pass a pair"),
    ],
)
def test_bad_bounds_are_named(bounds, text):
    with pytest.raises(InputError, match=text):
        Bounds.parse(bounds)


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


@given(
    low=lows,
    high=highs,
    ratios=hnp.arrays(np.float32, 6, elements=st.floats(2**-20, 2**20, width=32)),
)
def test_logarithms_are_clamped(low, high, ratios):
    logs = torch.tensor(ratios).log().requires_grad_()
    Bounds(low, high).clamp_log_(logs)
    np.testing.assert_allclose(logs.detach().exp(), np.clip(ratios, low, high), rtol=1e-5)
    assert logs.requires_grad


@st.composite
def amounts(draw):
    """Draw a matrix whose rows run from empty to full, some entries stored as 0."""
    m, n = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    elements = st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.5, -1.0, -1.0, -3.0])
    dense = draw(hnp.arrays(float, (m, n), elements=elements))
    held = np.nonzero((dense != 0) | draw(hnp.arrays(bool, (m, n))))
    stored = sp.csr_array((dense[held], held), shape=(m, n))
    return dense, stored.astype(draw(st.sampled_from([np.float32, np.float64])))


@given(both=amounts(), low=lows, high=highs, seed=st.integers(0, 99))
@settings(deadline=None)
def test_reach_is_the_best_of_all_choices(both, low, high, seed):
    A, stored = both
    m, n = A.shape
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
    assert unreachable(problem, Bounds.parse(bounds), k).tolist() == reasons


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
    with pytest.raises(InputError, match=r"at most .* within the bounds\); .* widen `bounds`"):
        problems.problem().solve(1, bounds=(0, 2))


def test_it_does_not_help_to_reach_targets_that_do_not_count():
    given = problems.parts(m=2)
    given["values"][0] *= -1
    problem = replace(CalibrationProblem.from_matrix(**given), importance=np.array([1.0, 0.0]))
    with pytest.raises(
        InputError, match=r"no target with an importance above 0 can be reached \('t000': no record"
    ):
        problem.solve(10)

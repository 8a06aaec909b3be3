import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration import CalibrationProblem
from l0.calibration.problem.kinds import Kinds, fitted_rows, record_ratios
from l0.common.errors import InputError

INF = np.inf
amounts = hnp.arrays(float, 6, elements=st.floats(0, 1e6).map(lambda x: round(x, 3)))
counts = hnp.arrays(float, 6, elements=st.integers(0, 5).map(float))


def kinds():
    """A total of 5, a mean of 2, a share of at least 0.3, and a total from 1 to 9."""
    return Kinds(
        ["total", "mean", "share", "total"],
        np.array([5.0, 2.0, 0.3, 1.0]),
        np.array([5.0, 2.0, INF, 9.0]),
        sp.csr_array([[0, 0], [1.0, 1], [1, 0], [0, 0]]),
        np.array([1.0, 10, 4, 1]),
    )


def test_limits_of_ratios_are_0_in_their_rows():
    of = kinds()
    assert of.is_total.tolist() == [True, False, False, True]
    assert of.of_rows(of.at_least).tolist() == [5, 0, 0, 1]
    assert of.of_rows(of.at_most).tolist() == [5, 0, INF, 9]
    assert of.ends.tolist() == [5, 2, 0.3, 1]
    assert of.largest.tolist() == [5, 2, 0.3, 9]


def test_a_denominator_of_0_has_no_estimate():
    found = kinds().in_own_terms(np.array([6.0, 3, 1, 8]), np.array([0.0, 6, 0, 0]))
    np.testing.assert_array_equal(found, [6, 2.5, np.nan, 8])


def test_some_targets_can_be_taken():
    of = kinds().of(np.array([2, 0]))
    assert of.statistics == ["share", "total"]
    assert of.at_least.tolist() == [0.3, 5]
    assert of.denominators.toarray().tolist() == [[1, 0], [0, 0]]
    assert of.sizes.tolist() == [4, 1]


@given(amounts, counts, hnp.arrays(float, 6, elements=st.floats(1e-3, 1e3)), st.floats(0, 1e6))
def test_a_row_gives_the_ratio_back(numerators, denominators, weights, value):
    by = denominators @ weights
    if not by:
        return
    D = sp.csr_array(denominators[None])
    row = fitted_rows(sp.csr_array(numerators[None]), D, np.array([value]))
    of = Kinds(["ratio"], np.array([value]), np.array([value]), D, np.ones(1))
    size = numerators @ weights / by + value
    own = of.in_own_terms(row @ weights, D @ weights)
    assert own[0] == pytest.approx(numerators @ weights / by, abs=1e-12 * size)


@given(counts, st.floats(1e-3, 1e3))
def test_a_record_whose_ratio_is_the_value_has_no_entry(denominators, value):
    D = sp.csr_array(denominators[None])
    N = sp.csr_array((denominators * value)[None])
    assert fitted_rows(N, D, np.array([value])).nnz == 0
    nudged = fitted_rows(N, D, np.array([value * (1 - 1e-15)]))
    assert nudged.nnz == 0


@given(amounts, counts.map(lambda of: of + 1), st.floats(0, 1e3))
def test_single_records_have_the_most_extreme_ratios(numerators, denominators, value):
    D = sp.csr_array(denominators[None])
    row = fitted_rows(sp.csr_array(numerators[None]), D, np.array([value]))
    lowest, highest = record_ratios(row, D)
    ratios = numerators / denominators
    size = 1e-9 * (ratios.max() + value)
    assert lowest[0] + value == pytest.approx(ratios.min(), abs=size)
    assert highest[0] + value == pytest.approx(ratios.max(), abs=size)


@pytest.mark.parametrize(
    ("numerators", "denominators"), [([1.0, 2], [1.0, -1]), ([1.0, 2], [1.0, 0])]
)
def test_other_ratios_have_no_ends(numerators, denominators):
    D = sp.csr_array([denominators])
    D.eliminate_zeros()
    rows = fitted_rows(sp.csr_array([numerators]), D, np.array([0.5]))
    assert record_ratios(rows, D) == ([-INF], [INF])


def test_a_problem_has_the_rows_of_its_kinds():
    homes = pd.DataFrame({"w": [1.0, 2, 3], "x": [4.0, 0, 6], "s": list("AAB")})
    targets = pd.DataFrame(
        [
            {"variable": "count", "value": 6.0},
            {"variable": "x", "statistic": "mean", "value": 3.0},
            {"variable": "x", "statistic": "share", "s": "A", "at_most": 0.5},
        ]
    )
    problem = CalibrationProblem.from_frames(homes, targets, weight="w")
    assert problem.names == ["count", "mean x", "share of x by s=A (at most)"]
    np.testing.assert_allclose(problem.matrix.toarray(), [[1, 1, 1], [1, -3, 3], [2, 0, -3]])
    np.testing.assert_allclose(problem.estimate(problem.design_weights), [6, 22 / 6, 4 / 22])
    np.testing.assert_allclose(problem.scales, [6, 18, 11])
    np.testing.assert_allclose(problem.own_scales, [6, 3, 0.5])
    np.testing.assert_array_equal(problem.low, [6, 0, -INF])
    np.testing.assert_array_equal(problem.high, [6, 0, 0])
    np.testing.assert_array_equal(problem.values, [6, 3, np.nan])
    errors = problem.errors(np.array([7.0, np.nan, 0.4]))
    np.testing.assert_array_equal(errors, [1, np.nan, 0])
    np.testing.assert_allclose(problem.relative_errors(errors), [1 / 6, -1, 0])


@pytest.mark.parametrize(
    "target",
    [
        {"variable": "x", "statistic": "ratio", "denominator": "net", "value": 1.0},
        {"variable": "x", "statistic": "mean", "s": "B", "net": "1", "value": 2.0},
    ],
)
def test_a_denominator_of_0_is_refused(target):
    homes = pd.DataFrame(
        {"w": [1.0, 2, 3], "x": [4.0, 0, 6], "s": list("AAB"), "net": [1.0, 1, -1]}
    )
    targets = pd.DataFrame([{"variable": "count", "value": 6.0}, {**target, "name": "r"}])
    with pytest.raises(
        InputError,
        match=r"whose denominator adds up to 0 or less under the design weights \('r'\); correct "
        "their labels, name another `denominator`, or drop them",
    ):
        CalibrationProblem.from_frames(homes, targets, weight="w")


@pytest.mark.parametrize("name", ["tax", "incom"])
def test_an_unknown_denominator_is_named(name):
    homes = pd.DataFrame({"w": [1.0, 2], "income": [4.0, 1], "x": [1.0, 1]})
    targets = pd.DataFrame(
        [{"variable": "x", "statistic": "ratio", "denominator": name, "value": 1.0}]
    )
    with pytest.raises(InputError, match=f"`targets` ask for the variable '{name}'"):
        CalibrationProblem.from_frames(homes, targets, weight="w")

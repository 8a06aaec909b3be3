import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration.sampling.cube import _walk, cube
from l0.calibration.sampling.designs import inclusion_probabilities, systematic

sizes = hnp.arrays(float, st.integers(1, 40), elements=st.floats(1e-3, 1e4))


def population(n=3_000, p=8, k=300, seed=0):
    """Unequal probabilities, and amounts and indicators to balance, all from 0 to 1."""
    rng = np.random.default_rng(seed)
    amounts = rng.beta(0.5, 2, (p // 2, n))
    kinds = rng.integers(0, p - p // 2, n) == np.arange(p - p // 2)[:, None]
    q = inclusion_probabilities(rng.lognormal(0, 1, n), k)
    return q, np.vstack([amounts, kinds]).astype(np.float32)


def draw(q, variables, seed=0, order=None):
    order = np.arange(len(q)) if order is None else order
    return cube(q, variables, order, np.random.default_rng(seed))


def excess(drawn, q, variables):
    """Sum what a sample has more than was expected, for each variable."""
    exact = variables.astype(float)
    return exact[:, drawn].sum(axis=1) - exact @ q


@given(size=sizes, data=st.data(), seed=st.integers(0, 2**32), p=st.integers(0, 3))
@settings(deadline=None)
def test_a_draw_has_exactly_k_distinct_units_and_all_certain_ones(size, data, seed, p):
    n = len(size)
    k = data.draw(st.integers(1, n))
    order = np.array(data.draw(st.permutations(range(n))))
    elements = st.sampled_from([0.0, 1.0, 0.25, -2.0])
    variables = data.draw(hnp.arrays(np.float32, (p, n), elements=elements))
    q = inclusion_probabilities(size, k)
    drawn = draw(q, variables, seed, order)
    assert len(drawn) == k
    assert (np.diff(drawn) > 0).all()
    assert set(np.flatnonzero(q == 1)) <= set(drawn)


@pytest.mark.parametrize("k", [1, 7, 300, 2_999])
def test_a_draw_in_many_blocks_has_exactly_k_units(k):
    q, variables = population(k=k)
    for seed in range(3):
        assert len(draw(q, variables, seed)) == k


def test_units_of_probability_zero_are_never_drawn():
    q, variables = population()
    q[::2] = 0
    q[1::2] = inclusion_probabilities(np.linspace(1, 2, 1_500), 100)
    drawn = draw(q, variables)
    assert len(drawn) == 100
    assert (drawn % 2 == 1).all()


@pytest.mark.parametrize("p", [0, 1, 4])
def test_units_are_drawn_as_often_as_their_probability_says(p):
    size = np.array([1.0, 9, 2, 2, 3, 0.5, 4, 4, 0.1, 30])
    q = inclusion_probabilities(size, 4)
    variables = np.random.default_rng(1).random((p, 10), dtype=np.float32)
    draws = 1_000
    count = np.zeros(10)
    for seed in range(draws):
        count[draw(q, variables, seed)] += 1
    spread = np.sqrt(draws * q * (1 - q))
    assert (np.abs(count - draws * q) <= 4 * spread + 1e-9).all()


def test_blocks_do_not_change_how_often_units_are_drawn(monkeypatch):
    monkeypatch.setattr("l0.calibration.sampling.cube.BLOCK", 4)
    q, variables = population(n=24, p=2, k=6)
    draws = 500
    count = np.zeros(24)
    for seed in range(draws):
        count[draw(q, variables, seed)] += 1
    spread = np.sqrt(draws * q * (1 - q))
    assert (np.abs(count - draws * q) <= 4 * spread + 1e-9).all()


def test_the_walk_keeps_the_sums_in_each_block_and_leaves_few_units_undecided():
    q, variables = population()
    units = np.arange(3_000).reshape(30, 100)
    walked = _walk(variables, units, q[units], np.random.default_rng(0))
    assert walked.min() == 0
    assert walked.max() == 1
    assert ((walked > 0) & (walked < 1)).sum(axis=1).max() <= 8  # one row is the sum of others
    np.testing.assert_allclose(walked.sum(axis=1), q[units].sum(axis=1))
    in_blocks = variables[:, units].astype(float)
    np.testing.assert_allclose(
        (in_blocks * walked).sum(axis=2), (in_blocks * q[units]).sum(axis=2), atol=1e-9
    )


@pytest.mark.parametrize("land", [False, True])
def test_the_expectation_of_the_walk_is_where_it_starts(land):
    q, variables = population(n=30, p=4, k=10)
    copies = np.tile(np.arange(30), (10_000, 1))  # the same units in many blocks
    walked = _walk(variables, copies, q[copies], np.random.default_rng(0), land)
    standard_error = walked.std(axis=0) / 100
    assert (np.abs(walked.mean(axis=0) - q) <= 4 * standard_error + 1e-12).all()
    if land:
        np.testing.assert_allclose(walked.round().sum(axis=1), 10)
        np.testing.assert_allclose(walked, walked.round(), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_sample_is_balanced_up_to_the_units_that_the_landing_rounds(seed):
    """The landing decides at most p + 1 units, and a unit changes a sum by at most 1."""
    q, variables = population()
    assert np.abs(excess(draw(q, variables, seed), q, variables)).max() <= 9
    mean_square = np.mean([excess(draw(q, variables, s), q, variables) ** 2 for s in range(20)])
    unbalanced = [
        systematic(q, np.random.default_rng(s).permutation(3_000), np.random.default_rng(s))
        for s in range(20)
    ]
    by_chance = np.mean([excess(drawn, q, variables) ** 2 for drawn in unbalanced])
    assert mean_square < 0.02 * by_chance


def test_indicators_of_strata_give_exactly_the_stratified_sample():
    stratum = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 200))
    variables = (stratum == np.arange(5)[:, None]).astype(np.float32)
    drawn = draw(np.full(1_000, 0.1), variables)
    np.testing.assert_array_equal(np.bincount(stratum[drawn]), 20)


def test_variables_that_depend_on_others_are_no_obstacle():
    q, variables = population(p=4)
    dependent = np.vstack([variables, variables, np.ones(3_000), np.zeros(3_000)])
    drawn = draw(q, dependent.astype(np.float32))
    assert len(drawn) == 300
    assert np.abs(excess(drawn, q, variables)).max() <= 5


def test_the_landing_gives_up_the_last_variable_first():
    q, variables = population(p=8)
    errors = np.array([excess(draw(q, variables, seed), q, variables) for seed in range(60)])
    mean_square = (errors**2).mean(axis=0) / variables.var(axis=1)
    assert mean_square[:2].mean() < mean_square[-2:].mean()


def test_a_draw_spreads_along_the_order():
    q = np.full(3_000, 0.1)
    order = np.random.default_rng(1).permutation(3_000)
    none = np.empty((0, 3_000), dtype=np.float32)
    drawn = np.isin(order, draw(q, none, order=order))
    # A simple random sample would have a variance of about 27 in each stretch of 300.
    assert np.abs(drawn.reshape(10, 300).sum(axis=1) - 30).max() <= 3


def test_a_seed_gives_the_same_sample_and_another_seed_another():
    q, variables = population()
    one, same, other = draw(q, variables, 3), draw(q, variables, 3), draw(q, variables, 4)
    np.testing.assert_array_equal(one, same)
    assert set(one) != set(other)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration.sampling.designs import inclusion_probabilities, systematic, thin

sizes = hnp.arrays(float, st.integers(1, 40), elements=st.floats(1e-3, 1e4))


@given(size=sizes, data=st.data())
def test_inclusion_probabilities(size, data):
    k = data.draw(st.integers(1, len(size)))
    q = inclusion_probabilities(size, k)
    assert q.sum() == pytest.approx(k)
    assert (q > 0).all()
    assert (q <= 1).all()
    uncertain = q < 1
    np.testing.assert_allclose(
        q[uncertain] * size[uncertain].sum(),
        (k - (~uncertain).sum()) * size[uncertain],
        rtol=1e-9,
    )
    if uncertain.any() and not uncertain.all():
        assert size[~uncertain].min() >= size[uncertain].max()


@given(size=sizes, scale=st.floats(1e-6, 1e6))
def test_inclusion_probabilities_do_not_depend_on_the_unit(size, scale):
    k = (len(size) + 1) // 2
    np.testing.assert_allclose(
        inclusion_probabilities(size, k), inclusion_probabilities(size * scale, k), rtol=1e-9
    )


def test_equal_sizes_give_equal_probabilities():
    np.testing.assert_allclose(inclusion_probabilities(np.full(7, 3.0), 2), 2 / 7)
    np.testing.assert_allclose(inclusion_probabilities(np.full(7, 3.0), 7), 1)


@given(size=sizes, data=st.data(), seed=st.integers(0, 2**32))
def test_a_systematic_draw_has_exactly_k_distinct_units_and_all_certain_ones(size, data, seed):
    n = len(size)
    k = data.draw(st.integers(1, n))
    order = np.array(data.draw(st.permutations(range(n))))
    q = inclusion_probabilities(size, k)
    drawn = systematic(q, order, np.random.default_rng(seed))
    assert len(drawn) == k
    assert (np.diff(drawn) > 0).all()
    assert 0 <= drawn[0] <= drawn[-1] < n
    if k < n:
        assert set(np.flatnonzero(q == 1)) <= set(drawn)


@given(seed=st.integers(0, 2**32), k=st.integers(1, 6))
@settings(max_examples=30)
def test_units_of_probability_zero_are_never_drawn(seed, k):
    q = np.zeros(30)
    allowed = np.arange(3, 30, 4)
    q[allowed] = inclusion_probabilities(np.linspace(1, 2, len(allowed)), k)
    drawn = systematic(q, np.arange(30)[::-1], np.random.default_rng(seed))
    assert set(drawn) <= set(allowed)


def test_units_are_drawn_as_often_as_their_probability_says():
    size = np.array([1.0, 9, 2, 2, 3, 0.5, 4, 4, 0.1, 30])
    q = inclusion_probabilities(size, 4)
    order = np.random.default_rng(0).permutation(10)
    draws = 4000
    count = np.zeros(10)
    for seed in range(draws):
        count[systematic(q, order, np.random.default_rng(seed))] += 1
    spread = np.sqrt(draws * q * (1 - q))
    assert (np.abs(count - draws * q) <= 4 * spread + 1e-9).all()


def test_a_systematic_draw_spreads_along_the_order():
    """Every stretch of the order gets its expected number of draws, to within one."""
    q = inclusion_probabilities(np.random.default_rng(0).uniform(1, 3, 1000), 100)
    order = np.random.default_rng(1).permutation(1000)
    drawn = np.isin(order, systematic(q, order, np.random.default_rng(2)))
    assert np.abs(np.cumsum(drawn) - np.cumsum(q[order])).max() <= 1 + 1e-9


@given(size=sizes, data=st.data(), seed=st.integers(0, 2**32))
def test_thinning_keeps_the_sum_and_leaves_large_probabilities_alone(size, data, seed):
    k = data.draw(st.integers(1, len(size)))
    order = np.array(data.draw(st.permutations(range(len(size)))))
    q = inclusion_probabilities(size, k)
    thinned = thin(q, order, 0.2, np.random.default_rng(seed))
    assert thinned.sum() == pytest.approx(k)
    large = q > 0.1
    np.testing.assert_array_equal(thinned[large], q[large])
    assert thinned[~large].max(initial=0) <= 0.3 + 1e-9


def test_thinning_leaves_one_unit_in_each_group_of_neighbours():
    q = np.full(1_000, 0.01)
    order = np.random.default_rng(1).permutation(1_000)
    thinned = thin(q, order, 0.1, np.random.default_rng(0))
    left = (thinned[order] > 0).reshape(100, 10)
    np.testing.assert_array_equal(left.sum(axis=1), 1)
    np.testing.assert_allclose(thinned[thinned > 0], 0.1)


def test_thinning_does_not_change_the_expected_probabilities():
    q = inclusion_probabilities(np.random.default_rng(0).lognormal(0, 1, 50), 3)
    rng = np.random.default_rng(1)
    thinned = np.array([thin(q, np.arange(50), 0.3, rng) for _ in range(4_000)])
    standard_error = thinned.std(axis=0) / np.sqrt(4_000)
    assert (np.abs(thinned.mean(axis=0) - q) <= 4.5 * standard_error + 1e-12).all()


def test_there_is_nothing_to_thin_if_all_probabilities_are_large_or_zero():
    q = np.array([0.0, 0.5, 1.0, 0.5])
    np.testing.assert_array_equal(thin(q, np.arange(4), 0.1, np.random.default_rng(0)), q)

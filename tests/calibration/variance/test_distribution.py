from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.variance.distribution import gini, quantile
from l0.calibration.variance.statistics import Sample
from tests.calibration.variance import samples

seeds = st.integers(0, 10_000)


def alone(x, weights=None, of=None):
    """One row for each record, in one domain, under the weights and their replicates."""
    weights = np.ones(len(x)) if weights is None else np.asarray(weights, float)
    of = samples.delete_one(weights) if of is None else of
    columns = np.column_stack([weights, of.weights])
    return Sample(columns, np.arange(len(x)), np.zeros(len(x), int), 1), of


@pytest.mark.parametrize(
    ("q", "expected"), [(0.1, 1), (0.25, 2), (0.3, 2), (0.5, 3), (0.7, 3), (0.71, 4), (0.99, 5)]
)
def test_a_quantile_is_the_smallest_amount_up_to_which_the_share_lies(q, expected):
    x = np.array([5.0, 1, 3, 2, 4])
    rows, of = alone(x, [1, 1, 3, 3, 2])  # up to 1, 2, ..., 5 lie 1, 4, 7, 9 and 10 tenths
    assert quantile(rows, x, q, of, 0.95).values[0, 0] == expected


@given(seeds, st.floats(0.05, 0.95))
def test_a_quantile_is_one_of_the_amounts_and_has_the_share_below_it(seed, q):
    rows, of, x, _ = samples.sample(seed)
    found = quantile(rows, x, q, of, 0.95)
    for domain in range(rows.size):
        inside = rows.domain == domain
        weights = rows.weights[rows.record[inside], 0]
        estimate = found.values[domain, 0]
        assert estimate in x[inside]
        assert weights[x[inside] <= estimate].sum() >= q * weights.sum() * (1 - 1e-9)
        assert weights[x[inside] < estimate].sum() <= q * weights.sum() * (1 + 1e-9)


def test_the_standard_error_is_the_width_of_woodruffs_interval():
    x = np.random.default_rng(0).lognormal(0, 1, 400)
    rows, of = alone(x)
    found = quantile(rows, x, 0.5, of, 0.9)
    low, high = (end[0] for end in found.interval)
    assert low < found.values[0, 0] < high
    error = np.sqrt(of.variance(found.values[0, 1:], found.values[0, 0]))
    assert error == pytest.approx((high - low) / (2 * of.t(0.9, np.array([400]))[0]))
    # The standard error of a median, 1 / (2 f sqrt(n)), with f the density of the log-normal at 1.
    assert error == pytest.approx(np.sqrt(2 * np.pi) / 2 / np.sqrt(400), rel=0.25)


def test_beyond_the_largest_amount_an_interval_has_no_end():
    x = np.arange(20.0)
    rows, of = alone(x)
    found = quantile(rows, x, 0.95, of, 0.95)
    assert not np.isnan(found.interval[0][0]) and np.isnan(found.interval[1][0])
    assert np.isnan(found.values[0, 1:]).all() and found.values[0, 0] == 18


def test_where_all_amounts_are_equal_the_quantile_is_certain():
    x = np.full(20, 3.0)
    rows, of = alone(x)
    found = quantile(rows, x, 0.5, of, 0.95)
    assert (found.values == 3).all()
    assert [end[0] for end in found.interval] == [3, 3]


def by_pairs(x, weights):
    apart = np.abs(x[:, None] - x) @ weights @ weights
    return apart / (2 * weights.sum() * (weights @ x))


@given(seeds)
def test_the_gini_coefficient_is_that_of_all_pairs(seed):
    rows, _, x, _ = samples.sample(seed)
    x = x.round(1)  # with ties
    found = gini(rows, x)
    for domain in range(rows.size):
        inside = rows.domain == domain
        weights = rows.weights[rows.record[inside]]
        for column in range(weights.shape[1]):
            if weights[:, column] @ x[inside] > 0:
                expected = by_pairs(x[inside], weights[:, column])
                assert found.values[domain, column] == pytest.approx(expected)


@given(seeds, st.floats(0.01, 100))
def test_gini_and_quantiles_do_not_depend_on_order_and_scale(seed, factor):
    rows, of, x, _ = samples.sample(seed)
    order = np.random.default_rng(seed).permutation(len(x))
    moved = samples.scaled(samples.reordered(rows, order), factor)
    np.testing.assert_allclose(gini(rows, x).values, gini(moved, x[order]).values)
    again = replace(of, weights=of.weights * factor)
    one, other = quantile(rows, x, 0.5, of, 0.95), quantile(moved, x[order], 0.5, again, 0.95)
    np.testing.assert_array_equal(one.values[:, 0], other.values[:, 0])
    np.testing.assert_array_equal(one.n_records, other.n_records)


def test_without_a_positive_total_there_is_no_gini_coefficient():
    x = np.array([-1.0, 1.0])
    rows, _ = alone(x)
    assert np.isnan(gini(rows, x).values[0, 0])

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.variance.statistics import Sample, ratio, share, total
from tests.calibration.variance import samples

seeds = st.integers(0, 10_000)
ALL = {
    "total": lambda rows, x, _: total(rows, x),
    "ratio": ratio,
    "mean": lambda rows, x, _: ratio(rows, x, np.ones(len(x))),
    "share": lambda rows, x, _: share(rows, x, np.arange(rows.size) % 2),
}


def fields(found):
    return found.values, found.effective_n, found.n_records, found.simple_variance


@pytest.mark.parametrize("statistic", ALL.values(), ids=ALL)
@given(seeds)
def test_the_order_of_rows_and_of_records_does_not_matter(statistic, seed):
    rows, _, x, d = samples.sample(seed)
    generator = np.random.default_rng(seed)
    order, records = generator.permutation(len(x)), generator.permutation(len(rows.weights))
    place = np.argsort(records)
    moved = Sample(rows.weights[records], place[rows.record][order], rows.domain[order], rows.size)
    found, again = statistic(rows, x, d), statistic(moved, x[order], d[order])
    for one, other in zip(fields(found), fields(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("statistic", ALL.values(), ids=ALL)
@given(seeds, st.floats(0.01, 100))
def test_weights_on_another_scale_change_totals_alone(statistic, seed, factor):
    rows, _, x, d = samples.sample(seed)
    found, again = statistic(rows, x, d), statistic(samples.scaled(rows, factor), x, d)
    by = factor if statistic is ALL["total"] else 1.0
    np.testing.assert_allclose(again.values, by * found.values, rtol=1e-9)
    np.testing.assert_allclose(again.simple_variance, by**2 * found.simple_variance, rtol=1e-6)
    np.testing.assert_allclose(again.effective_n, found.effective_n, rtol=1e-9)


@given(seeds)
def test_totals_of_domains_add_up_and_shares_to_one(seed):
    rows, _, x, _ = samples.sample(seed)
    whole = Sample(rows.weights, rows.record, np.zeros(len(x), int), 1)
    np.testing.assert_allclose(total(rows, x).values.sum(axis=0), total(whole, x).values[0])
    larger = np.array([0, 0, 1, 1])
    shares = share(rows, x, larger).values
    np.testing.assert_allclose(shares[:2].sum(axis=0), 1)
    np.testing.assert_allclose(shares[2:].sum(axis=0), 1)


@given(seeds)
def test_a_share_is_the_ratio_to_what_lies_in_the_larger_domain(seed):
    rows, _, x, _ = samples.sample(seed, size=2)
    found = share(rows, x, np.zeros(2, int))
    for domain in (0, 1):
        everyone = Sample(rows.weights, rows.record, np.zeros(len(x), int), 1)
        other = ratio(everyone, x * (rows.domain == domain), x)
        np.testing.assert_allclose(found.values[domain], other.values[0])
        np.testing.assert_allclose(found.simple_variance[domain], other.simple_variance[0])


def test_a_simple_random_sample_has_the_design_effect_1():
    generator = np.random.default_rng(3)
    x = generator.normal(5, 2, 40)
    of = samples.delete_one(np.full(40, 25.0))
    rows = Sample(
        np.column_stack([np.full(40, 25.0), of.weights]), np.arange(40), np.zeros(40, int), 1
    )
    for found in (total(rows, x), ratio(rows, x, np.ones(40))):
        variance = of.variance(found.values[0, 1:], found.values[0, 0])
        if found.values[0, 0] < 100:  # the mean: deleting keeps the number of units
            assert variance / found.simple_variance[0] == pytest.approx(1)
        assert found.effective_n[0] == pytest.approx(x.sum() ** 2 / (x**2).sum())


def test_support_counts_records_and_not_rows():
    rows = Sample(np.ones((3, 2)), np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1]), 2)
    x = np.array([1.0, -1.0, 0.0, 4.0])
    assert total(rows, x).n_records.tolist() == [0, 1]  # nothing is left of the first record
    assert total(rows, np.ones(4)).n_records.tolist() == [2, 1]
    assert ratio(rows, x, np.ones(4)).n_records.tolist() == [2, 1]
    assert total(rows, np.ones(4)).effective_n == pytest.approx([9 / 5, 1])


def test_a_constant_has_no_variance_in_a_simple_random_sample():
    rows, _, x, _ = samples.sample(k=60)
    everyone = Sample(rows.weights, np.arange(60), np.zeros(60, int), 1)
    assert total(everyone, np.full(60, 0.1)).simple_variance.tolist() == [0]
    assert ratio(rows, np.full(len(x), 0.1), np.ones(len(x))).simple_variance.tolist() == [0] * 4
    assert share(everyone, x[:60], np.zeros(1, int)).simple_variance.tolist() == [0]


def test_a_denominator_of_0_has_no_ratio():
    rows = Sample(np.array([[1.0, 0.0], [1.0, 2.0]]), np.arange(2), np.arange(2), 2)
    values = ratio(rows, np.ones(2), np.ones(2)).values
    np.testing.assert_array_equal(values, [[1, np.nan], [1, 1]])

import numpy as np
import pytest

from l0.calibration.variance.jackknife import (
    dealt,
    halved_factors,
    jackknife_factors,
    jackknife_rscales,
    paired_factors,
    paired_rscales,
)


def variance_of_total(values, factors):
    """Compute the variance of a total by the factors of the values."""
    n_groups = factors.shape[1]
    deviation = values @ factors - values.sum()
    return float(jackknife_rscales(n_groups) @ deviation**2)


def naive(values, units, strata, n_groups, group):
    """Compute Kott's variance of a total column by column and stratum by stratum."""
    variance = 0.0
    for column in range(n_groups):
        total = 0.0
        for stratum in np.unique(strata):
            inside = strata == stratum
            totals = {unit: values[units == unit].sum() for unit in np.unique(units[inside])}
            n = len(totals)
            left_out = [unit for unit in totals if group[unit] == column]
            if n >= n_groups:
                kept = sum(of for unit, of in totals.items() if unit not in left_out)
                total += kept * n / (n - len(left_out))
            else:
                z = np.sqrt(n_groups / ((n_groups - 1) * n * (n - 1)))
                for unit, of in totals.items():
                    factor = 1.0
                    if left_out:
                        factor = 1 - (n - 1) * z if unit in left_out else 1 + z
                    total += factor * of
        variance += (n_groups - 1) / n_groups * (total - values.sum()) ** 2
    return variance


def test_a_record_is_left_out_of_one_column_and_gains_in_the_others():
    order = np.arange(12)
    factors = jackknife_factors(order, 0 * order, 4, np.random.default_rng(0))
    assert ((factors == 0).sum(axis=1) == 1).all()
    assert ((factors == 0).sum(axis=0) == 3).all()
    np.testing.assert_allclose(factors[factors > 0], 4 / 3)
    # Each run of four along the order has one record of each group.
    assert all(len(set(run.tolist())) == 4 for run in np.argmin(factors, axis=1).reshape(3, 4))


def test_columns_follow_the_permutation_of_the_groups():
    order = np.arange(12)
    first, second = (
        jackknife_factors(order, 0 * order, 4, np.random.default_rng(seed)) for seed in (0, 1)
    )
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.unique(first, axis=1), np.unique(second, axis=1))


@pytest.mark.parametrize("n_groups", [5, 8, 40, 60])
def test_the_variance_of_a_mean_is_that_of_the_textbook(n_groups):
    rng = np.random.default_rng(3)
    n = 40
    values = rng.normal(5, 2, n)
    order = rng.permutation(n)
    factors = jackknife_factors(order, 0 * order, n_groups, rng)
    means = values @ factors / factors.sum(axis=0)
    if n_groups >= n:  # one by one
        found = variance_of_total(values / n, factors)
        assert found == pytest.approx(values.var(ddof=1) / n)
        return
    groups = [values[factors[:, column] > 0].mean() for column in range(n_groups)]
    expected = (n_groups - 1) / n_groups * ((np.array(groups) - values.mean()) ** 2).sum()
    found = float(jackknife_rscales(n_groups) @ (means - values.mean()) ** 2)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("n_groups", [3, 6, 20])
def test_strata_and_clusters_have_the_weights_of_kott(n_groups):
    rng = np.random.default_rng(n_groups)
    sizes = [2, 3, 7, 15]
    strata = np.repeat(np.arange(4), sizes)
    clusters = np.concatenate([np.arange(size) for size in sizes])
    of_record = np.sort(np.concatenate([np.arange(27), rng.integers(0, 27, 80)]))
    strata, clusters = strata[of_record], clusters[of_record]
    values = rng.lognormal(0, 1, len(strata))
    units = dealt(rng.permutation(len(strata)), strata, clusters)
    assert len(np.unique(units)) == 27
    factors = jackknife_factors(units, strata, n_groups, np.random.default_rng(1))
    group = np.random.default_rng(1).permutation(n_groups)[np.arange(27) % n_groups]
    expected = naive(values, units, strata, n_groups, group)
    assert variance_of_total(values, factors) == pytest.approx(expected)
    assert (factors >= 0).all()


def test_few_clusters_give_the_variance_between_them():
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1], [3, 4])
    values = rng.normal(10, 3, 7)
    units = dealt(np.arange(7), strata)
    factors = jackknife_factors(units, strata, 30, rng)
    expected = 3 * values[:3].var(ddof=1) + 4 * values[3:].var(ddof=1)
    assert variance_of_total(values, factors) == pytest.approx(expected)


def test_clusters_stay_whole_and_follow_the_order_of_their_first_records():
    rank = np.array([5, 0, 3, 1, 4, 2])
    clusters = np.array([0, 0, 1, 1, 2, 2])
    units = dealt(rank, np.zeros(6, dtype=int), clusters)
    np.testing.assert_array_equal(units, [0, 0, 1, 1, 2, 2])
    factors = jackknife_factors(units, 0 * units, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(factors[::2], factors[1::2])
    # The same label in another stratum is another cluster.
    apart = dealt(rank, np.array([0, 1, 0, 1, 0, 1]), clusters)
    assert len(np.unique(apart)) == 6


def test_spared_records_are_in_all_columns():
    units = np.array([-1, 0, 1, 2, -1, 3])
    factors = jackknife_factors(units, 0 * units, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(factors[units < 0], 1.0)
    np.testing.assert_allclose(factors[units >= 0].sum(axis=0), 4)
    everyone = np.full(3, -1)
    alike = jackknife_factors(everyone, 0 * everyone, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(alike, 1.0)


def test_the_halved_column_keeps_the_total():
    base = np.array([4.0, 4.0, 2.0])
    factors = halved_factors(base, np.array([True, True, False]))
    assert factors.shape == (3, 1)
    assert factors[2, 0] == 0.5
    assert base @ factors[:, 0] == pytest.approx(base.sum())


def test_pairs_give_the_variance_between_neighbours():
    rng = np.random.default_rng(2)
    values = rng.normal(10, 3, 40)
    order = rng.permutation(40)
    units = np.argsort(order)  # the place of each record
    factors = paired_factors(units, 8, rng)
    deviation = values @ factors - values.sum()
    # A column leaves out records of many pairs, whose products cancel in the mean alone.
    assert (factors.sum(axis=0) == 40).all()
    assert ((factors == 0).sum(axis=0) == 5).all()
    one_by_one = paired_factors(units, 40, rng)
    deviation = values @ one_by_one - values.sum()
    expected = (np.diff(values[order].reshape(20, 2), axis=1) ** 2).sum()
    assert paired_rscales(40) @ deviation**2 == pytest.approx(expected)


def test_a_record_without_a_neighbour_joins_a_pair():
    factors = paired_factors(np.array([4, 0, 2, -1]), 5, np.random.default_rng(0))
    np.testing.assert_array_equal(factors[3], 1.0)
    np.testing.assert_allclose(factors[:3].sum(axis=0), 3.0)
    alone = paired_factors(np.array([0, -1]), 5, np.random.default_rng(0))
    np.testing.assert_array_equal(alone, 1.0)

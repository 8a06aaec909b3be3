import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.variance.jackknife import (
    MARGIN,
    MOST_LEVERAGE,
    Groups,
    dealt,
    halved_factors,
    kept_deviation,
    paired_factors,
    paired_rscales,
)


def variance_of_total(values, factors, rscales):
    """Compute the variance of a total by the factors of the values."""
    return float(rscales @ (values @ factors - values.sum()) ** 2)


def jackknife_factors(*deal):
    """Deal out units, and give the factors and what the columns count."""
    groups = Groups.deal(*deal)
    return groups.factors(), groups.rscales


def naive(values, units, strata, n_groups, group):
    """Compute the columns of a total and what they count, unit by unit."""
    totals, scales = [], []
    for column in range(n_groups):
        total, ratios = 0.0, []
        for stratum in np.unique(strata):
            of_unit = {u: values[units == u].sum() for u in np.unique(units[strata == stratum])}
            n = len(of_unit)
            left_out = [u for u in of_unit if group[u] == column]
            kept = sum(of for u, of in of_unit.items() if u not in left_out)
            total += kept * n / (n - len(left_out))
            most = min(n, n_groups)
            ratios += [most / (most - 1)] * len(left_out)
        totals.append(total)
        scales.append(1 / np.mean(ratios) if ratios else 1.0)
    return np.array(totals), np.array(scales)


def test_a_record_is_left_out_of_one_column_and_gains_in_the_others():
    order = np.arange(12)
    factors, rscales = jackknife_factors(order, 0 * order, 4, np.random.default_rng(0))
    np.testing.assert_allclose(rscales, 0.75)
    assert ((factors == 0).sum(axis=1) == 1).all()
    assert ((factors == 0).sum(axis=0) == 3).all()
    np.testing.assert_allclose(factors[factors > 0], 4 / 3)
    # Each run of four along the order has one record of each group.
    assert all(len(set(run.tolist())) == 4 for run in np.argmin(factors, axis=1).reshape(3, 4))


def test_changes_are_those_of_the_factors():
    rng, strata = np.random.default_rng(0), np.repeat([0, 1, 2], [4, 2, 9])
    groups = Groups.deal(np.arange(15), strata, 5, rng)
    matrix = rng.normal(size=(3, 15))
    found = groups.changed(sp.csr_array(matrix))
    np.testing.assert_allclose(found, matrix @ (groups.factors() - 1), atol=1e-12)


def test_columns_follow_the_permutation_of_the_groups():
    order = np.arange(12)
    first, second = (
        jackknife_factors(order, 0 * order, 4, np.random.default_rng(seed))[0] for seed in (0, 1)
    )
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.unique(first, axis=1), np.unique(second, axis=1))


@pytest.mark.parametrize("n_groups", [5, 8, 40, 60])
def test_the_variance_of_a_mean_is_that_of_the_textbook(n_groups):
    rng = np.random.default_rng(3)
    n = 40
    values = rng.normal(5, 2, n)
    order = rng.permutation(n)
    factors, rscales = jackknife_factors(order, 0 * order, n_groups, rng)
    if n_groups >= n:  # one by one
        found = variance_of_total(values / n, factors, rscales)
        assert found == pytest.approx(values.var(ddof=1) / n)
        return
    groups = [values[factors[:, column] > 0].mean() for column in range(n_groups)]
    expected = (n_groups - 1) / n_groups * ((np.array(groups) - values.mean()) ** 2).sum()
    means = values @ factors / factors.sum(axis=0)
    assert float(rscales @ (means - values.mean()) ** 2) == pytest.approx(expected)


@pytest.mark.parametrize("n_groups", [3, 6, 20])
def test_clusters_and_strata_are_left_out_as_the_formula_says(n_groups):
    rng = np.random.default_rng(n_groups)
    sizes = [2, 3, 7, 15]
    strata = np.repeat(np.arange(4), sizes)
    clusters = np.concatenate([np.arange(size) for size in sizes])
    of_record = np.sort(np.concatenate([np.arange(27), rng.integers(0, 27, 80)]))
    strata, clusters = strata[of_record], clusters[of_record]
    values = rng.lognormal(0, 1, len(strata))
    units = dealt(rng.permutation(len(strata)), strata, clusters)
    assert len(np.unique(units)) == 27
    factors, rscales = jackknife_factors(units, strata, n_groups, np.random.default_rng(1))
    group = np.random.default_rng(1).permutation(n_groups)[np.arange(27) % n_groups]
    totals, scales = naive(values, units, strata, n_groups, group)
    np.testing.assert_allclose(values @ factors, totals)
    np.testing.assert_allclose(rscales, scales)


def test_strata_of_one_size_have_the_variance_of_the_textbook():
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1, 2], 4)
    values = rng.normal(10, 3, 12)
    found = variance_of_total(values, *jackknife_factors(np.arange(12), strata, 30, rng))
    expected = sum(4 * values[strata == stratum].var(ddof=1) for stratum in range(3))
    assert found == pytest.approx(expected)


def test_strata_of_several_sizes_have_it_on_average_if_they_vary_alike():
    rng = np.random.default_rng(0)
    sizes = [2, 2, 3, 5, 9, 19]
    strata = np.repeat(np.arange(6), sizes)
    found = []
    for _ in range(2_000):
        values = rng.normal(0, 3, len(strata))
        factors = jackknife_factors(np.arange(len(strata)), strata, 10, rng)
        found.append(variance_of_total(values, *factors))
    assert np.mean(found) == pytest.approx(9 * len(strata), rel=0.05)


def test_clusters_stay_whole_and_follow_the_order_of_their_first_records():
    rank = np.array([5, 0, 3, 1, 4, 2])
    clusters = np.array([0, 0, 1, 1, 2, 2])
    units = dealt(rank, np.zeros(6, dtype=int), clusters)
    np.testing.assert_array_equal(units, [0, 0, 1, 1, 2, 2])
    factors, _ = jackknife_factors(units, 0 * units, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(factors[::2], factors[1::2])
    # The same label in another stratum is another cluster.
    apart = dealt(rank, np.array([0, 1, 0, 1, 0, 1]), clusters)
    assert len(np.unique(apart)) == 6


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


@given(st.floats(0, MOST_LEVERAGE))
def test_the_variance_is_kept_up_to_the_margin_and_no_more(h):
    inflation = 1 / (1 - h)
    assert kept_deviation(h) ** 2 * inflation == pytest.approx(min(inflation, MARGIN))


@given(st.floats(MOST_LEVERAGE, 1))
def test_no_more_is_taken_away_than_was_measured(h):
    assert kept_deviation(h) == kept_deviation(MOST_LEVERAGE) > 0.8


def test_the_margin_is_what_a_regression_without_groups_exceeds_its_variance_by():
    # Deleted residuals of a regression of 60 records on 40 columns, beside the variance 1.
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(200):
        x, y = rng.normal(size=(60, 40)), rng.normal(size=60)
        hat = x @ np.linalg.solve(x.T @ x, x.T)
        squares.append(((y - hat @ y) / (1 - hat.diagonal())) ** 2)
    kept = kept_deviation(40 / 60) ** 2
    assert np.mean(squares) > 3
    assert kept * np.mean(squares) == pytest.approx(MARGIN, rel=0.15)

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.variance.replicates import Replicates
from l0.common.errors import InputError
from tests.calibration.variance.samples import delete_groups, delete_one

amounts = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12).map(np.array)


@given(amounts)
def test_deleting_one_record_gives_the_variance_of_a_mean_of_the_textbook(x):
    of = delete_one(np.ones(len(x)))
    means = x @ of.weights / of.weights.sum(axis=0)
    np.testing.assert_allclose(of.variance(means, x.mean()), x.var(ddof=1) / len(x), atol=1e-6)


def test_the_covariance_has_the_variances_and_those_of_sums():
    generator = np.random.default_rng(0)
    of = delete_groups(generator.uniform(1, 9, 50), 10)
    x = generator.normal(size=(3, 50))
    main, others = x @ np.ones(50), of.weights.T @ x.T
    covariance = of.covariance(others, main)
    np.testing.assert_allclose(np.diag(covariance), of.variance(others, main))
    np.testing.assert_allclose(covariance, covariance.T)
    apart = of.variance(others[:, 0] - others[:, 1], main[0] - main[1])
    contrast = np.array([1.0, -1.0, 0.0])
    assert apart == pytest.approx(contrast @ covariance @ contrast)


def test_deviations_are_from_the_main_estimate():
    of = Replicates(np.ones((1, 2)), np.array([2.0, 3.0]), "Jackknife(2)")
    assert of.variance(np.array([5.0, 5.0]), 4.0) == 5


def test_degrees_of_freedom_are_the_columns_or_the_records_less_one():
    of = delete_groups(np.ones(160), 80)
    assert (of.size, of.degrees) == (81, 80)
    t = of.t(0.95, np.array([0, 1, 2, 31, 81, 160]))
    np.testing.assert_allclose(t, scipy.stats.t.ppf(0.975, [1, 1, 1, 30, 80, 80]))


@pytest.mark.parametrize(
    ("weights", "rscales", "text"),
    [
        (np.ones(3), np.ones(3), r"`weights` of replicates has shape \(3,\); pass a row for"),
        (np.ones((3, 1)), np.ones(1), "at least two columns"),
        (np.ones((3, 2)), np.ones(3), r"`rscales` has shape \(3,\) for 2 columns"),
        (np.ones((3, 2)), [1, -1], r"`rscales` is negative or not finite at 1 position \(1\)"),
        ([[1, np.nan], [1, 1]], np.ones(2), r"is not finite in 1 column \('rw2'\)"),
    ],
)
def test_wrong_replicates_are_named(weights, rscales, text):
    with pytest.raises(InputError, match=text):
        Replicates(weights, rscales, "Jackknife(2)")

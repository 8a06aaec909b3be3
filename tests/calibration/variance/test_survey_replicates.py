import numpy as np
import pytest

from l0.calibration.variance.survey_replicates import survey_rscales


@pytest.mark.parametrize(
    ("method", "expected"), [("BRR", 1 / 8), ("JK1", 7 / 8), ("bootstrap", 1 / 8), ("SDR", 0.5)]
)
def test_scales_are_those_of_svrepdesign(method, expected):
    np.testing.assert_allclose(survey_rscales(method, 8), np.full(8, expected))


def test_fay_divides_by_the_square_of_what_is_moved():
    np.testing.assert_allclose(survey_rscales("Fay", 10, rho=0.3), np.full(10, 1 / (10 * 0.49)))


def test_scale_and_rscales_multiply():
    np.testing.assert_allclose(survey_rscales("JKn", 2, rscales=[0.5, 0.8]), [0.5, 0.8])
    np.testing.assert_allclose(survey_rscales("BRR", 2, scale=0.1, rscales=[1.0, 2.0]), [0.1, 0.2])

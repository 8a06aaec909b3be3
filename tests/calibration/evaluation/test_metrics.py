import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration.evaluation.metrics import (
    effective_sample_size,
    fit_metrics,
    score,
    weight_metrics,
)

positive = hnp.arrays(float, st.integers(1, 30), elements=st.floats(1e-3, 1e6))


def test_score_caps_each_error_at_one():
    error = np.array([0.5, -0.25, 40.0, -1.0])
    assert score(error, np.full(4, 0.25)) == (0.5 + 0.25 + 1 + 1) / 4
    assert score(error, np.array([1.0, 0, 0, 0])) == 0.5


def test_fit_metrics_by_hand():
    error = np.array([0.005, -0.01, 0.05, -0.1, 3.0])
    assert fit_metrics(error, np.full(5, 0.2)) == {
        "loss": pytest.approx((0.005 + 0.01 + 0.05 + 0.1 + 1) / 5),
        "median_error": 0.05,
        "max_error": 3.0,
        "within_1pct": 0.4,
        "within_10pct": 0.8,
    }


@given(weights=positive)
def test_effective_sample_size_is_kish(weights):
    size = effective_sample_size(weights)
    variation = weights.std() / weights.mean()
    assert size == pytest.approx(len(weights) / (1 + variation**2), rel=1e-6)
    assert 1 - 1e-9 <= size <= len(weights) * (1 + 1e-9)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_squares_of_weights_do_not_overflow(scale):
    assert effective_sample_size(scale * np.array([1.0, 1, 2])) == pytest.approx(16 / 6)


@given(weights=positive, scale=st.floats(1e-3, 1e3))
def test_weight_metrics_do_not_depend_on_the_scale(weights, scale):
    base = np.full(len(weights), 2.0)
    once, scaled = weight_metrics(weights, base), weight_metrics(weights * scale, base * scale)
    assert once == pytest.approx(scaled, rel=1e-9)


def test_weight_metrics_by_hand():
    weights = np.r_[np.full(200, 1.0), 50.0, 40.0, 10.0]
    got = weight_metrics(weights, np.full(203, 2.0))
    size = 300**2 / (200 + 2500 + 1600 + 100)
    assert got == {
        "effective_sample_size": pytest.approx(size),
        "design_effect": pytest.approx(203 / size),
        "max_weight_ratio": 25.0,
        "top_1pct_weight_share": pytest.approx(90 / 300),
    }


def test_the_heaviest_hundredth_is_at_least_one_record():
    assert weight_metrics(np.array([3.0, 1.0]), np.ones(2))["top_1pct_weight_share"] == 0.75

import numpy as np
import pyarrow as pa
import pytest

from l0.calibration.evaluation.comparison import comparison_table, flagged, untargeted_metrics


def test_errors_are_relative_and_a_reference_of_0_has_the_sign_alone():
    reference, estimate = np.array([4.0, -4.0, 0.0, 0.0]), np.array([5.0, -5.0, -3.0, 0.0])
    names, everyone = list("abcd"), np.ones(4, dtype=bool)
    table = comparison_table(names, names, names, reference, estimate, reference, everyone)
    np.testing.assert_allclose(table["relative_error"], [0.25, -0.25, -1.0, 0.0])
    held_out, trained = (flagged(table, {"b", "z"})[name] for name in ("held_out", "trained"))
    assert trained.to_pylist() == [False, True, False, False]
    assert held_out.to_pylist() == [True, False, True, True]


def test_metrics_are_the_median_and_the_capped_mean():
    errors = pa.table(
        {
            "relative_error": [0.1, -0.3, 5.0, 0.2, -4.0, 0.7],
            "held_out": [True, True, True, False, False, False],
            "trained": [False, False, False, True, True, False],
        }
    )
    assert untargeted_metrics(errors) == {
        "untargeted_median_error": pytest.approx(0.3),
        "untargeted_capped_error": pytest.approx(1.4 / 3),
        "represented_capped_error": pytest.approx(0.6),
    }
    assert untargeted_metrics(errors.slice(0, 3))["represented_capped_error"] is None
    assert untargeted_metrics(errors.slice(3))["untargeted_median_error"] is None
    for nothing in (None, errors.slice(0, 0)):
        assert set(untargeted_metrics(nothing).values()) == {None}

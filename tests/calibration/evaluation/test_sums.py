import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.evaluation.sums import (
    LEAST_EFFECTIVE_N,
    divided,
    effective_number,
    supported,
)


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda c: abs(c) > 1e-3), min_size=1, max_size=50))
def test_the_effective_number_is_at_most_the_number_and_equal_for_equal_parts(parts):
    c = np.array(parts)
    (found,) = effective_number(np.array([c.sum()]), np.array([(c**2).sum()]))
    assert 0 <= found <= len(c) * (1 + 1e-9)
    (even,) = effective_number(np.array([len(c) * 2.0]), np.array([len(c) * 4.0]))
    assert even == len(c)


def test_nothing_has_no_effective_number_and_no_ratio():
    assert effective_number(np.zeros(1), np.zeros(1)) == [0.0]
    np.testing.assert_array_equal(divided(np.array([1.0, 3.0]), np.array([0.0, 2.0])), [0.0, 1.5])
    assert list(supported(np.array([LEAST_EFFECTIVE_N, 99.9]))) == [True, False]

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.gates.z_scores import weighted_z_scores


@given(seed=st.integers(0, 99), size=st.floats(1e-150, 1e150), shift=st.floats(-1e3, 1e3))
@settings(deadline=None)
def test_z_scores_have_mean_0_and_deviation_1(seed, size, shift):
    generator = np.random.default_rng(seed)
    columns, weights = generator.lognormal(size=(300, 3)), generator.uniform(0.5, 2, 300)
    z = weighted_z_scores((columns + shift) * size, weights)
    np.testing.assert_allclose(weights @ z / weights.sum(), 0, atol=1e-9)
    np.testing.assert_allclose(weights @ z**2 / weights.sum(), 1, rtol=1e-9)


def test_a_constant_column_becomes_zero():
    columns = np.array([[0.1, 0, 1e300], [0.1, 0, -1e300], [0.1, 0, 1e300]])
    z = weighted_z_scores(columns, np.array([1.0, 2, 3]))
    assert not z[:, :2].any()
    assert np.isfinite(z).all()


@given(seed=st.integers(0, 99))
@settings(deadline=None)
def test_a_weight_of_two_is_two_rows(seed):
    generator = np.random.default_rng(seed)
    columns, counts = generator.normal(size=(20, 3)), generator.integers(1, 4, 20)
    weighted = weighted_z_scores(columns, counts.astype(float))
    repeated = weighted_z_scores(np.repeat(columns, counts, axis=0), np.ones(counts.sum()))
    np.testing.assert_allclose(np.repeat(weighted, counts, axis=0), repeated, atol=1e-9)

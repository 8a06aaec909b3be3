import numpy as np
import pytest

from l0.calibration.results.replicate_weights import replicates_of
from l0.common.errors import InputError
from tests.calibration.results.test_result import solve
from tests.calibration.variance.samples import delete_groups, with_replicates


@pytest.fixture(scope="module")
def result():
    return with_replicates(solve(), spoiled=["rw3"])


def test_attached_replicates_are_those_that_come_back(result):
    expected = delete_groups(result.values, 20)
    found = replicates_of(result.tables, result.run)
    np.testing.assert_array_equal(found.weights, expected.weights)
    np.testing.assert_array_equal(found.rscales, expected.rscales)
    assert (found.method, found.gap) == ("Jackknife(20)", 1e-3)
    assert result.run["replicates"]["spoiled"] == ["rw3"]
    assert result.rscales == expected.rscales.tolist()
    frame = result.replicate_weights
    assert frame.column_names == ["key", *(f"rw{column}" for column in range(1, 22))]
    assert frame.column("key") == result.weights.column("key")


def test_without_replicates_the_error_says_how_to_get_them():
    result = solve()
    for asked in (
        lambda: result.replicate_weights,
        lambda: result.rscales,
        lambda: result.estimate(result.weights),
        lambda: result.variance(np.sum),
    ):
        with pytest.raises(InputError, match="has no replicate weights, .*`replicates=80`"):
            asked()


def test_trimmed_weights_have_no_replicates(result):
    assert not [note for note in result.run["notes"] if "left out" in note]
    found = result.trim(upper=float(np.quantile(result.values, 0.8)))
    assert "replicates" not in found.tables and "replicates" not in found.run
    assert any(
        note.startswith("The replicate weights were left out") for note in found.run["notes"]
    )
    with pytest.raises(InputError, match="has no replicate weights"):
        assert found.rscales

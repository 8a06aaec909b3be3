import numpy as np
import pytest

from l0.calibration.results.replicate_weights import TRIMMED, attach, replicates_of
from l0.calibration.results.trimming import checked_limits, trimmed
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


def test_replicates_are_trimmed_as_the_weights_are(result):
    upper = float(np.quantile(result.values, 0.8))
    found = result.trim(upper=upper).trim(upper=upper)
    before, after = (replicates_of(of.tables, of.run) for of in (result, found))
    for column, new in zip(before.weights.T, after.weights.T, strict=True):
        inside = column > 0
        np.testing.assert_array_equal(new == 0, ~inside)
        np.testing.assert_allclose(
            new[inside], trimmed(column[inside], *checked_limits(None, upper, column[inside]))
        )
    assert after.method == before.method
    assert found.run["replicates"]["spoiled"] == ["rw3"]
    assert found.run["notes"].count(TRIMMED) == 1
    assert TRIMMED not in result.run["notes"]


def test_a_column_that_cannot_be_trimmed_is_named():
    result = solve()
    upper = float(result.values.max() * 0.9)
    columns = delete_groups(result.values, 3)
    with pytest.raises(InputError, match=r"column 'rw\d' of the replicate weights: `upper` is"):
        of = attach(result, columns)
        of.trim(upper=max(upper * 0.0, float(result.values.mean()) * 1.001))
    assert "replicates" not in result.trim(upper=upper).tables

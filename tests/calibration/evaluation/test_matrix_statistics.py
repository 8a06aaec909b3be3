import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.evaluation.matrix_statistics import MatrixStatistics
from l0.common.errors import InputError


def test_the_rows_of_a_matrix_are_statistics():
    matrix = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 2.0, -2.0], [0.0, 0.0, 0.0]])
    table = MatrixStatistics(matrix).compare(np.array([1.0, 2.0, 2.0]), np.array([3.0, 0.0, 1.0]))
    assert table["statistic"].to_pylist() == ["statistic 0", "statistic 1", "statistic 2"]
    np.testing.assert_allclose(table["reference"], [3.0, 0.0, 0.0])
    np.testing.assert_allclose(table["estimate"], [3.0, -2.0, 0.0])
    np.testing.assert_allclose(table["relative_error"], [0.0, -1.0, 0.0])
    np.testing.assert_allclose(table["effective_n"], [9 / 5, 0.0, 0.0])


def test_replicates_are_columns_of_weights_of_the_chosen_records():
    matrix = sp.csr_array([[1.0, 1.0, 0.0], [0.0, 2.0, -2.0]])
    columns = np.array([[1.0, 2.0], [3.0, 0.0]])
    found = MatrixStatistics(matrix).estimates(np.ones(3), np.array([0, 2]), columns)
    np.testing.assert_allclose(found, [[1.0, 2.0], [-6.0, 0.0]])


@pytest.mark.parametrize("row", [2, -1, "0", 0.5])
def test_soft_targets_are_rows_by_number(row):
    statistics = MatrixStatistics(sp.csr_array(np.ones((2, 300))))
    with pytest.raises(InputError, match="from 0 to 1"):
        statistics.soft_targets(np.ones(300), [row], 10)
    found = statistics.soft_targets(np.ones(300), [1, 1], 10)
    assert found.names == ["statistic 1"]
    assert statistics.soft_targets(np.ones(300), [], 10) is None

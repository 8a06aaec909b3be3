"""What the checks of arrays leave alone; their errors are tested where the arguments are."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from l0.common.checks import checked_device, checked_matrix, checked_vector
from l0.common.errors import InputError


def test_a_matrix_is_made_canonical_without_changing_what_came_in():
    twice = sp.csr_array((np.array([1.0, 2.0, 4.0]), [1, 1, 0], [0, 3]), shape=(1, 2))
    matrix = checked_matrix(twice, "A")
    assert matrix.has_canonical_format
    np.testing.assert_array_equal(matrix.toarray(), [[4, 3]])
    assert twice.nnz == 3


@pytest.mark.parametrize(("given", "kept"), [(np.float32, np.float32), (np.int8, np.float64)])
def test_single_precision_stays(given, kept):
    assert checked_matrix(np.eye(2, dtype=given), "A").dtype == kept


def test_a_vector_is_float64_whatever_comes():
    for source in ([1, 2], np.array([1, 2], np.int8), torch.tensor([1.0, 2.0])):
        vector = checked_vector(source, 2, "y", "rows of `A`")
        assert vector.dtype == np.float64
        assert vector.tolist() == [1, 2]
    with pytest.raises(InputError, match="`y` must be numbers; cast them"):
        checked_vector(["a", "b"], 2, "y", "rows of `A`")


def test_no_device_is_the_best_there_is():
    assert checked_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert checked_device("cpu") == torch.device("cpu")

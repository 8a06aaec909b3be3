r"""How much of the weights the targets decide: the mean leverage of the records in a fit.

Near the solution, a fit is a regression of the records on their targets. With the second
derivatives S of the distance, and the rows B of the targets that the fit meets, its hat matrix is

.. math::
    H = S^{-1/2} B' (B S^{-1} B')^{-1} B S^{-1/2},

and the mean of its diagonal, the leverage of a record, is the number of these targets over that of
the records, if none follows from the others. A target that gives way pulls with a constant force
whatever the weights, and adds nothing.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.normal_matrix import NormalMatrix

#: Random signs whose mean square length in the space of the targets is the mean leverage
#: (Hutchinson 1990, Communications in Statistics - Simulation and Computation 19(2)).
PROBES = 8
#: What stands on the diagonal for a target that is met, and for one that gives way, as a share of
#: what the records do to it.
MET, GIVEN_WAY = 1e-6, 1e6


def mean_leverage(
    normal: NormalMatrix, matrix: sp.csr_array, s: Array, met: NDArray[np.bool_]
) -> float:
    """Estimate the mean leverage of the records, from 0 to 1.

    Parameters
    ----------
    normal : NormalMatrix
        Of the matrix.
    matrix : scipy.sparse.csr_array of float64, shape (m, k)
        B.
    s : ndarray of float64, shape (k,)
        The diagonal of S.
    met : ndarray of bool, shape (m,)
        The targets that are met.

    Examples
    --------
    A hundred targets of two records each:

    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from l0.calibration.fitting.leverage import mean_leverage
    >>> from l0.calibration.fitting.normal_matrix import DenseNormalMatrix
    >>> from l0.calibration.fitting.scaled_matrix import ScaledMatrix
    >>> matrix = sp.csr_array(np.kron(np.eye(100), [[1.0, 1.0]]))
    >>> normal = DenseNormalMatrix(ScaledMatrix.of(matrix))
    >>> round(mean_leverage(normal, matrix, np.ones(200), np.full(100, True)), 1)
    0.5
    """
    k = len(s)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (k, PROBES))
    moved = np.asarray(matrix.multiply(matrix) @ (1 / s)).ravel()
    solve = normal.factor(1 / s, np.where(met, MET, GIVEN_WAY) * np.where(moved > 0, moved, 1.0))
    right = matrix @ (signs / np.sqrt(s)[:, None])
    found = float((right * solve(right)).sum()) / (k * PROBES)
    return min(max(found, 0.0), 1.0)

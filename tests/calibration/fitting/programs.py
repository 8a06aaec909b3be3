"""Small programs, made from a seed."""

import numpy as np
import scipy.sparse as sp

from l0.calibration.fitting.distances import Linear, Logit, Raking
from l0.calibration.fitting.program import Program
from l0.calibration.fitting.scaled_matrix import ScaledMatrix


def program(
    seed=0,
    m=4,
    k=30,
    distance="raking",
    bounds=None,
    tolerance=0.0,
    squared=False,
    pull=0.01,
    move=0.3,
    **changes,
):
    """Make a program whose targets known ratios meet, unless `changes` says otherwise.

    The ratios are within 20% of the bounds, and the rows are counts and amounts with both signs.
    """
    rng = np.random.default_rng(seed)
    truth = np.exp(rng.normal(0, move, k))
    least, most = (0.0 if distance != "linear" else -np.inf), np.inf
    if bounds is not None:
        least, most = bounds
        truth = np.clip(truth, 1.2 * least, 0.8 * most)
    least, most = np.full(k, least), np.full(k, most)
    matrix = rng.uniform(0, 1, (m, k)) * (rng.random((m, k)) < 0.5)
    matrix[m // 2] = rng.normal(0, 1, k)
    matrix[:, 0] = 1.0
    value = matrix @ truth
    scale = np.maximum(np.abs(value), 1e-12)
    logit = Logit(least, most, np.ones(k)) if distance == "logit" else None
    parts = {
        "matrix": ScaledMatrix.of(sp.csr_array(matrix / scale[:, None])),
        "low": value / scale - tolerance,
        "high": value / scale + tolerance,
        "share": np.full(m, 1 / m),
        "squared": squared,
        "cost": pull * rng.dirichlet(np.full(k, 5.0)),
        "distance": {"raking": Raking(), "linear": Linear(), "logit": logit}[distance],
        "least": least,
        "most": most,
    }
    return Program(**{**parts, **changes})

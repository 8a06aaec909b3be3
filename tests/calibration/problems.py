"""Small calibration problems that tests share, made from a seed."""

import numpy as np
import scipy.sparse as sp

from l0.calibration import CalibrationProblem
from l0.calibration.fitting.history import Recorder
from l0.calibration.fitting.objective import Task
from l0.calibration.problem.bounds import Bounds
from l0.calibration.problem.losses import get_loss


def parts(n=300, m=20, seed=0, density=0.2, kept=None):
    """Give the arguments of `from_matrix`: a sparse non-negative A, and totals that can be hit.

    The totals are those of a known weighting: design weights times a log-normal factor, or, with
    `kept`, larger weights on so many records and none on the others.
    """
    rng = np.random.default_rng(seed)
    A = sp.random_array((m, n), density=density, random_state=rng, format="csr")
    weights = rng.uniform(50, 150, n)
    truth = weights * rng.lognormal(0, 0.3, n)
    if kept is not None:
        truth[rng.permutation(n)[kept:]] = 0
        truth *= n / kept
    return {
        "A": A,
        "values": A @ truth,
        "weights": weights,
        "names": [f"t{row:03}" for row in range(m)],
        "keys": np.arange(n) + 1000,
    }


def problem(**options):
    return CalibrationProblem.from_matrix(**parts(**options))


def task(of, *, loss="capped", bounds=None, epochs=100, seed=0, reachable=None, listener=None):
    """Set up a fit of a problem, as `solve` does."""
    return Task(
        of,
        loss=get_loss(loss),
        bounds=Bounds.parse(bounds),
        dense_bounds=Bounds(),
        epochs=epochs,
        reachable=np.ones(of.n_targets, dtype=bool) if reachable is None else reachable,
        generator=np.random.default_rng(seed),
        device="cpu",
        recorder=Recorder(of, listener),
    )


def weights_by_key(result):
    """Chosen records and their weights, as a dict."""
    table = result.tables["weights"]
    return dict(zip(table.column(0).to_pylist(), table.column("weight").to_pylist(), strict=True))

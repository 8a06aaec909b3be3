"""Small calibration problems that tests share, made from a seed."""

import numpy as np
import scipy.sparse as sp
import torch

from l0.calibration import CalibrationProblem
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.history import History
from l0.calibration.fitting.objective import Objective
from l0.calibration.problem.limits import read_bounds
from l0.calibration.problem.losses import get_loss
from l0.calibration.solve import with_reference
from l0.calibration.solver_settings import Solver


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


def contradicting(**options):
    """Give a problem that asks for another value of half of its targets a second time."""
    given = parts(**options)
    half = len(given["values"]) // 2
    A = sp.vstack([given["A"], given["A"][:half]], format="csr")
    factors = np.r_[np.ones(len(given["values"])), np.linspace(0.3, 2, half)]
    values = np.r_[given["values"], given["values"][:half]] * factors
    return CalibrationProblem.from_matrix(A, values, given["weights"])


def contradicting_parts(**options):
    """Give the arguments of `from_matrix`: the last half of the targets contradicts the first."""
    given = parts(**options)
    half = len(given["values"]) // 2
    A = sp.vstack([given["A"][:half]] * 2, format="csr")
    values = np.tile(given["values"][:half], 2) * np.r_[np.ones(half), np.linspace(0.3, 2, half)]
    return given | {"A": A, "values": values}


def context(
    of,
    *,
    loss="capped",
    bounds=None,
    weight_bounds=None,
    epochs=100,
    seed=0,
    reachable=None,
    listener=None,
    full_file=False,
    candidates=None,
    gap=1e-3,
    **options,
):
    """Set up a fit of a problem, as `solve` does; with `full_file` all records are fitted first.

    `options` are those of `Objective`: distance, keep_total, exact and signed.
    """
    objective = Objective(
        of,
        torch.device("cpu"),
        get_loss(loss),
        read_bounds(of, bounds, weight_bounds),
        np.ones(of.n_targets, dtype=bool) if reachable is None else reachable,
        **options,
    )
    made = FitContext(
        objective,
        Solver(gap=gap),
        epochs,
        np.random.default_rng(seed),
        History(of, listener),
        np.arange(of.n_records) if candidates is None else candidates,
    )
    return with_reference(made, 1)[0] if full_file else made


def weights_by_key(result):
    """Chosen records and their weights, as a dict."""
    table = result.tables["weights"]
    return dict(zip(table.column(0).to_pylist(), table.column("weight").to_pylist(), strict=True))

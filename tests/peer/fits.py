"""Fits of SparseCalibrationWeights by whichever `l0` is imported: ``python fits.py FILE``."""

import sys

import numpy as np
import scipy.sparse as sp
import torch

from l0 import SparseCalibrationWeights

N_TARGETS, N_RECORDS = 12, 150
GROUPS = np.repeat([0, 1, 2], [1, 4, 7])

#: Options of `fit`.
CASES = {
    "mse": {"lr": 0.02},
    "relative": {"loss_type": "relative"},
    "l2": {"loss_type": "relative", "lambda_l2": 1e-2},
    "groups": {"loss_type": "relative", "target_groups": GROUPS},
    "groups as they are": {
        "loss_type": "relative",
        "target_groups": GROUPS,
        "normalize_groups": False,
    },
    "multipliers": {
        "loss_type": "relative",
        "target_groups": GROUPS,
        "group_multipliers": {1: 4.0, 2: 0.0},
    },
}
#: Strengths of the penalty on the number of records, and how often each is fitted.
LAMBDAS, SEEDS = (1e-2, 3e-2), range(5)


def job():
    """Totals that some weights meet, so large that 0.6.2's relative error is relative to them."""
    rng = np.random.default_rng(0)
    matrix = sp.random(N_TARGETS, N_RECORDS, density=0.4, random_state=rng, format="csr")
    matrix.data *= 1e5
    truth = rng.lognormal(0, 0.5, N_RECORDS) * (rng.random(N_RECORDS) < 0.4)
    # No weights meet all of the last: how much each target counts can be seen.
    return matrix, (matrix @ truth) * rng.lognormal(0, 0.2, N_TARGETS)


def dense():
    """Fit without gates, where nothing is drawn: the weights of each case after 60 epochs."""
    weights = {}
    for case, options in CASES.items():
        model = SparseCalibrationWeights(N_RECORDS, use_gates=False, init_weights=0.5)
        model.fit(*job(), epochs=60, **options)
        weights[case] = model.get_weights(deterministic=True).detach()
    return weights


def sparse():
    """Fit with gates: number of records kept and relative error, by strength and seed."""
    matrix, y = job()
    kept, error = torch.zeros(len(LAMBDAS), len(SEEDS)), torch.zeros(len(LAMBDAS), len(SEEDS))
    for row, strength in enumerate(LAMBDAS):
        for column, seed in enumerate(SEEDS):
            torch.manual_seed(seed)  # where 0.6.2 draws its gates from
            model = SparseCalibrationWeights(N_RECORDS, init_keep_prob=0.9, seed=seed)
            model.fit(matrix, y, strength, lr=0.05, epochs=400, loss_type="relative")
            kept[row, column] = model.get_active_weights()["count"]
            error[row, column] = np.abs(model.predict(matrix).numpy() / y - 1).mean()
    return {"kept": kept, "error": error}


if __name__ == "__main__":
    torch.save({"dense": dense(), "sparse": sparse()}, sys.argv[1])

"""One job of microcalibrate: ``python -P microcalibrate_job.py SEED THREADS``, printed as JSON.

Runs in an environment of its own, with `l0` being whichever package comes first on the path.
"""

from __future__ import annotations

import json
import logging
import sys
import time

import numpy as np
import pandas as pd
import torch
from microcalibrate import Calibration

import l0

N_RECORDS, N_TARGETS, EPOCHS = 20_000, 100, 500
#: Steps of the gates alone that are timed.
STEPS = 300


def made_up() -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Give weights, a matrix of amounts (a quarter of them not 0), and totals off by a fifth."""
    generator = np.random.default_rng(0)
    weights = generator.uniform(50, 150, N_RECORDS)
    amounts = generator.lognormal(0, 1, (N_RECORDS, N_TARGETS))
    amounts *= generator.random(amounts.shape) < 0.25
    targets = weights @ amounts * generator.lognormal(0, 0.2, N_TARGETS)
    return weights, pd.DataFrame(amounts).add_prefix("t"), targets


def calibrate(seed: int) -> dict[str, float]:
    """Calibrate with and without gates, as microcalibrate does in one go, and rate both."""
    weights, matrix, targets = made_up()
    calibration = Calibration(
        weights, targets, estimate_matrix=matrix, epochs=EPOCHS, regularize_with_l0=True, seed=seed
    )
    started = time.perf_counter()
    calibration.calibrate()
    seconds = time.perf_counter() - started

    def error(fitted: np.ndarray) -> float:
        return float(100 * np.abs(fitted @ matrix.to_numpy() / targets - 1).mean())

    return {
        "dense error, %": error(calibration.weights),
        "sparse error, %": error(calibration.sparse_weights),
        "records kept": int((calibration.sparse_weights > 0).sum()),
        "seconds": seconds,
    }


def gates_alone() -> float:
    """Milliseconds of one sample, its penalty, and the gradient of both."""
    gates = l0.HardConcrete(N_RECORDS, init_mean=0.999, temperature=0.5)
    times = []
    for _ in range(STEPS):
        started = time.perf_counter()
        (gates().sum() + gates.get_penalty()).backward()
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times))


if __name__ == "__main__":
    logging.disable()  # it says of every target how far off it starts
    torch.set_num_threads(int(sys.argv[2]))
    print(json.dumps({**calibrate(int(sys.argv[1])), "gates alone, ms": gates_alone()}))

"""One fit of `SparseCalibrationWeights`, as JSON.

``python epoch.py FILE EPOCHS SEED THREADS`` fits on the CPU, with ``DEVICE`` after these elsewhere.

Runs unchanged in two environments: ours, and one where the package `l0` is l0-python 0.6.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
import torch
from surface_data import Surface, load

#: Penalty and learning rate with which a fit of the surface closes gates and still hits.
OPTIONS = {"loss_type": "relative", "lambda_l0": 0.02, "lr": 0.1}


def fit(surface: Surface, epochs: int, seed: int, device: str = "cpu") -> dict[str, float]:
    """Fit, and say what an epoch cost, what was held at most, and what came out."""
    from l0 import SparseCalibrationWeights

    matrix, values, weights = surface
    cuda = device.startswith("cuda")
    if cuda:  # the first kernels of a process take seconds to load
        SparseCalibrationWeights(n_features=len(weights), device=device).fit(
            matrix, values, epochs=2, **OPTIONS
        )
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = SparseCalibrationWeights(
        n_features=len(weights),
        init_weights=weights,
        init_keep_prob=0.9,
        device=device,
        seed=seed,
    )
    model.predict(matrix)  # lays the matrix out, which no epoch should be charged for
    torch.manual_seed(seed)  # 0.6 draws its gates from the global generator
    if cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    model.fit(matrix, values, epochs=epochs, **OPTIONS)
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    estimates = matrix @ model.get_weights(deterministic=True).detach().cpu().double().numpy()
    error = (estimates - values) / np.maximum(np.abs(values), 1)
    return {
        "seconds": seconds / epochs,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        **({"device_gigabytes": torch.cuda.max_memory_allocated() / 1e9} if cuda else {}),
        # What both fits minimise: squared errors, summed, and the expected number of records.
        "loss": float(error @ error + OPTIONS["lambda_l0"] * model.get_l0_penalty().item()),
        "mean_error": float(np.minimum(np.abs(error), 1).mean()),
        "records": model.get_active_weights()["count"],
    }


if __name__ == "__main__":
    epochs, seed, threads = map(int, sys.argv[2:5])
    torch.set_num_threads(threads)
    print(json.dumps(fit(load(sys.argv[1]), epochs, seed, *sys.argv[5:])))

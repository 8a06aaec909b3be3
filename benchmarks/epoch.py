"""Seconds of one epoch: ``python epoch.py FILE THREADS ours|peer``, printed as JSON.

Runs in two environments: ours, and one where the package `l0` is l0-python 0.6.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import torch
from surface_data import Surface, load

#: Epochs whose difference is timed in the peer, whose epochs take long.
FEW, MORE = 1, 4
#: Epochs that a fit of ours runs for.
EPOCHS = 80


def peer(surface: Surface) -> dict[str, float]:
    """Time l0-python's own fit, by the difference of two numbers of epochs."""
    from l0.calibration import SparseCalibrationWeights

    matrix, values, weights = surface
    model = SparseCalibrationWeights(n_features=len(weights), init_weights=weights, seed=0)
    seconds = []
    for epochs in (1, FEW, MORE):  # the first converts the matrix, which the model then keeps
        started = time.perf_counter()
        model.fit(matrix, values, loss_type="relative", epochs=epochs)
        seconds.append(time.perf_counter() - started)
    return {"l0-python 0.6": (seconds[2] - seconds[1]) / (MORE - FEW)}


def ours(surface: Surface) -> dict[str, float]:
    """Time three fits of ours, from snapshots that lie a known number of epochs apart.

    ``hard_concrete`` does what an epoch of l0-python does: sample a gate a record, multiply, add
    the penalty on the expected count, differentiate, step Adam over weights and gates.
    ``path`` is its first steps, before any record has left.
    """
    from l0.calibration import CalibrationProblem

    problem = CalibrationProblem.from_matrix(*surface)
    keep = problem.n_records // 6
    gates = problem.solve(keep, "hard_concrete", epochs=EPOCHS // 2).history.to_pylist()
    path = problem.solve(keep, "path", epochs=EPOCHS).history.to_pylist()
    dense = problem.solve(epochs=EPOCHS).history.to_pylist()
    return {
        "hard_concrete": _pace([row for row in gates if row["stage"] == "select"]),
        "path": _pace([row for row in path if row["stage"] == "select"][:4]),
        "dense": _pace(dense),
    }


def _pace(history: list[dict[str, Any]]) -> float:
    """Median seconds an epoch, from snapshot to snapshot."""
    return statistics.median(
        (later["seconds"] - row["seconds"]) / (later["epoch"] - row["epoch"])
        for row, later in zip(history, history[1:], strict=False)
    )


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    print(json.dumps({"ours": ours, "peer": peer}[sys.argv[3]](load(sys.argv[1]))))

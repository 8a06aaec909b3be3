"""One rank of a run: ``python ranks_job.py PROBLEM KEEP METHOD FILE``.

It is started alone or by torchrun. Rank 0 writes the records and their weights to FILE, and prints
its seconds as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np
import torch.distributed as dist

from l0.calibration import CalibrationProblem


def main(path: str, keep: str, method: str, file: str) -> None:
    """Solve a problem from disk, on as many ranks as there are."""
    several = "RANK" in os.environ
    if several:
        dist.init_process_group("gloo")
    problem = CalibrationProblem.load(path)
    started, cpu = time.perf_counter(), time.process_time()
    result = problem.solve(int(keep), method=method, distributed=several)
    row = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "loss": result.metrics["loss"],
    }
    if not several or dist.get_rank() == 0:
        np.savez(file, indices=result.indices, values=np.asarray(result.values))
        print(json.dumps(row), flush=True)
    if several:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])

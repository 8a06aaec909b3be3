"""One rank of a run: ``python ranks_job.py PROBLEM KEEP METHOD FILE``.

It is started alone or by torchrun. Rank 0 writes the records and their weights to FILE, and prints
its seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from l0.calibration import CalibrationProblem
from l0.cli.ranks import are_several, process_group


def main(path: str, keep: str, method: str, file: str) -> None:
    """Solve a problem from disk, on as many ranks as there are."""
    with process_group() as rank:
        problem = CalibrationProblem.load(path)
        started, cpu = time.perf_counter(), time.process_time()
        result = problem.solve(int(keep), method=method, distributed=are_several())
        row = {
            "seconds": time.perf_counter() - started,
            "cpu": time.process_time() - cpu,
            "loss": result.metrics["loss"],
        }
        if rank == 0:
            np.savez(file, indices=result.indices, values=np.asarray(result.values))
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One run of a surface on disk, as JSON.

``python scaling_job.py compile FILE PROBLEM`` makes the problem of a surface, and
``python scaling_job.py solve PROBLEM KEEP METHOD`` solves it. If torchrun starts several of the
latter, they solve it together, and rank 0 says what it took.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

from surface_data import load

from l0.calibration import CalibrationProblem
from l0.calibration.fitting.program import Program
from l0.cli.ranks import are_several, process_group
from l0.common import csr_tensors

#: A peak of memory is looked for at this interval, in seconds.
INTERVAL = 0.02


class Reads:
    """Counts how many entries of matrices products read, in either direction."""

    def __init__(self) -> None:
        self.entries = 0
        of_tensor = csr_tensors.times

        def times(matrix: Any, x: Any) -> Any:
            self.entries += matrix.values().numel()
            return of_tensor(matrix, x)

        csr_tensors.times = times
        for name in ("times", "back"):
            setattr(Program, name, self._counted(getattr(Program, name)))

    def _counted(self, product: Any) -> Any:
        def counted(program: Program, vector: Any) -> Any:
            self.entries += program.matrix.nnz
            return product(program, vector)

        return counted


class Memory:
    """The largest memory of the process while a block runs, without files that are mapped, in GB.

    The system can take the memory of a mapped file for something else. On systems other than Linux
    the two are not told apart.
    """

    def __enter__(self) -> Memory:
        self.peak, self._done = 0.0, threading.Event()
        self._before = _own_memory()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._done.wait(INTERVAL):
            self.peak = max(self.peak, _own_memory() - self._before)


def _own_memory() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    found = re.search(r"RssAnon:\s+(\d+)", status.read_text())
    assert found
    return int(found[1]) * 1024 / 1e9


def compiled(surface: str, path: str) -> dict[str, Any]:
    """Make and save the problem of a surface."""
    started = time.process_time()
    problem = CalibrationProblem.from_matrix(*load(surface))
    problem.save(path)
    return {"seconds": time.process_time() - started}


def solved(path: str, keep: int, method: str) -> dict[str, Any]:
    """Solve a problem, and say what it took."""
    problem = CalibrationProblem.load(path)
    problem.solve(min(10, keep), "random", represent=False, epochs=1)  # all modules are loaded
    reads = Reads()
    with Memory() as memory:
        started, wall = time.process_time(), time.perf_counter()
        result = problem.solve(keep, method, distributed=are_several())
        seconds, wall = time.process_time() - started, time.perf_counter() - wall
    stages: dict[str, float] = {}
    before = 0.0
    for row in result.history.to_pylist():
        stages[row["stage"]] = stages.get(row["stage"], 0.0) + row["seconds"] - before
        before = row["seconds"]
    entries = problem.matrix.nnz
    return {
        "records": problem.n_records,
        "targets": problem.n_targets,
        "entries": entries,
        "seconds": seconds,
        "wall": wall,
        "passes": reads.entries / entries,
        "memory": memory.peak,
        # An entry is a float32 and an int32 once each way.
        "times_compiled": memory.peak * 1e9 / (16 * entries),
        "loss": result.metrics["loss"],
        "stages": stages,
    }


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what == "compile":
        print(json.dumps(compiled(*given)))
    else:
        with process_group() as rank:
            row = solved(given[0], int(given[1]), given[2])
            if rank == 0:
                print(json.dumps(row))

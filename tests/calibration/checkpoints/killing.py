"""Run a calibration that keeps a checkpoint, kill it at random moments, and resume it each time.

It is run as a process of its own: ``python -m tests.calibration.checkpoints.killing KILLS SEED``.
Each attempt is a child that this process forks, so that packages are imported only once. It prints,
as JSON, how many attempts were killed, how many runs came to their end, and the names of the parts
in which these differ from an undisturbed run.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from l0.calibration.checkpoints import stages
from tests.calibration import problems


def attempt(folder, out, **options):
    """Run a calibration in a child, which writes what it found; return its process id."""
    child = os.fork()
    if child:
        return child
    stages.EVERY = stages.PATIENCE = 0.0  # a state after each step of a loop
    try:
        problem = problems.problem(n=800, m=15, seed=3)
        result = problem.solve(
            60, epochs=40, replicates=6, integer_weights=True, checkpoint=folder, **options
        )
        log = result.tables["calibration_log"]
        found = {
            "indices": result.indices,
            "values": result.values,
            "replicates": np.asarray(result.tables["replicates"].to_pandas()),
            "loss": result.metrics["loss"],
            "history": np.asarray(result.tables["history"].drop_columns("seconds").to_pandas()),
            "log": np.stack([log.column(name).to_numpy() for name in ("estimate", "epoch")]),
            "notes": np.array(result.run["notes"]),
        }
        np.savez(f"{out}-draft.npz", **{name: np.asarray(part) for name, part in found.items()})
        os.replace(f"{out}-draft.npz", out)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def ended(child, within=None):
    """Wait for a child, and kill it after so many seconds. Tell whether it came to its end."""
    deadline = np.inf if within is None else time.perf_counter() + within
    while time.perf_counter() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def differing(first, second):
    one, other = (np.load(path, allow_pickle=True) for path in (first, second))
    return [name for name in one if not same(one[name], other[name])]


def same(one, other):
    if one.dtype == object:
        return one.shape == other.shape and repr(one.tolist()) == repr(other.tolist())
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


def main(n_kills, seed):
    chance = random.Random(seed)
    kills, runs, different = 0, 0, set()
    with TemporaryDirectory() as scratch:
        undisturbed = Path(scratch, "undisturbed.npz")
        started = time.perf_counter()
        assert ended(attempt(None, undisturbed))
        duration = time.perf_counter() - started
        while kills < n_kills:
            out = Path(scratch, f"run{runs}.npz")
            longest = duration
            while not ended(
                attempt(Path(scratch, f"folder{runs}"), out, resume=True),
                chance.uniform(0, longest) if kills < n_kills else None,
            ):
                kills += 1
            runs += 1
            different |= set(differing(undisturbed, out))
    print(json.dumps({"kills": kills, "runs": runs, "different": sorted(different)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

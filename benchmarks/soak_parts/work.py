"""Tries in a process of their own, which may crash or hang: then the next one goes on."""

from __future__ import annotations

import importlib
import json
import resource
import selectors
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path

from l0.common.errors import InputError
from soak_parts.tally import Tally

#: Seconds after which a try hangs, and the memory that a try may ask for, bytes.
HANGS, MEMORY = 120.0, 12 << 30


def run_tries(part: str, scratch: Path, seconds: float, seed: int) -> Tally:
    """Run the tries of a part, one seed after the other, until the time is up.

    A part is a module here with `WHAT`, which says what is tried, and `attempt(seed, folder)`. An
    attempt may raise an `InputError`, or an `OSError` that is not one of another library's own.
    """
    module = importlib.import_module(f"soak_parts.{part}")
    tally, end = Tally(module.WHAT), time.perf_counter() + seconds
    while time.perf_counter() < end:
        worker = subprocess.Popen(
            [sys.executable, "-m", "soak_parts.work", part, str(seed), str(scratch)],
            cwd=Path(__file__).resolve().parents[1], stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        seed = _follow(worker, tally, seed, end)
        worker.kill()
        worker.communicate()
    tally.note = f"the next seed is {seed}"
    return tally


def _follow(worker: subprocess.Popen[str], tally: Tally, seed: int, end: float) -> int:
    """Read what a worker says until the time is up or it is gone; give the next seed."""
    assert worker.stdout is not None
    wait = selectors.DefaultSelector()
    wait.register(worker.stdout, selectors.EVENT_READ)
    while time.perf_counter() < end:
        if not wait.select(HANGS):
            tally.faults.append(f"seed {seed}: it hangs")
            return seed + 1
        line = worker.stdout.readline()
        if not line:
            tally.faults.append(f"seed {seed}: the process ended with {worker.wait()}")
            return seed + 1
        said = json.loads(line)
        tally.tries += 1
        tally.refused += said["ended"] == "refused"
        if said["ended"] == "fault":
            tally.faults.append(f"seed {said['seed']}: {said['text']}")
        seed = said["seed"] + 1
    return seed


def work(part: str, seed: int, scratch: Path) -> None:
    """Try one seed after the other, and write a line of JSON for each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    attempt = importlib.import_module(f"soak_parts.{part}").attempt
    while True:
        ended, text = "ok", ""
        try:
            attempt(seed, scratch)
        except InputError:
            ended = "refused"
        except Exception as error:
            ended = "fault"
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}"
        print(json.dumps({"seed": seed, "ended": ended, "text": text[:400]}), flush=True)
        seed += 1


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

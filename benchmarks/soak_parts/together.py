"""Two runs at once: two processes that write one folder, and two threads of one process."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import l0
from soak_parts import survey
from soak_parts.tally import Tally


def run(scratch: Path, seconds: float, seed: int) -> list[Tally]:
    """Give each kind half of the time."""
    return [_processes(scratch, seconds / 2), _threads(seconds / 2, seed)]


def _processes(scratch: Path, seconds: float) -> Tally:
    end, tally = time.perf_counter() + seconds, Tally("two runs that write one folder")
    survey.write(scratch)
    out, keeps = scratch / "out", (survey.KEEP, survey.KEEP // 2)
    whole = set()
    for keep in keeps:
        survey.start(scratch, scratch / str(keep), keep=keep).communicate()
        whole.add(survey.digest(scratch / str(keep)))
    while time.perf_counter() < end:
        pair = [survey.start(scratch, out, keep=keep) for keep in keeps]
        complaints = [process.communicate(timeout=300)[1] for process in pair]
        tally.tries += 1
        for process, said in zip(pair, complaints, strict=True):
            if process.returncode == 2 and len(said.splitlines()) == 1:
                tally.refused += 1
            elif process.returncode:
                tally.faults.append(f"exit status {process.returncode}: {said[-300:]}")
        try:
            if survey.digest(out) not in whole:
                tally.faults.append("the folder has the weights of neither run")
        except Exception as error:  # whatever it is, the folder is not whole
            tally.faults.append(repr(error))
    return tally


def _threads(seconds: float, seed: int) -> Tally:
    end, tally = time.perf_counter() + seconds, Tally("two threads in one process")
    surveys = [survey.make(1_000, seed + place) for place in range(2)]

    def solve(place: int) -> bytes:
        result = l0.calibrate(*surveys[place], n_records=100, key="id", weight="weight", seed=place)
        return result.values.tobytes()

    alone = [solve(0), solve(1)]
    with ThreadPoolExecutor(2) as pool:
        while time.perf_counter() < end:
            tally.tries += 1
            if list(pool.map(solve, range(2))) != alone:
                tally.faults.append("other weights than one after the other")
    return tally

"""Memory over many calls."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import l0
from soak_parts import survey
from soak_parts.tally import Tally

#: The calls after which memory is read for the first time, and all of them.
FIRST, CALLS = 50, 200
#: How much more memory may be in use at the end, MB.
LIMIT = 10.0


def run(scratch: Path, seconds: float, seed: int) -> list[Tally]:
    """Calibrate, write and read a result again and again; the time does not shorten it."""
    tally = Tally(f"memory over {CALLS} calls")
    records, targets = survey.make(1_000, seed)
    for call in range(CALLS):
        result = l0.calibrate(records, targets, n_records=100, key="id", weight="weight", seed=call)
        result.save(scratch / "result")
        l0.CalibrationResult.load(scratch / "result")
        tally.tries += 1
        if call + 1 == FIRST:
            first = _resident()
    grown = _resident() - first
    tally.note = f"{first:,.0f} MB after {FIRST} calls, and {grown:+,.1f} MB after {CALLS}"
    if grown > LIMIT:
        tally.faults.append(f"memory grew by {grown:,.1f} MB")
    return [tally]


def _resident() -> float:
    """Read the memory of this process in MB, without what is free but not given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6

"""Hours of what goes wrong: killed runs, full disks, damaged files, strange input, many calls.

``python benchmarks/soak.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

# A survey of a soak is small: more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from soak_parts import disks, kills, memory, together
from soak_parts.tally import Tally, table
from soak_parts.work import run_tries

#: The parts, each with its share of the time.
SHARES = {
    "kills": 0.25, "disks": 0.10, "together": 0.10, "memory": 0.05, "damage": 0.2, "strange": 0.3,
}  # fmt: skip
PARTS = {
    "kills": kills.run, "disks": disks.run, "together": together.run, "memory": memory.run,
}  # fmt: skip


def main() -> int:
    """Run the parts for the time that was asked for, and fail where there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--parts", nargs="+", choices=SHARES, default=list(SHARES))
    parser.add_argument("--seed", type=int, default=0, help="of the first try; others follow")
    options = parser.parse_args()
    started, tallies = perf_counter(), list[Tally]()
    end = started + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="l0-soak-") as folder:
        for place, part in enumerate(options.parts):
            # What one part leaves of its time, the later ones share.
            left = sum(SHARES[other] for other in options.parts[place:])
            seconds = max(1.0, (end - perf_counter()) * SHARES[part] / left)
            scratch = Path(folder) / part
            scratch.mkdir()
            if part in PARTS:
                found = PARTS[part](scratch, seconds, options.seed)
            else:
                found = [run_tries(part, scratch, seconds, options.seed)]
            tallies += found
            for tally in found:
                print(tally.line(), flush=True)
    print(f"\n{table(tallies)}\n\n{(perf_counter() - started) / 60:.1f} minutes")
    faults = [f"{tally.what}: {fault}" for tally in tallies for fault in tally.faults]
    print("\n".join(faults) or "no fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

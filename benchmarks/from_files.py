"""Memory and time of a problem from parquet files: `from_files` beside `from_frames`, and `load`.

``python benchmarks/from_files.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from scaling_job import Memory

from l0.calibration import CalibrationProblem

HERE = Path(__file__).resolve()
N_STATES, N_AMOUNTS, TARGETED, N_MEMBER_AMOUNTS = 51, 40, 6, 10
WAYS = ("from_frames", "from_files", "load")


def make(folder: Path, n_records: int) -> None:
    """Write records with 40 amounts, two persons in each, and targets by state and by age."""
    generator = np.random.default_rng(0)
    keys, weights = generator.permutation(n_records), generator.uniform(50, 150, n_records)
    state = generator.integers(0, N_STATES, n_records).astype(np.int16)
    records: dict[str, Any] = {"id": keys, "w": weights, "state": state}
    records["band"] = np.array(["low", "mid", "high"])[generator.integers(0, 3, n_records)]
    targets = [("", "count", np.bincount(state, weights))]
    for place in range(N_AMOUNTS):
        name, amount = f"x{place}", generator.lognormal(8, 1, n_records).round(1)
        records[name] = amount
        if place < TARGETED:
            targets.append(("", name, np.bincount(state, weights * amount)))
    pa.parquet.write_table(pa.table(records), folder / "records.parquet", row_group_size=100_000)
    of = generator.integers(0, n_records, 2 * n_records)
    age = generator.integers(0, 3, len(of))
    persons: dict[str, Any] = {"id": keys[of], "age": np.array(["0-17", "18-64", "65+"])[age]}
    for place in range(N_MEMBER_AMOUNTS):
        persons[f"e{place}"] = generator.lognormal(8, 1, len(of)).round(1)
    pa.parquet.write_table(pa.table(persons), folder / "persons.parquet", row_group_size=100_000)
    rows = [
        {"entity": entity, "variable": name, "state": str(place), "value": 1.03 * total}
        for entity, name, totals in targets
        for place, total in enumerate(totals.tolist())
    ]
    for place, total in enumerate(np.bincount(age, weights[of]).tolist()):
        label = ("0-17", "18-64", "65+")[place]
        rows.append({"entity": "person", "variable": "count", "age": label, "value": total})
    names = ("entity", "variable", "state", "age", "value")
    columns = {name: [row.get(name) for row in rows] for name in names}
    pa.parquet.write_table(pa.table(columns), folder / "targets.parquet")


def job(way: str, folder: Path) -> dict[str, float]:
    """Get the problem in one way, in this process."""
    inputs = folder / "records.parquet", folder / "targets.parquet"
    options: Any = {"key": "id", "weight": "w", "members": {"person": folder / "persons.parquet"}}
    with Memory() as memory:
        started = time.process_time()
        if way == "from_frames":
            problem = CalibrationProblem.from_frames(*inputs, **options)
        elif way == "from_files":
            problem = CalibrationProblem.from_files(*inputs, folder / "problem.l0", **options)
        else:
            problem = CalibrationProblem.load(folder / "problem.l0")
        seconds = time.process_time() - started
    return {"seconds": seconds, "memory": memory.peak, "entries": problem.matrix.nnz}


def main() -> None:
    """Make the files, and get the problem in each way, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(job(options.job[0], Path(options.job[1]))))
        return
    from jobs import run_json

    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), options.records)
        columns = N_AMOUNTS + 4 + 2 * (N_MEMBER_AMOUNTS + 2)
        print(f"{options.records:,} records, about {8 * columns * options.records / 1e9:.2f} GB")
        for way in WAYS:
            row = run_json(1, HERE, "--job", way, folder)
            print(f"{way:>12}: {row['seconds']:>6.1f} CPU s, {row['memory']:>6.2f} GB at most")


if __name__ == "__main__":
    sys.exit(main())

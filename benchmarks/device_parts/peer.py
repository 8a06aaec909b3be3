"""An epoch of `SparseCalibrationWeights` here and in l0-python 0.6.2, each in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import surface_data

from device_parts.bench import Bench
from device_parts.report import Found, SkippedError

BENCHMARKS = Path(__file__).resolve().parents[1]
PEER = "l0-python 0.6.2"
EPOCHS, QUICK_EPOCHS = 50, 5
#: Seconds that both sides take besides making the problem, roughly.
SECONDS = 30.0


def run(bench: Bench) -> None:
    """Fit the surface on both sides, on the device."""
    bench.report.begin("peer", f"Beside {PEER}: an epoch of SparseCalibrationWeights, the surface")
    sides = {"l0": BENCHMARKS.parent, PEER: bench.peer}
    if bench.missing:
        for side in sides:
            bench.report.skip(f"{side} on {bench.device.type}", bench.missing)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "surface.npz"
        for side, home in sides.items():

            def one(side: str = side, home: Path | None = home) -> Found:
                if home is None or not (home / "l0").is_dir():
                    raise SkippedError(
                        f"no folder with it: `pip install --no-deps --target FOLDER "
                        f"{PEER.replace(' ', '==')}`, and pass `--peer FOLDER`"
                    )
                if not file.exists():
                    _save(bench, file)
                return _fit(bench, file, home)

            needs = bench.problems.needs("surface") + (0 if bench.quick else SECONDS / 2)
            bench.report.attempt(f"{side} on {bench.device.type}", one, needs)


def _save(bench: Bench, file: Path) -> None:
    problem = bench.problems.get("surface")
    surface = surface_data.Surface(problem.matrix, problem.values, problem.design_weights)
    surface_data.save(surface, str(file))


def _fit(bench: Bench, file: Path, home: Path) -> Found:
    epochs = QUICK_EPOCHS if bench.quick else EPOCHS
    threads = str(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    job = (BENCHMARKS / "epoch.py", file, epochs, 0, threads, bench.device.type)
    places = [home, *([bench.packages] if bench.packages else [])]
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *map(str, job)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
            capture_output=True,
            text=True,
            timeout=max(1.0, bench.report.clock.left()),
        )
    except subprocess.TimeoutExpired as expired:
        raise SkippedError(f"no time: stopped after {expired.timeout:.0f} s") from None
    if done.returncode:
        # The last line names the error; the rest goes with the traceback of this one.
        raise RuntimeError(f"{done.stderr.strip().splitlines()[-1]}\n{done.stderr}")
    values = json.loads(done.stdout)
    device = values.get("device_gigabytes")
    memory = f", peak {device:.2f} GB on the device" if device else ""
    note = (
        f"{1e3 * values['seconds']:.2f} ms an epoch over {epochs}, loss {values['loss']:,.5g}, "
        f"{values['records']:,} records{memory}"
    )
    return note, values

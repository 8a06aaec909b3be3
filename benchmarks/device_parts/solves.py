"""Whole solves: the default method and the path, down to the number of records to keep."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch

from device_parts.bench import Bench
from device_parts.problems import KEEP
from device_parts.report import Found, SkippedError
from device_parts.timing import forget_peak, peak_gigabytes, peak_note
from l0.calibration import Progress

METHODS = ("hybrid", "path")
#: Seconds under which no solve is started.
LEAST = 5.0
QUICK_EPOCHS = 16


def run(bench: Bench) -> None:
    """Solve all problems on the device, and the CPS on the CPU too."""
    bench.report.begin("solve", "End to end (`problem.solve`)")
    for name in KEEP:
        devices = bench.devices if name == "CPS" else [bench.device] * (not bench.missing)
        for method in METHODS:
            for device in devices:

                def one(
                    name: str = name, method: str = method, device: torch.device = device
                ) -> Found:
                    return _solve(bench, name, method, device)

                needs = bench.problems.needs(name) + (0 if bench.quick else LEAST)
                bench.report.attempt(f"{name}, {method} on {device.type}", one, needs)
            if bench.missing:
                bench.report.skip(f"{name}, {method} on {bench.device.type}", bench.missing)


def _solve(bench: Bench, name: str, method: str, device: torch.device) -> Found:
    problem, keep = bench.problems.get(name), bench.problems.keep(name)

    def watch(state: Progress) -> None:
        if bench.report.clock.left() <= 0:
            raise SkippedError(
                f"no time: stopped after {state.seconds:.0f} s in {state.stage!r}, epoch "
                f"{state.epoch}, {state.n_records:,} records left"
            )

    forget_peak(device)
    started = perf_counter()
    result = problem.solve(
        keep, method, device=device, epochs=QUICK_EPOCHS if bench.quick else None, progress=watch
    )
    seconds = perf_counter() - started
    peak = peak_gigabytes(device)
    assert len(result.values) == keep, f"{len(result.values)} records instead of {keep}"
    assert (result.values > 0).all(), "some weights are not positive"
    stages = stage_times(result.history.to_pylist())
    values = {
        "device": str(device),
        "n_records": keep,
        "solve_seconds": seconds,
        "peak_gigabytes": peak,
        "stages": stages,
        "metrics": result.metrics,
    }
    parts = ", ".join(
        f"{stage} {row['epochs']} epochs of {1e3 * row['seconds'] / row['epochs']:.2f} ms"
        for stage, row in stages.items()
    )
    note = f"{seconds:.1f} s, loss {result.metrics['loss']:.2%}, keeps {keep:,}: {parts}"
    return note + peak_note(peak), values


def stage_times(history: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Epochs and seconds of each stage; the first one's include the checks before it."""
    found: dict[str, dict[str, float]] = {}
    epoch, upto = 0, 0.0
    for stage in dict.fromkeys(row["stage"] for row in history):
        last = [row for row in history if row["stage"] == stage][-1]
        found[stage] = {"epochs": last["epoch"] - epoch, "seconds": last["seconds"] - upto}
        epoch, upto = last["epoch"], last["seconds"]
    return found

"""Seconds of an epoch of the sparse operator, and the share of the bandwidth that it reaches."""

from __future__ import annotations

from time import perf_counter

import torch

from device_parts.bench import Bench
from device_parts.problems import KEEP
from device_parts.report import Found
from device_parts.timing import bandwidth, forget_peak, median_seconds, peak_gigabytes, peak_note
from l0.calibration import CalibrationProblem
from l0.sparse_operator import SparseOperator

#: Gigabytes that the copy moves which tells the bandwidth: more than any cache holds.
COPIED, COPIED_QUICK = 1.0, 0.05
#: Seconds that one measurement takes besides making the problem, roughly.
SECONDS = 12.0


def run(bench: Bench) -> None:
    """Measure the bandwidth of each device, then every problem on it."""
    bench.report.begin("epochs", "Seconds an epoch (forward and backward of the operator)")
    copies: dict[torch.device, float] = {}
    for device in bench.devices:

        def copy(device: torch.device = device) -> Found:
            copies[device] = bandwidth(device, COPIED_QUICK if bench.quick else COPIED)
            values = {"device": str(device), "bytes_per_second": copies[device]}
            return f"{copies[device] / 1e9:,.0f} GB/s, read and written", values

        bench.report.attempt(f"copy within {device.type}", copy)
    for name in KEEP:
        for device in bench.devices:
            needs = bench.problems.needs(name) + (0 if bench.quick else SECONDS)

            def one(name: str = name, device: torch.device = device) -> Found:
                return _measure(bench.problems.get(name), device, copies.get(device))

            bench.report.attempt(f"{name} on {device.type}", one, needs)
        if bench.missing:
            bench.report.skip(f"{name} on {bench.device.type}", bench.missing)
    for name, seconds in bench.problems.seconds.items():
        print(f"  {name} was made in {seconds:.1f} s")


def _measure(problem: CalibrationProblem, device: torch.device, copied: float | None) -> Found:
    forget_peak(device)
    started = perf_counter()
    operator = SparseOperator.from_scipy(
        problem.matrix, 1 / problem.scales, problem.design_weights, device
    )
    laid_out = perf_counter() - started
    ratios = torch.ones(problem.n_records, device=device, requires_grad=True)
    pull = torch.full((problem.n_targets,), 1 / problem.n_targets, device=device)

    def forward() -> None:
        with torch.no_grad():
            operator(ratios)

    def epoch() -> None:
        ratios.grad = None
        operator(ratios).backward(pull)

    ahead, both = median_seconds(forward, device), median_seconds(epoch, device)
    read = bytes_of_an_epoch(problem)
    share = None if copied is None else read / both / copied
    peak = peak_gigabytes(device)
    values = {
        "device": str(device),
        "records": problem.n_records,
        "targets": problem.n_targets,
        "entries": problem.matrix.nnz,
        "layout_seconds": laid_out,
        "forward_seconds": ahead,
        "epoch_seconds": both,
        "bytes_read": read,
        "bandwidth_share": share,
        "peak_gigabytes": peak,
    }
    note = (
        f"{problem.n_records:,} x {problem.n_targets:,}, {problem.matrix.nnz:,} entries: "
        f"{1e3 * both:.2f} ms ({1e3 * ahead:.2f} of it forward)"
    )
    if share is not None:
        note += f", {share:.0%} of the bandwidth"
    return f"{note}, laid out in {laid_out:.1f} s{peak_note(peak)}", values


def bytes_of_an_epoch(problem: CalibrationProblem) -> int:
    """Bytes that one pass each way must read at least.

    Both layouts of the matrix hold a float32 and an int32 for each entry and an int32 for each
    row; and each way reads a vector of float32 and writes another.
    """
    m, n = problem.matrix.shape
    return 2 * 8 * problem.matrix.nnz + 4 * (m + 1 + n + 1) + 2 * 4 * (m + n)

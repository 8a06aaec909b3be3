"""Seconds, memory and bandwidth of a device."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter

import torch

#: A block of calls between two synchronisations lasts at least so long, in seconds: shorter ones
#: would time the synchronisation itself.
BLOCK = 0.02


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def works(device: torch.device) -> bool:
    """Whether the device still computes; after some errors of a kernel it does no more."""
    try:
        torch.ones(2, device=device).sum().item()
    except RuntimeError:
        return False
    return True


def median_seconds(action: Callable[[], object], device: torch.device, most: float = 2.0) -> float:
    """Time an action: the median of up to nine blocks of calls, after one call that warms up.

    Parameters
    ----------
    action : callable
    device : torch.device
    most : float
        Seconds after which no further block starts; there are three at least.
    """

    def block(calls: int) -> float:
        started = perf_counter()
        for _ in range(calls):
            action()
        synchronise(device)
        return perf_counter() - started

    block(1)
    calls = max(1, round(BLOCK / max(block(1), 1e-6)))
    started = perf_counter()
    times: list[float] = []
    while len(times) < 3 or (len(times) < 9 and perf_counter() - started < most):
        times.append(block(calls) / calls)
    return statistics.median(times)


def bandwidth(device: torch.device, gigabytes: float) -> float:
    """Measure the bytes a second of a copy within the device, those read and those written."""
    source = torch.zeros(int(gigabytes * 1e9 / 4), device=device)
    target = torch.empty_like(source)
    seconds = median_seconds(lambda: target.copy_(source), device, most=1.0)
    return 2 * source.numel() * source.element_size() / seconds


def forget_peak(device: torch.device) -> None:
    """Start to watch the memory of the device anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_gigabytes(device: torch.device) -> float | None:
    """Most memory that tensors held on the device since `forget_peak`; None on the CPU."""
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device) / 1e9


def peak_note(peak: float | None) -> str:
    """Write the peak for a note."""
    return "" if peak is None else f", peak {peak:.2f} GB"

"""The time of a pass of a model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from l0.networks.graph.tensors import call, copies_of, devices_of


@torch.no_grad()
def milliseconds(model: nn.Module, example_inputs: Any) -> float:
    """Return the median time of a forward pass in evaluation mode.

    Passes are repeated for about a fifth of a second. The first pass is not counted, because it
    may allocate memory and choose algorithms.

    Parameters
    ----------
    model : nn.Module
        Is put into evaluation mode.
    example_inputs : Tensor, sequence or mapping
        The inputs of the pass.

    Returns
    -------
    float
    """
    times: list[float] = []
    devices = devices_of(model)
    model.eval()
    start = time.perf_counter()
    while len(times) < 4 or (len(times) < 200 and time.perf_counter() - start < 0.2):
        inputs = copies_of(example_inputs)
        synchronize(devices)
        before = time.perf_counter()
        call(model, inputs)
        synchronize(devices)
        times.append(1000 * (time.perf_counter() - before))
    return statistics.median(times[1:])


def synchronize(devices: Iterable[torch.device]) -> None:
    """Wait for the work that devices still have to do. The CPU has none."""
    for device in devices:
        if device.type != "cpu":
            getattr(torch, device.type).synchronize(device)

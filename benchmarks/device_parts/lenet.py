"""Milliseconds of a training step of LeNet-5, plain and with gates, in float32 and bfloat16."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mnist import lenet_5
from torch import Tensor
from torch.nn import functional as F

import l0
from device_parts.bench import Bench
from device_parts.report import Found
from device_parts.timing import median_seconds

GATES = ("plain", "hadamard", "hard_concrete")
PRECISIONS = (torch.float32, torch.bfloat16)
BATCH, QUICK_BATCH = 128, 16


def run(bench: Bench) -> None:
    """Time a step in every combination, on the device."""
    bench.report.begin("lenet", "LeNet-5 with gates: a training step")
    if bench.missing:
        bench.report.skip(f"LeNet-5 on {bench.device.type}", bench.missing)
        return
    images, digits, source = _images(bench.mnist)
    print(f"  {source}")
    size = QUICK_BATCH if bench.quick else BATCH
    batch = images[:size].to(bench.device), digits[:size].to(bench.device)
    plain: dict[torch.dtype, float] = {}
    for precision in PRECISIONS:
        for gates in GATES:

            def one(gates: str = gates, precision: torch.dtype = precision) -> Found:
                step = _step(gates, precision, *batch)
                seconds = median_seconds(step, bench.device, 0.2 if bench.quick else 2.0)
                plain.setdefault(precision, seconds)
                times = seconds / plain[precision]
                values = {"step_seconds": seconds, "times_plain": times, "images": source}
                return f"{1e3 * seconds:.2f} ms, {times:.2f} times plain", values

            kind = str(precision).removeprefix("torch.")
            bench.report.attempt(f"{gates}, {kind} on {bench.device.type}, batch {size}", one)


def _step(gates: str, precision: torch.dtype, x: Tensor, y: Tensor) -> Callable[[], None]:
    """Give one step of Adam; half precision is that of autocast, for the forward pass."""
    torch.manual_seed(0)
    model = lenet_5().to(x.device)
    sparsifier, groups = None, [{"params": list(model.parameters())}]
    if gates != "plain":
        sparsifier = l0.sparsify(model, x[:2], l0.Macs(0.3), gates=gates, total_steps=10_000)
        groups = sparsifier.param_groups(lr=1e-3)
    optimizer = torch.optim.Adam(groups, lr=1e-3)
    half = precision != torch.float32

    def step() -> None:
        with torch.autocast(x.device.type, precision if half else None, enabled=half):
            loss = F.cross_entropy(model(x), y)
        if sparsifier:
            loss = loss + sparsifier.penalty()
        loss.backward()
        optimizer.step()
        if sparsifier:
            sparsifier.step()
        optimizer.zero_grad()

    return step


def _images(folder: Path | None) -> tuple[Tensor, Tensor, str]:
    """Take the first training images of MNIST, or make some up; the third tells which."""
    found = [] if folder is None else [_read(folder, "images-idx3"), _read(folder, "labels-idx1")]
    if found and all(part is not None for part in found):
        images, digits = found
        return images.view(-1, 1, 28, 28).float() / 255, digits.long(), f"images of {folder}"
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 1, 28, 28, generator=generator)
    digits = torch.randint(10, (BATCH,), generator=generator)
    return images, digits, "made-up images of MNIST's shape: no idx files (`--mnist FOLDER`)"


def _read(folder: Path, kind: str) -> Tensor | None:
    """Read an original idx file of the training set, packed or not; None where it is absent."""
    what, _, axes = kind.partition("-")
    for name in (f"train-{kind}-ubyte", f"train-{what}.{axes}-ubyte"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                content = path.read_bytes()
                content = gzip.decompress(content) if path.suffix == ".gz" else content
                header = 16 if what == "images" else 8
                return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).copy())
    return None

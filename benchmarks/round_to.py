"""What widths that are multiples of 8 save: ResNet-20, cut at once to budgets of multiply-adds.

    .venv/bin/python benchmarks/round_to.py

Times are those of the processor for a pass over 32 images of 32 x 32 pixels on one thread. The
models take turns, and the table has the median.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.networks import resnet
from l0.networks import Macs, sparsify


def seconds(models: list[nn.Module], x: torch.Tensor, rounds: int) -> list[float]:
    """Return the median time of each model."""
    taken: list[list[float]] = [[] for _ in models]
    with torch.inference_mode():
        for _ in range(rounds):
            for model, times in zip(models, taken, strict=True):
                start = time.process_time()
                model(x)
                times.append(time.process_time() - start)
    return [statistics.median(times) for times in taken]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.randn(32, 3, 32, 32)
    rows, models = [], []
    for share in (1.0, 0.75, 0.5, 0.25):
        for round_to in (1, 8) if share < 1 else (1,):
            torch.manual_seed(0)
            sparsifier = sparsify(resnet(3, 3).eval(), x[:2], Macs(share), round_to=round_to)
            models.append(sparsifier.compact().eval())
            (constraint,) = sparsifier.constraints
            cost = float(constraint.cost(sparsifier.gates.alive()))
            rows.append((share, round_to, cost / constraint.cost.total))
    times = seconds(models, x, options.rounds)
    print("| budget | `round_to` | multiply-adds used | times faster than dense |")
    print("|---|--:|--:|--:|")
    for (share, round_to, used), each in zip(rows, times, strict=True):
        print(f"| `Macs({share})` | {round_to} | {used:.3f} | {times[0] / each:.2f} |")


if __name__ == "__main__":
    main()

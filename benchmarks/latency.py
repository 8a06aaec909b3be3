"""Models cut at once to budgets of time, beside budgets of multiply-adds of the same share.

    .venv/bin/python benchmarks/latency.py

Times are those of the processor for a pass on one thread. The models of a network take turns, and
the table has the median.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.networks import resnet
from benchmarks.round_to import seconds
from l0.networks import Latency, Macs, sparsify


def perceptron() -> nn.Module:
    """Return a wide perceptron."""
    return nn.Sequential(
        nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
    )


def encoder() -> nn.Module:
    """Return four blocks of a transformer."""
    layer = nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)


#: For each network, how it is made, and the inputs whose time counts.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.Tensor]]] = {
    "perceptron": (perceptron, lambda: torch.randn(128, 784)),
    "ResNet-20": (lambda: resnet(3, 3), lambda: torch.randn(16, 3, 32, 32)),
    "transformer, 32 tokens": (encoder, lambda: torch.randn(8, 32, 256)),
    "transformer, 512 tokens": (encoder, lambda: torch.randn(1, 512, 256)),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | budget | `sparsify`, s | multiply-adds left | time counted | measured |")
    print("|---|---|--:|--:|--:|--:|")
    for name in options.networks:
        make, draw = NETWORKS[name]
        x = draw()
        torch.manual_seed(0)
        models, rows = [make().eval()], []
        for share in (0.75, 0.5, 0.25):
            for budget in (Latency(share), Macs(share)):
                torch.manual_seed(0)
                start = time.process_time()
                sparsifier = sparsify(make().eval(), x, budget)
                spent = time.process_time() - start
                models.append(sparsifier.compact().eval())
                report = sparsifier.report(latency=False)
                macs, cost = report.totals["multiply-adds"], report.budgets[0].change
                timed = isinstance(budget, Latency)
                counted = f"{cost.after / cost.before:.2f}" if timed else ""
                rows.append((budget, spent, macs.after / macs.before, counted))
        times = seconds(models, x, options.rounds)
        for (budget, spent, macs_left, counted), each in zip(rows, times[1:], strict=True):
            kind = f"{type(budget).__name__}({budget.amount:g})"
            print(
                f"| {name} | `{kind}` | {spent:.1f} | {macs_left:.2f} | {counted} "
                f"| {each / times[0]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

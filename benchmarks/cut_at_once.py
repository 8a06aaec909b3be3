"""Trained networks cut at once by magnitude, beside Torch-Pruning's uniform and global cut.

``python benchmarks/cut_at_once.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import warnings
from collections.abc import Callable
from copy import deepcopy

import torch
import torch_pruning
from budget_use import BATCH, batches, digits, error
from checks import check
from networks import Split, resnet
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from training import train_step

import l0

SHARES = (0.5, 0.25, 0.1)


def convolutions() -> nn.Module:
    """Three convolutions and two dense layers."""

    def convolution(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(n_in, n_out, 3, stride, 1), nn.BatchNorm2d(n_out), nn.ReLU()]

    return nn.Sequential(
        *(*convolution(1, 16, 1), *convolution(16, 32, 2), *convolution(32, 32, 1)),
        *(nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def separable() -> nn.Module:
    """Depthwise and pointwise convolutions in turn."""

    def stage(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
        return [
            nn.Conv2d(n_in, n_in, 3, stride, 1, groups=n_in, bias=False),
            *(nn.BatchNorm2d(n_in), nn.ReLU()),
            nn.Conv2d(n_in, n_out, 1, bias=False),
            *(nn.BatchNorm2d(n_out), nn.ReLU()),
        ]

    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(*stage(16, 32, 2), *stage(32, 32, 1), *stage(32, 64, 2), *stage(64, 64, 1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual": lambda: resnet(1, 1),
    "convolutions": convolutions,
    "separable": separable,
}


def train(model: nn.Module, data: Split, n_steps: int, lr: float) -> None:
    """Train a model at a learning rate that falls to 0."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.02, n_steps)
    model.train()
    for rows in batches(data, n_steps):
        train_step(model, optimizer, data.x[rows], data.y[rows])
        schedule.step()


@torch.no_grad()
def macs(model: nn.Module, x: Tensor) -> float:
    """Count the multiply-adds for one example."""
    with FlopCounterMode(display=False) as counter:
        model.eval()(x)
    return counter.get_total_flops() / 2 / len(x)


def peer(model: nn.Module, data: Split, share: float, everywhere: bool) -> nn.Module:
    """Return Torch-Pruning's largest cut within a share of the multiply-adds."""
    x, full = data.x[:2], macs(model, data.x[:2])

    def cut(ratio: float) -> nn.Module:
        small = deepcopy(model)
        last = [module for module in small.modules() if isinstance(module, nn.Linear)][-1]
        torch_pruning.pruner.BasePruner(
            small,
            x,
            torch_pruning.importance.GroupMagnitudeImportance(),
            global_pruning=everywhere,
            pruning_ratio=ratio,
            max_pruning_ratio=0.95,
            ignored_layers=[last],
        ).step()
        return small

    low, high = 0.0, 0.95
    for _ in range(8):
        middle = (low + high) / 2
        if macs(cut(middle), x) <= share * full:
            high = middle
        else:
            low = middle
    return cut(high)


def ours(model: nn.Module, data: Split, share: float, n_batches: int) -> nn.Module:
    """Return the cut of a sparsifier before any step."""
    sparsifier = l0.sparsify(deepcopy(model), data.x[:2], l0.Macs(share))
    for batch in data.x.split(BATCH)[:n_batches]:
        sparsifier.observe(batch)
    return sparsifier.compact()


WAYS: dict[str, Callable[[nn.Module, Split, float], nn.Module]] = {
    "Torch-Pruning, uniform": lambda model, data, share: peer(model, data, share, False),
    "Torch-Pruning, global": lambda model, data, share: peer(model, data, share, True),
    "l0, weights alone": lambda model, data, share: ours(model, data, share, 0),
    "l0, four batches observed": lambda model, data, share: ours(model, data, share, 4),
}


def main() -> int:
    """Print a row a cut, and fail where the last one is behind the better of the first two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--steps", type=int, default=300, help="before the cut")
    parser.add_argument("--after", type=int, default=30, help="steps after the cut: two epochs")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="torch_pruning")
    print("| network | budget | cut | share of multiply-adds | error % at once | trained on |")
    print("|" + "---|" * 6)
    passed = []
    for name in options.networks:
        trained = []
        for seed in range(options.seeds):
            data = digits(seed)
            torch.manual_seed(seed)
            model = NETWORKS[name]()
            train(model, data, options.steps, 2e-3)
            trained.append((model, data))
        dense = statistics.mean(error(model, data) for model, data in trained)
        print(f"| {name} | none | | 1 | {dense:.1f} | |", flush=True)
        for share in SHARES:
            rows: dict[str, tuple[float, float]] = {}
            for way, cut in WAYS.items():
                used, first, last = [], [], []
                for model, data in trained:
                    small = cut(model, data, share)
                    used.append(macs(small, data.x[:2]) / macs(model, data.x[:2]))
                    first.append(error(small, data))
                    train(small, data, options.after, 1e-3)
                    last.append(error(small, data))
                at_once, after = statistics.mean(first), statistics.mean(last)
                rows[way] = at_once, after
                print(
                    f"| {name} | Macs({share}) | {way} | {max(used):.3f} | {at_once:.1f} | "
                    f"{after:.1f} |",
                    flush=True,
                )
            *_, (at_once, after) = rows.values()
            peers = [rows[way] for way in list(WAYS)[:2]]
            what = f"{name}, Macs({share})"
            passed += [
                check(f"{what}: error at once", at_once, "at most", min(p[0] for p in peers)),
                check(f"{what}: error trained on", after, "at most", min(p[1] for p in peers)),
            ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

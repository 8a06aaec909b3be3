"""A student learns from the teacher: with gates down to a budget, and then as a smaller model."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import l0
from l0.networks import Sparsifier
from minilm_parts.encoder import Batch, embedding
from minilm_parts.figures import Limit

#: The rates rise over this share of the steps, and then fall by a cosine to `LAST` of the peak.
WARM, LAST = 0.05, 0.02

#: The peak of the learning rate of the weights.
RATE = 1e-3

#: That of the gates, times the steps that they have. A gate moves by about its rate in a step, and
#: its way to 0 is 1: with a fifth of this, 60 steps left gates where they were.
TRAVEL = 4.0


@dataclass(frozen=True)
class Plan:
    """How long to train.

    Attributes
    ----------
    steps : int
        All steps.
    gated : int
        How many of them have gates.
    seconds : float
        The longest time of a training, by the clock. The rates fall in time for its end.
    every : int
        Steps between two rows of a curve, or 0 for no curve.
    """

    steps: int
    gated: int
    seconds: float
    every: int


def loss_of(student: nn.Module, teacher: nn.Module, batch: Batch) -> Tensor:
    """Return how far a student is from the teacher: the embedding, and the output of each block.

    It is one minus the cosine of the embeddings, plus the mean over the blocks of the squared
    error of their outputs in units of the variance of the teacher's. The teacher may have half
    precision; the distances have that of the student.
    """
    with torch.no_grad():
        wanted = [h.float() for h in teacher(**batch, output_hidden_states=True).hidden_states]
    given = student(**batch, output_hidden_states=True).hidden_states
    target, found = (embedding(states[-1], batch) for states in (wanted, given))
    real = batch["attention_mask"].bool()
    errors = [
        F.mse_loss(out[real], goal[real]) / goal[real].var()
        for goal, out in zip(wanted[1:], given[1:], strict=True)
    ]
    return 1 - (target * found).sum(1).mean() + torch.stack(errors).mean()


def gated(
    student: nn.Module,
    teacher: nn.Module,
    batches: Iterator[Batch],
    example: Batch,
    limit: Limit,
    plan: Plan,
) -> nn.Module:
    """Train a student with gates, and return it as a smaller model."""
    steps, round_to = plan.gated, limit.round_to
    sparsifier = l0.sparsify(student, example, limit.budgets, total_steps=steps, round_to=round_to)
    groups = sparsifier.param_groups(lr=RATE, gate_lr=TRAVEL / plan.gated)
    train(student, teacher, batches, groups, plan.gated, plan.seconds, sparsifier)
    return sparsifier.compact()


def train(
    student: nn.Module,
    teacher: nn.Module,
    batches: Iterator[Batch],
    groups: list[dict],
    steps: int,
    seconds: float,
    sparsifier: Sparsifier | None = None,
    look: Callable[[int], None] | None = None,
) -> int:
    """Train for some steps, or until the time is over, and return the number of steps.

    `look` is called after each step. A training with gates is not stopped by the time.
    """
    optimizer = torch.optim.Adam(groups, fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    start = time.perf_counter()
    student.train()
    for step in range(steps):
        done = step / steps
        if not sparsifier:
            done = max(done, (time.perf_counter() - start) / seconds)
        if done >= 1:
            return step
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * height(max(done, 1 / steps))
        loss = loss_of(student, teacher, next(batches))
        priced = loss + sparsifier.penalty() if sparsifier else loss
        priced.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        if sparsifier:
            sparsifier.step()
        optimizer.zero_grad()
        if look:
            look(step + 1)
        if step % 100 == 99:
            print(f"step {step + 1}, loss {float(loss):.4f}", file=sys.stderr)
    return steps


def height(done: float) -> float:
    """Return the learning rate as a share of its peak, at a share of the training."""
    if done < WARM:
        return done / WARM
    fallen = (1 - math.cos(math.pi * (done - WARM) / (1 - WARM))) / 2
    return 1 - (1 - LAST) * fallen
